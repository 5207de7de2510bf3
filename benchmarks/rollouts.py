"""How rollouts end on simulated traffic whose truth is known: wrong promotions, wrong rollbacks, time and regret.

2,000 rollouts of each case, all at once: the tests are those of rollout_statistics, applied to arrays; what a strategy does
with them is written again here in a line or two, and held against the strategies themselves on some of the rollouts.
Writes results/rollouts.json, results/rollouts.md and results/rollouts.html (the plot). Runs with the
tensorflow stack's Python: `make bench ARGS=rollouts`.
"""

import json
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from penstock.components.html_report import charts
from penstock.components.html_report.page import Column, Page
from penstock.components.rollout_settings.settings import Guardrails, read_rollout
from penstock.components.rollout_statistics.ab_test import decide_ab_test
from penstock.components.rollout_statistics.bandit import decide_bandit
from penstock.components.rollout_statistics.canary import decide_canary
from penstock.components.rollout_statistics.guardrails import checks_on
from penstock.components.rollout_statistics.histograms import quantile_bins, radius
from penstock.components.rollout_statistics.means import (
    Moments,
    difference,
    difference_by_period,
    scale_of_effects,
)
from penstock.components.rollout_statistics.rates import log_e_two_rates, log_ratios, mix
from penstock.components.rollout_statistics.traffic import Arm, Traffic

REPEATS = 2_000
RATE = 0.20  # the champion's conversions
ERRORS = 0.01  # the champion's error rate
LOOK = 1_000  # requests between two looks
SOON = 250  # ... of those that look more often
HORIZON = 100_000  # requests; regret is counted over them
CANARY_LOOKS = 160
HOLD = 20  # looks that each stage of the canary lasts at least
FIXED = (
    51_200  # requests of an A/B test planned for 80 % power at 1 point (Lehr: 16 p (1 - p) / d^2 of each arm)
)
STAGES = (5, 25, 50, 100)
LATENCY_BINS, GROUPS = 120, 10
SPREAD = 0.4  # of log durations: p99 is 2.5 times the median
DELAY = 1  # looks after which outcomes are known
CHECKS = checks_on(Guardrails())
ALPHA, BETA, MIN_EFFECT, ENOUGH = 0.05, 0.02, 0.01, 100  # the defaults of ab_test and bandit
FLOORS = (0.01, 0.02, 0.05, 0.10)
FLOOR = 0.05  # the default
LONG = 400_000  # requests: beyond the end of a test that finds nothing, which gives all to the champion
MAX_OUTCOMES = 200_000


@dataclass(frozen=True)
class Method:
    """How two versions are compared.

    Args:
        name: Of the lines in the table.
        requests: Between two looks.
        adaptive: Whether weights follow the outcomes.
        fixed: A test that looks once, by a t test, after this many requests; 0: at every look.
        floor: Share that each arm of a bandit keeps.
        horizon: Requests over which regret is counted.
    """

    name: str
    requests: int = LOOK
    adaptive: bool = False
    fixed: int = 0
    floor: float = FLOOR
    horizon: int = HORIZON


COMPARISONS = (
    Method("A/B test of fixed size", fixed=FIXED),
    Method("A/B test"),
    Method("bandit", adaptive=True),
    Method(f"A/B test, looks of {SOON}", SOON),
    Method(f"bandit, looks of {SOON}", SOON, adaptive=True),
)
OVER_LONG = (
    Method(f"A/B test over {LONG:,}", horizon=LONG),
    *(
        Method(f"bandit over {LONG:,}, floor {floor:.0%}", adaptive=True, floor=floor, horizon=LONG)
        for floor in FLOORS
    ),
)


@dataclass(frozen=True)
class Case:
    """What is true of the challenger."""

    name: str
    conversions: float = RATE
    errors: float = ERRORS
    slower: float = 1.0
    moved: float = 0.0  # share of the scores that lie in the champion's top decile instead

    @property
    def harmful(self) -> bool:
        """Whether it should be rolled back."""
        return self.conversions < RATE or self.errors > ERRORS or self.slower > 1 or self.moved > 0


CANARY_CASES = (
    Case("equal"),
    Case("5 points more conversions", RATE + 0.05),
    Case("error rate doubled", errors=2 * ERRORS),
    Case("5 points fewer conversions", RATE - 0.05),
    Case("2 points fewer conversions", RATE - 0.02),
    Case("p99 latency doubled", slower=2.0),
    Case("half of the scores elsewhere", moved=0.5),
)
TEST_CASES = (
    Case("equal"),
    Case("5 points more conversions", RATE + 0.05),
    Case("2 points more conversions", RATE + 0.02),
    Case("5 points fewer conversions", RATE - 0.05),
    Case("2 points fewer conversions", RATE - 0.02),
    Case("error rate doubled", errors=2 * ERRORS),
)


LONG_CASES = (
    Case("2 points more conversions", RATE + 0.02),
    Case("1.5 points more conversions", RATE + 0.015),
)
JOBS: list[tuple[Method | None, Case]] = [
    *((None, case) for case in CANARY_CASES),
    *((method, case) for method in COMPARISONS for case in TEST_CASES),
    *((method, case) for method in OVER_LONG for case in LONG_CASES),
]


@dataclass
class Ends:
    """How the rollouts of one case ended: arrays over the rollouts.

    Args:
        action: promote, rollback, stop or continue (undecided at the end).
        look: At which look, from 1.
        exposed: Requests that the challenger answered until then.
        regret: Conversions lost over the horizon beside sending all to the better arm from the start.
        curve: Mean regret so far at each look.
    """

    action: Any
    look: Any
    exposed: Any
    regret: Any
    curve: Any


class Evidence:
    """The guardrail of errors, look by look: log likelihood ratios add up over the looks."""

    def __init__(self, needed: float) -> None:
        self.needed = needed
        self.terms: Any = 0.0
        self.k1, self.n1, self.k0, self.n0 = (np.zeros(REPEATS, int) for _ in range(4))
        self.alone_k, self.alone_n = np.zeros(REPEATS, int), np.zeros(REPEATS, int)

    def add(self, k1: Any, n1: Any, k0: Any, n0: Any) -> tuple[Any, Any]:
        """Take the counts of a look; return where there is harm and where there is doubt."""
        one = [x[:, None] for x in (k1, n1, k0, n0)]
        self.terms = self.terms + log_ratios(*one, 1.2).sum(axis=-2)
        self.k1, self.n1, self.k0, self.n0 = self.k1 + k1, self.n1 + n1, self.k0 + k0, self.n0 + n0
        self.alone_k, self.alone_n = self.alone_k + k1 * (n0 == 0), self.alone_n + n1 * (n0 == 0)
        rate1, rate0 = self.k1 / np.maximum(self.n1, 1), self.k0 / np.maximum(self.n0, 1)
        together = mix(self.terms)
        harm = (together >= self.needed) & (rate1 - rate0 >= 0.001)
        later = log_e_two_rates(self.alone_k, self.alone_n, self.k0, self.n0, 1.2)
        harm |= (later >= self.needed) & (self.alone_k / np.maximum(self.alone_n, 1) - rate0 >= 0.001)
        looks_bad = np.maximum(together, np.where(self.alone_n > 0, later, 0.0)) > 0
        return harm, looks_bad & (rate1 - rate0 >= 0.001)


class Stage:
    """The guardrails that begin anew with each stage; while the challenger is alone, beside all of the champion."""

    def __init__(self) -> None:
        self.now = [np.zeros((2, REPEATS, size)) for size in (LATENCY_BINS, GROUPS, 2)]
        self.champion = [np.zeros((REPEATS, size)) for size in (LATENCY_BINS, GROUPS, 2)]

    def begin(self, which: Any) -> None:
        """Begin a stage in some of the rollouts."""
        for now in self.now:
            now[:, which] = 0

    def add(self, looked: tuple[Any, ...], alone: Any) -> tuple[dict[str, Any], Any]:
        """Take the counts of a look (both arms, by kind); return harm by check, and doubt."""
        zeros = []
        for now, whole, new in zip(self.now, self.champion, looked, strict=True):
            now += new
            whole += new[1]
            zeros.append(np.where(alone[:, None], whole, now[1]))
        alpha = ALPHA / CHECKS / len(STAGES)
        one, zero = self.now[0][0], zeros[0]
        low, high = quantile_bins(one, 0.99, alpha / 2)[0], quantile_bins(zero, 0.99, alpha / 2)[1]
        factor = 2 ** ((low - high) / 16)
        slow = (low >= 0) & (high < LATENCY_BINS) & (factor > 1.5)
        at = [np.argmax(c.cumsum(1) >= 0.99 * c.sum(1, keepdims=True), axis=1) for c in (one, zero)]
        doubt = 2 ** ((at[0] - at[1]) / 16) > 1.5
        one, zero = self.now[1][0], zeros[1]
        p, q = (c / np.maximum(c.sum(1, keepdims=True), 1) for c in (one, zero))
        apart = 0.5 * np.abs(p - q).sum(1)
        enough = (one.sum(1) >= 200) & (zero.sum(1) >= 200)
        moved = enough & (apart - radius(one, alpha / 2) - radius(zero, alpha / 2) > 0.25)
        doubt |= enough & (apart > 0.25)
        a, b = (Moments(c[:, 0], c[:, 1], c[:, 1]) for c in (self.now[2][0], zeros[2]))
        found = difference(a, b, scale_of_effects(b), 2 * alpha)
        lost = (np.minimum(a.n, b.n) >= 50) & (found.high < 0)
        return {"latency": slow, "scores": moved, "outcome": lost}, doubt


def latency_shares(slower: float) -> Any:
    """Return the probabilities of duration bins of 4.4 %, from a quarter of the median on."""
    edges = np.log(2) / 16 * np.arange(-30, LATENCY_BINS - 29)
    up_to = norm.cdf((edges - math.log(slower)) / SPREAD)
    up_to[0], up_to[-1] = 0, 1
    return np.diff(up_to)


def score_shares(moved: float) -> Any:
    """Return the probabilities of the champion's deciles."""
    shares = np.full(GROUPS, (1 - moved) / GROUPS)
    shares[-1] += moved
    return shares


def canary(case: Case, random: np.random.Generator) -> tuple[Ends, dict[str, Any]]:
    """Simulate canaries, all at once, look by look."""
    stage, held = np.zeros(REPEATS, int), np.zeros(REPEATS, int)
    weight = np.array(STAGES)
    action, look = np.full(REPEATS, "continue"), np.full(REPEATS, CANARY_LOOKS)
    served = np.zeros((REPEATS, CANARY_LOOKS), int)
    running = np.ones(REPEATS, bool)
    evidence, guards = Evidence(math.log(2 * CHECKS / ALPHA)), Stage()
    latency, scores = latency_shares(case.slower), score_shares(case.moved)
    latency0, scores0 = latency_shares(1.0), score_shares(0.0)
    by_check = {name: np.zeros(REPEATS, bool) for name in ("errors", "latency", "scores", "outcome")}
    history: list[tuple[Any, ...]] = []
    for t in range(CANARY_LOOKS):
        n1 = random.binomial(LOOK, weight[stage] / 100)
        n0 = LOOK - n1
        served[:, t] = n1
        k1, k0 = random.binomial(n1, case.errors), random.binomial(n0, ERRORS)
        wins = random.binomial(n1, case.conversions), random.binomial(n0, RATE)
        harm, doubt = evidence.add(k1, n1, k0, n0)
        looked = (
            np.stack([random.multinomial(n1, latency), random.multinomial(n0, latency0)]),
            np.stack([random.multinomial(n1, scores), random.multinomial(n0, scores0)]),
            np.stack([np.column_stack([n, w]) for n, w in zip((n1, n0), wins, strict=True)]),
        )
        others, open_ = guards.add(looked, n0 == 0)
        history.append((n1, n0, k1, k0, stage.copy(), held + 1, harm.copy()))
        for name, found in ({"errors": harm} | others).items():
            by_check[name] |= running & found
            harm = harm | found
        held += 1
        over = ~harm & ~(doubt | open_) & (held >= HOLD)
        last = stage == len(STAGES) - 1
        for name, found in (("rollback", harm), ("promote", over & last)):
            new = running & found
            action[new], look[new] = name, t + 1
            running &= ~found
        new = running & over
        stage[new] += 1
        held[new] = 0
        guards.begin(new)
        if not running.any():
            break
    ends = _ends(case, action, look, served, LOOK, HORIZON)
    return ends, {"by_check": {k: float(v.mean()) for k, v in by_check.items()}, "history": history}


def compare(case: Case, random: np.random.Generator, method: Method) -> tuple[Ends, list[tuple[Any, ...]]]:
    """Simulate A/B tests or bandits; outcomes are known a look later."""
    requests, adaptive, fixed, floor = method.requests, method.adaptive, method.fixed, method.floor
    looks = method.horizon // requests
    weight = np.full(REPEATS, 0.5)
    action, look = np.full(REPEATS, "continue"), np.full(REPEATS, looks)
    served = np.zeros((REPEATS, looks))
    running = np.ones(REPEATS, bool)
    # The guardrail of outcomes is off, the challenger is never alone.
    evidence = Evidence(math.log((CHECKS - 1) / ALPHA))
    sums = np.zeros((4, REPEATS))  # n1, wins1, n0, wins0, as far as known
    strata: list[tuple[Any, ...]] = []
    history: list[tuple[Any, ...]] = []
    for t in range(looks):
        n1 = random.binomial(requests, weight)
        n0 = requests - n1
        served[:, t] = n1
        if not running.any():
            continue
        wins = random.binomial(n1, case.conversions), random.binomial(n0, RATE)
        errors = random.binomial(n1, case.errors), random.binomial(n0, ERRORS)
        harm, doubt = evidence.add(errors[0], n1, errors[1], n0)
        history.append((n1, n0, *errors, *wins, weight.copy()))
        strata.append((n1, wins[0], n0, wins[1]))
        if t < DELAY:
            continue
        known = strata[t - DELAY]
        sums += known
        one, zero = Moments(sums[0], sums[1], sums[1]), Moments(sums[2], sums[3], sums[3])
        enough = np.minimum(one.n, zero.n) >= ENOUGH
        if fixed:
            sd = np.sqrt(one.variance / np.maximum(one.n, 1) + zero.variance / np.maximum(zero.n, 1))
            z = (one.mean - zero.mean) / np.maximum(sd, 1e-12)
            now = np.full(REPEATS, (t + 1 - DELAY) * requests >= fixed)
            better, worse, no_use = now & (z > 1.96), now & (z < -1.96), now & (np.abs(z) <= 1.96)
        else:
            some = np.flatnonzero(running)
            if adaptive:
                parts = [
                    np.stack([look[i][some] for look in strata[: t + 1 - DELAY]], axis=1) for i in range(4)
                ]
                arms = Moments(parts[0], parts[1], parts[1]), Moments(parts[2], parts[3], parts[3])
            else:
                arms = tuple(Moments(*(x[some] for x in (m.n, m.total, m.squares))) for m in (one, zero))
            test = difference_by_period if adaptive else difference
            tau = scale_of_effects(zero, MIN_EFFECT)[some]
            value, low, high, at_most = (np.full(REPEATS, x) for x in (0.0, -np.inf, np.inf, np.inf))
            value[some], low[some], high[some], _ = test(*arms, tau, 2 * ALPHA)
            at_most[some] = test(*arms, MIN_EFFECT, 2 * BETA).high
            better = enough & (low > 0) & (value >= MIN_EFFECT) & ~doubt
            worse = (enough & (high < 0)) | harm
            no_use = enough & (at_most < MIN_EFFECT)
            over = np.full(REPEATS, sums[0][0] + sums[2][0] >= MAX_OUTCOMES)
            worse |= (no_use | over) & doubt
            no_use |= over
        for name, reached in (("rollback", worse), ("promote", better), ("stop", no_use)):
            new = running & reached
            action[new], look[new] = name, t + 1
            weight[new] = 1.0 if name == "promote" else 0.0
            running &= ~reached
        if adaptive:
            at = running & enough
            weight[at] = np.round(floor + (1 - 2 * floor) * best_share(one, zero), 2)[at]
    return _ends(case, action, look, served, requests, method.horizon), history


def best_share(one: Moments, zero: Moments) -> Any:
    """Return the probability that arm 1 is better: that of the Beta posteriors, approximated by normal ones."""
    means, variances = [], []
    for arm in (one, zero):
        a, b = 1 + arm.total, 1 + arm.n - arm.total
        means.append(a / (a + b))
        variances.append(a * b / (a + b) ** 2 / (a + b + 1))
    return norm.cdf((means[0] - means[1]) / np.sqrt(variances[0] + variances[1]))


def _ends(case: Case, action: Any, look: Any, served: Any, requests: int, horizon: int) -> Ends:
    """Count what was lost: each request on the worse arm until the decision and, as decided, up to the horizon."""
    after = np.arange(served.shape[1])[None, :] >= look[:, None]
    decided = (action != "continue")[:, None]
    to_challenger = np.where(after & decided, np.where(action == "promote", requests, 0)[:, None], served)
    gap = case.conversions - RATE
    lost = np.maximum(gap, 0) * (requests - to_challenger) + np.maximum(-gap, 0) * to_challenger
    curve = lost.cumsum(1)
    exposed = np.where(after, 0, served).sum(1)
    looks = horizon // requests
    return Ends(action, look, exposed, curve[:, looks - 1], curve[:, :looks].mean(0))


def least_regret(case: Case, ends: Ends, requests: int) -> float:
    """Return what any allocation loses at least that is decided by the test of these A/B tests.

    The test ends when n1 n0 / (n1 + n0), summed over periods, is large enough for what has been seen, whoever got the
    requests; a period adds at most as many as its worse arm got. Until the first outcomes are known nothing tells which one
    that is: half of those requests are lost, on average over better and worse challengers, and add at most a quarter.
    """
    blind = (DELAY + 1) * requests
    information = (ends.look - DELAY) * requests / 4
    on_worse = blind / 2 + np.maximum(information - blind / 4, 0)
    return float(abs(case.conversions - RATE) * on_worse.mean())


def row(strategy: str, case: Case, ends: Ends, requests: int) -> dict[str, Any]:
    """Return a line of the table."""
    share = {
        name: float((ends.action == name).mean()) for name in ("promote", "rollback", "stop", "continue")
    }
    decided = ends.look * requests
    return {
        "strategy": strategy,
        "challenger": case.name,
        **{name: round(value, 4) for name, value in share.items()},
        "requests_median": int(np.median(decided)),
        "requests_p95": int(np.quantile(decided, 0.95)),
        "exposed_median": int(np.median(ends.exposed)),
        "regret": round(float(ends.regret.mean()), 1),
        "regret_stderr": round(float(ends.regret.std() / REPEATS**0.5), 1),
    }


def check_canary(history: list[tuple[Any, ...]], rollouts: int = 4) -> int:
    """Hold simulated looks against the strategy itself, for the guardrail of errors; return how many were compared."""
    settings = read_rollout({"canary": {"hold": "PT0S", "min_requests": 1}})
    compared = 0
    for r in range(rollouts):
        for t in range(0, len(history), 9):
            n1, n0, k1, k0 = (np.array([look[i][r] for look in history[: t + 1]]) for i in range(4))
            arms = {"1": _arm(n0, k0), "2": _arm(n1, k1)}
            traffic = Traffic(arms, np.arange(t + 1), 0.0, 0.0, float(t + 1))
            share = STAGES[history[t][4][r]]
            found = decide_canary(traffic, {"1": 100 - share, "2": share}, "1", "2", settings)
            if (found.action == "rollback") != bool(history[t][6][r]):
                raise AssertionError(f"canary {r}, look {t}: simulation and strategy differ")
            compared += 1
    return compared


def check_comparison(history: list[tuple[Any, ...]], ends: Ends, strategy: str, rollouts: int = 25) -> int:
    """Hold how A/B tests or bandits ended against the strategy itself; return how many agree."""
    settings = read_rollout({"strategy": strategy})
    differing = 0
    for r in range(rollouts):
        t = int(ends.look[r])
        n1, n0, k1, k0, w1, w0 = (np.array([look[i][r] for look in history[:t]]) for i in range(6))
        known = slice(0, t - DELAY)
        arms = {"1": _arm(n0, k0, n0[known], w0[known]), "2": _arm(n1, k1, n1[known], w1[known])}
        traffic = Traffic(arms, np.arange(t), 0.0, 0.0, float(t))
        found = decide(strategy, traffic, round(100 * history[t - 1][6][r]), settings).action
        differing += ("continue" if found == "advance" else found) != ends.action[r]
    if (
        differing > rollouts // 8
    ):  # the simulated bandit approximates a probability, which may be near its limit
        raise AssertionError(f"{strategy}: {differing} of {rollouts} ends differ from the strategy's")
    return rollouts - differing


def decide(strategy: str, traffic: Traffic, share: int, settings: Any) -> Any:
    """Call a strategy."""
    weights = {"1": 100 - share, "2": share}
    if strategy == "bandit":
        return decide_bandit(traffic, weights, "1", settings)
    return decide_ab_test(traffic, {"1": 50, "2": 50}, "1", "2", settings)


def _arm(requests: Any, errors: Any, n: Any = (), wins: Any = ()) -> Arm:
    nothing = np.zeros(len(requests), int)
    parts = np.zeros((2, len(requests)))
    parts[0, : len(n)], parts[1, : len(wins)] = n, wins
    whole = Moments(int(parts[0].sum()), float(parts[1].sum()), float(parts[1].sum()))
    return Arm(
        requests,
        errors,
        nothing,
        nothing,
        nothing,
        outcomes=whole,
        all_outcomes=whole,
        outcome_periods=Moments(parts[0], parts[1], parts[1]),
    )


def simulate(number: int) -> tuple[dict[str, Any], list[float], dict[str, float], int]:
    """Simulate one line of the table: return it, its curve of regret, harm by check, and how many looks were compared."""
    random = np.random.default_rng([0, number])
    method, case = JOBS[number]
    if method is None:
        ends, more = canary(case, random)
        line = row("canary", case, ends, LOOK)
        return line, ends.curve.tolist(), more["by_check"], check_canary(more["history"])
    ends, history = compare(case, random, method)
    line = row(method.name, case, ends, method.requests)
    if method.fixed or method.horizon != HORIZON:
        return line, ends.curve.tolist(), {}, 0
    if not method.adaptive:
        line["least_regret"] = round(least_regret(case, ends, method.requests), 1)
    compared = check_comparison(history, ends, "bandit" if method.adaptive else "ab_test")
    return line, ends.curve.tolist(), {}, compared


def main() -> None:
    """Simulate, print the table, write the results."""
    started = time.perf_counter()
    rows, curves, compared, checks = [], {}, 0, {}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        for line, curve, by_check, looks in pool.map(simulate, range(len(JOBS))):
            rows.append(line)
            show(line)
            curves[line["strategy"], line["challenger"]] = curve
            compared += looks
            if by_check:
                checks[line["challenger"]] = by_check
    print(f"{compared} simulated looks agree with the strategies; {time.perf_counter() - started:.0f} s")
    write(rows, curves, checks, compared)


def show(line: dict[str, Any]) -> None:
    """Print a line of the table."""
    print(
        f"{line['strategy']:<24} {line['challenger']:<30} promoted {line['promote']:7.2%}  rolled back "
        f"{line['rollback']:7.2%}  stopped {line['stop']:7.2%}  undecided {line['continue']:7.2%}  "
        f"requests {line['requests_median']:>7,} (p95 {line['requests_p95']:>7,})  regret {line['regret']:8.1f}",
        flush=True,
    )


def find(rows: list[dict[str, Any]], strategy: str, challenger: str) -> dict[str, Any]:
    """Return a line."""
    return next(r for r in rows if (r["strategy"], r["challenger"]) == (strategy, challenger))


def aims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was aimed at and what came out."""
    found = []

    def add(aim: str, value: float, met: bool, least: float | None = None) -> None:
        found.append({"aim": aim, "value": round(value, 4), "met": bool(met), "least": least})

    tests = [method.name for method in COMPARISONS if not method.fixed]
    for strategy in ("canary", *tests):
        for harm in ("error rate doubled", "5 points fewer conversions"):
            value = find(rows, strategy, harm)["rollback"]
            add(f"{strategy}: {harm}, rolled back >= 99 %", value, value >= 0.99)
    for strategy in tests:
        value = find(rows, strategy, "equal")["promote"]
        add(f"{strategy}: equal, promoted as better <= 5 %", value, value <= 0.05)
    for strategy in ("canary", *tests):
        value = find(rows, strategy, "equal")["rollback"]
        add(f"{strategy}: equal, rolled back <= 5 %", value, value <= 0.05)
    pairs = [("bandit", "A/B test of fixed size"), ("bandit", "A/B test")]
    pairs.append((f"bandit, looks of {SOON}", f"A/B test, looks of {SOON}"))
    for ours, other in pairs:
        for effect in ("5 points more", "5 points fewer", "2 points more", "2 points fewer"):
            one, zero = (find(rows, s, f"{effect} conversions") for s in (ours, other))
            ratio = one["regret"] / zero["regret"]
            least = round(zero["least_regret"] / zero["regret"], 4) if "least_regret" in zero else None
            add(f"{ours}: regret <= half of the {other}'s, {effect}", ratio, ratio <= 0.5, least)
    return found


def write(rows: list[dict[str, Any]], curves: dict[Any, Any], checks: dict[str, Any], compared: int) -> None:
    """Write results/rollouts.json, .md and .html."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    setting = {
        "repeats": REPEATS,
        "requests_per_look": LOOK,
        "conversion_rate": RATE,
        "error_rate": ERRORS,
        "outcomes_known_after_looks": DELAY,
        "horizon_requests": HORIZON,
        "canary_requests_per_stage": HOLD * LOOK,
        "alpha": ALPHA,
        "beta": BETA,
        "min_effect": MIN_EFFECT,
        "looks_compared_with_strategies": compared,
    }
    content = {"setting": setting, "rollouts": rows, "canary_harm_by_check": checks, "aims": aims(rows)}
    (folder / "rollouts.json").write_text(json.dumps(content, indent=1) + "\n")
    titles = ["Strategy", "Challenger", "Promoted", "Rolled back", "Stopped", "Undecided"]
    titles += ["Requests to the decision (p95)", "Regret, conversions"]
    table = []
    for r in rows:
        ends = [f"{r[k]:.2%}" for k in ("promote", "rollback", "stop", "continue")]
        requests = f"{r['requests_median']:,} ({r['requests_p95']:,})"
        table.append([r["strategy"], r["challenger"], *ends, requests, f"{r['regret']:,.0f}"])
    lines = [
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *(f"| {' | '.join(r)} |" for r in table),
    ]
    lines += [
        "",
        "| Aim | Found | Met | Least that any allocation decided by this test reaches |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {a['aim']} | {a['value']:g} | {'yes' if a['met'] else '**no**'} | {a['least'] or ''} |"
        for a in aims(rows)
    ]
    (folder / "rollouts.md").write_text("\n".join(lines) + "\n")
    page = Page("Simulated rollouts", subtitle=f"{REPEATS:,} of each case, truth known")
    longer = {method.name for method in OVER_LONG}
    for effect in ("5 points fewer", "5 points more", "2 points fewer", "2 points more"):
        name = f"{effect} conversions"
        drawn = [
            charts.Series(
                s, [(i + 1) * HORIZON / 1000 / len(c) for i in range(len(c))], list(c), dashed=s == "canary"
            )
            for (s, challenger), c in curves.items()
            if challenger == name and s not in longer
        ]
        page.figure(
            charts.line(drawn, "thousand requests", "conversions lost so far", f"Challenger with {name}"),
            caption="Beside sending everything to the better version from the start; mean of all rollouts.",
        )
    page.table(
        [Column(t, numeric=i > 1) for i, t in enumerate(titles)], table, caption="How the rollouts ended."
    )
    page.write(folder / "rollouts.html")


if __name__ == "__main__":
    main()

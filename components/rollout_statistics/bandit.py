"""Multi-armed bandit: weights follow the outcomes, so that a worse arm costs less while it is being found out."""

import math
from collections.abc import Mapping

from penstock.components.rollout_statistics.ab_test import out_of_time, segment_rows
from penstock.components.rollout_statistics.decision import (
    ADVANCE,
    CONTINUE,
    PROMOTE,
    ROLLBACK,
    STOP,
    Decision,
    all_to,
    whole_percents,
)
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.means import Moments, log_e_above, scale_of_effects
from penstock.components.rollout_statistics.rates import log_e_two_rates
from penstock.components.rollout_statistics.settings import Guardrails, Outcome, Rollout
from penstock.components.rollout_statistics.thompson import best_shares, with_floor
from penstock.components.rollout_statistics.traffic import Traffic


def decide_bandit(traffic: Traffic, weights: Mapping[str, int], champion: str, rollout: Rollout) -> Decision:
    """Set weights by Thompson sampling; drop arms that harm or lose, promote the one that wins.

    All arms but the champion are challengers. A challenger is dropped (weight 0) when a guardrail shows harm or the
    champion is surely better; it is promoted when it is surely better than every other arm still in the race.
    "Surely" is a test that holds under weights chosen from the outcomes and at every look (rates.log_e_two_rates,
    means.log_e_above), at alpha / number of challengers. The probability of being best sets weights only: it is no test.
    """
    settings, outcome = rollout.bandit, rollout.outcome
    versions = list(traffic.arms)
    # An arm that was dropped before has weight 0 and stays out; without any weights yet all begin.
    challengers = [
        v for v in versions if v != champion and (not any(weights.values()) or weights.get(v, 0) > 0)
    ]
    off = Guardrails(**{**vars(rollout.guardrails), "outcome_drop": None})
    arms = {v: traffic.arms[v].all_outcomes for v in (champion, *challengers)}
    enough = {v: arm.n >= settings.min_outcomes for v, arm in arms.items()}
    needed = math.log(max(len(challengers), 1) / settings.alpha)
    numbers: dict[str, object] = {
        "arms": {v: {"n": int(arm.n), "mean": float(arm.mean)} for v, arm in arms.items()}
    }
    guarded: dict[str, object] = {}
    reasons, dropped, harmed = [], set(), False
    for v in challengers:
        findings = check_guardrails(traffic, champion, v, off, outcome)
        guarded[v] = {f.check: {"harm": f.harm, **f.numbers} for f in findings}
        harm = [f.sentence for f in findings if f.harm]
        worse = enough[v] and enough[champion] and log_e_better(arms[champion], arms[v], outcome) >= needed
        if harm or worse:
            dropped.add(v)
            harmed = True
            reasons += [f"version {v!r}: {sentence}" for sentence in harm]
        if worse:
            reasons.append(f"version {v!r} is worse than the champion: {_means(arms[v], arms[champion])}")
    numbers["guardrails"] = guarded[challengers[0]] if len(challengers) == 1 else guarded
    if len(challengers) == 1:
        numbers["segments"] = segment_rows(traffic, champion, challengers[0], rollout)
    left = [v for v in challengers if v not in dropped]
    if not left:
        action = ROLLBACK if harmed else STOP
        reasons = reasons or ["no challenger is in the race: the champion stays"]
        return Decision(action, all_to(champion, versions), tuple(reasons), numbers)
    for v in left:
        rivals = [r for r in (champion, *left) if r != v]
        if enough[v] and all(enough[r] and log_e_better(arms[v], arms[r], outcome) >= needed for r in rivals):
            reasons.insert(0, f"version {v!r} is the best: {_means(arms[v], arms[champion])}")
            return Decision(PROMOTE, all_to(v, versions), tuple(reasons), numbers)
    over = out_of_time(traffic, sum(a.n for a in arms.values()), settings.max_outcomes, settings.max_duration)
    if over:
        return Decision(STOP, all_to(champion, versions), (f"{over}: the champion stays", *reasons), numbers)
    race = {v: arms[v] for v in (champion, *left)}
    shares, wait = dict.fromkeys(race, 1 / len(race)), ""
    if all(enough[v] for v in race):
        shares = best_shares(race, outcome.kind, outcome.higher_is_better, settings.draws, settings.seed)
        numbers["best"] = shares
    else:
        wait = f"an arm has fewer than {settings.min_outcomes:,} outcomes: all get the same"
    percents = dict.fromkeys(versions, 0) | whole_percents(with_floor(shares, settings.floor / 100))
    changed = percents != {v: int(weights.get(v, 0)) for v in versions}
    told = [
        f"version {v!r} has a mean outcome of {arm.mean:.4g} ({int(arm.n):,})"
        + ("" if wait else f" and is the best with probability {shares[v]:.3g}")
        for v, arm in race.items()
    ]
    return Decision(
        ADVANCE if changed else CONTINUE,
        percents,
        (*reasons, *([wait] if wait else []), *told),
        numbers,
    )


def log_e_better(one: Moments, zero: Moments, outcome: Outcome) -> float:
    """Return the log of the evidence that arm one is better than arm zero, whoever chose the weights."""
    if outcome.kind == "binary":
        if outcome.higher_is_better:
            return float(log_e_two_rates(one.total, one.n, zero.total, zero.n))
        return float(log_e_two_rates(one.n - one.total, one.n, zero.n - zero.total, zero.n))
    if not outcome.higher_is_better:
        one, zero = (Moments(m.n, -m.total, m.squares) for m in (one, zero))
    return float(log_e_above(one, zero, scale_of_effects(zero)))


def _means(one: Moments, zero: Moments) -> str:
    return f"a mean outcome of {one.mean:.4g} ({int(one.n):,}) beside {zero.mean:.4g} ({int(zero.n):,})"

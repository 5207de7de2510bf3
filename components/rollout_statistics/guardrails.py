"""What would harm users: errors, refusals, slow answers, predictions that are no number, other scores, worse outcomes.

Each check tests "no worse than the limit allows" one-sidedly and stays valid at every look, so that a rollback can
come in the first look that shows harm. `alpha` is shared evenly by the checks that are on, and by the stages where a check
begins anew when the weights change (those whose distribution moves over a day: within a stage it moves for both alike).
"""

import math

from penstock.components.rollout_settings.settings import Guardrails, Outcome
from penstock.components.rollout_statistics.histograms import distance, quantile
from penstock.components.rollout_statistics.means import difference, scale_of_effects
from penstock.components.rollout_statistics.rates import log_e_ratio, log_e_two_rates
from penstock.components.rollout_statistics.traffic import Finding, Ints, Traffic

FEWEST_OUTCOMES = 50  # of each arm: the test of means rests on the central limit theorem


def check_guardrails(
    traffic: Traffic,
    champion: str,
    challenger: str,
    limits: Guardrails,
    outcome: Outcome,
    stages: int = 1,
    alone: bool = False,
) -> list[Finding]:
    """Return a finding for each guardrail that is on and has something to compare.

    Args:
        traffic: What the arms did.
        champion: Version of the champion.
        challenger: Version of the challenger.
        limits: What is harm.
        outcome: What outcomes are; without any in the traffic they are not checked.
        stages: How often at most the weights change.
        alone: Whether the challenger may end up with all traffic before it is promoted.
    """
    alpha = limits.alpha / checks_on(limits)
    rate_alpha = alpha / 2 if alone else alpha  # beside the champion, and after it
    zero, one = traffic.arms[champion], traffic.arms[challenger]
    found = []
    if limits.error_ratio:
        counts = (one.errors, one.requests, zero.errors, zero.requests)
        words = ("error_rate", "error rate", "requests")
        found.append(_rate(words, counts, limits.error_ratio, limits.error_increase, rate_alpha))
        counts = (one.refused, one.requests, zero.refused, zero.requests)
        words = ("refusals", "share of refused requests", "requests")
        found.append(_rate(words, counts, limits.error_ratio, limits.error_increase, rate_alpha))
    if limits.latency_ratio:
        found += _latency(traffic, champion, challenger, limits, alpha / stages)
    if limits.nan_ratio:
        counts = (one.nans, one.rows, zero.nans, zero.rows)
        words = ("nan_share", "share of predictions that are no number", "predictions")
        found.append(_rate(words, counts, limits.nan_ratio, limits.nan_increase, rate_alpha))
    if limits.score_distance:
        found += _scores(traffic, champion, challenger, limits, alpha / stages)
    if limits.outcome_drop is not None:
        found += _outcomes(traffic, champion, challenger, limits.outcome_drop, outcome, alpha / stages)
    return found


def checks_on(limits: Guardrails) -> int:
    """Return how many checks share alpha; limits on errors hold for refusals, too."""
    on = (
        limits.error_ratio,
        limits.error_ratio,
        limits.latency_ratio,
        limits.nan_ratio,
        limits.score_distance,
    )
    return max(sum(map(bool, on)) + (limits.outcome_drop is not None), 1)


def _rate(
    words: tuple[str, str, str],
    counts: tuple[Ints, Ints, Ints, Ints],
    ratio: float,
    increase: float,
    alpha: float,
) -> Finding:
    """Compare a rate period by period, and with the champion's earlier one where the challenger is alone."""
    name, what, unit = words
    k1, n1, k0, n0 = counts
    alone = (n1 > 0) & (n0 == 0)
    together = float(log_e_ratio(k1, n1, k0, n0, ratio))
    later = float(log_e_two_rates(k1[alone].sum(), n1[alone].sum(), k0.sum(), n0.sum(), ratio))
    use_later = bool(alone.any()) and n0.sum() > 0
    rate1, rate0 = k1.sum() / max(n1.sum(), 1), k0.sum() / max(n0.sum(), 1)
    harmful = together >= math.log(1 / alpha) and rate1 - rate0 >= increase
    if use_later and later >= math.log(1 / alpha):
        alone_rate = k1[alone].sum() / n1[alone].sum()
        harmful = harmful or alone_rate - rate0 >= increase
    sentence = (
        f"the {what} is {_percent(rate1)} of {int(n1.sum()):,} {unit}, the champion's {_percent(rate0)} of "
        f"{int(n0.sum()):,}"
    )
    doubt = bool(max(together, later if use_later else 0.0) > 0 and rate1 - rate0 >= increase)
    sentence += _ending(harmful, doubt, f"more than {ratio:g} times")
    numbers = {
        "challenger": float(rate1),
        "champion": float(rate0),
        "challenger_n": int(n1.sum()),
        "champion_n": int(n0.sum()),
        "log_evidence": max(together, later) if use_later else together,
        "log_evidence_needed": math.log(1 / alpha),
    }
    return Finding(name, harmful, sentence, numbers, doubt)


def _latency(
    traffic: Traffic, champion: str, challenger: str, limits: Guardrails, alpha: float
) -> list[Finding]:
    one = quantile(traffic.arms[challenger].latency, limits.latency_quantile, alpha / 2)
    zero = quantile(traffic.arms[champion].latency, limits.latency_quantile, alpha / 2)
    if not one.n or not zero.n:
        return []
    harmful = one.low > limits.latency_ratio * zero.high
    doubt = one.value > limits.latency_ratio * zero.value
    name = f"p{100 * limits.latency_quantile:g}"
    sentence = (
        f"the {name} latency is {one.value:.3g} ms, the champion's {zero.value:.3g} ms"
        f"{_ending(harmful, doubt, f'more than {limits.latency_ratio:g} times')}"
    )
    numbers = {
        "challenger": one.value,
        "challenger_low": one.low,
        "champion": zero.value,
        "champion_high": zero.high if math.isfinite(zero.high) else None,
        "challenger_n": one.n,
        "champion_n": zero.n,
    }
    return [Finding("latency", harmful, sentence, numbers, doubt)]


def _scores(
    traffic: Traffic, champion: str, challenger: str, limits: Guardrails, alpha: float
) -> list[Finding]:
    found = distance(traffic.arms[challenger].scores, traffic.arms[champion].scores, alpha)
    if found is None:
        return []
    harmful = found.low > limits.score_distance
    doubt = found.total_variation > limits.score_distance
    sentence = f"{_percent(found.total_variation)} of the scores lie elsewhere than the champion's" + _ending(
        harmful, doubt, f"surely more than {_percent(limits.score_distance)}"
    )
    return [Finding("score_distribution", harmful, sentence, found._asdict(), doubt)]


def _outcomes(
    traffic: Traffic, champion: str, challenger: str, drop: float, outcome: Outcome, alpha: float
) -> list[Finding]:
    one, zero = traffic.arms[challenger].outcomes, traffic.arms[champion].outcomes
    if min(one.n, zero.n) < FEWEST_OUTCOMES:
        return []
    found = difference(one, zero, scale_of_effects(zero, drop), 2 * alpha)  # one side of two
    sign = 1 if outcome.higher_is_better else -1
    best = float(found.high if outcome.higher_is_better else -found.low)
    harmful = best < -drop
    sentence = (
        f"the mean outcome is {one.mean:.4g} of {int(one.n):,}, the champion's {zero.mean:.4g} of {int(zero.n):,}"
        + (f": worse by more than {drop:g}, which is harm" if harmful else ": no harm shown")
    )
    numbers = {
        "challenger": float(one.mean),
        "champion": float(zero.mean),
        "difference": float(found.value),
        "low": _finite(found.low),
        "high": _finite(found.high),
        "gain_at_best": _finite(best),
        "higher_is_better": sign == 1,
        "challenger_n": int(one.n),
        "champion_n": int(zero.n),
    }
    return [Finding("outcome", harmful, sentence, numbers)]


def _ending(harmful: bool, doubt: bool, limit: str) -> str:
    if harmful:
        return f": {limit}, which is harm"
    return ": this looks like harm, but may be chance" if doubt else ": no harm shown"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

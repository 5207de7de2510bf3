"""On which data one arm does better than the other, when many segments are looked at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.components.rollout_statistics.means import Moments, difference, log_e_above, scale_of_effects
from penstock.components.rollout_statistics.rates import log_e_two_rates

FEWEST = 30  # outcomes of each arm: fewer are not compared


@dataclass(frozen=True)
class SegmentResult:
    """One segment.

    Args:
        column: Whose value it is.
        value: The value.
        champion: Outcomes of the champion.
        challenger: Outcomes of the challenger.
        difference: Challenger less champion; None with too few outcomes.
        low: Lower bound, right for all segments together; None where unbounded.
        high: Upper bound.
        better: champion, challenger, undecided, or too few.
    """

    column: str
    value: str
    champion: Moments
    challenger: Moments
    difference: float | None
    low: float | None
    high: float | None
    better: str


def compare_segments(
    outcomes: Mapping[tuple[str, str], tuple[Moments, Moments]],
    kind: str,
    higher_is_better: bool,
    alpha: float,
) -> list[SegmentResult]:
    """Compare the arms in each segment, valid at whatever looks.

    Who did better is decided by e-BH (Wang and Ramdas 2022, "False discovery rate control with e-values"): of the segments
    that are called, a share of alpha at most is expected to be wrong, however they hang together. Bounds are
    confidence sequences at alpha / number of segments (Bonferroni).

    Args:
        outcomes: Champion's and challenger's outcomes by column and value.
        kind: binary or number.
        higher_is_better: Whether a larger mean is better.
        alpha: See above.
    """
    tested = {key: pair for key, pair in outcomes.items() if min(pair[0].n, pair[1].n) >= FEWEST}
    evidence = {key: _log_e(champion, challenger, kind) for key, (champion, challenger) in tested.items()}
    called = e_bh(list(evidence.values()), alpha)
    decided = {key for key, yes in zip(evidence, called, strict=True) if yes}
    results = []
    for (column, value), (champion, challenger) in outcomes.items():
        key = (column, value)
        if key not in tested:
            results.append(SegmentResult(column, value, champion, challenger, None, None, None, "too few"))
            continue
        found = difference(challenger, champion, scale_of_effects(champion), alpha / len(tested))
        gap = float(found.value)
        better = "undecided"
        if key in decided:
            better = "challenger" if (gap > 0) == higher_is_better else "champion"
        low, high = (float(b) if math.isfinite(b) else None for b in (found.low, found.high))
        results.append(SegmentResult(column, value, champion, challenger, gap, low, high, better))
    return results


def e_bh(log_e: Sequence[float], alpha: float) -> list[bool]:
    """Return which hypotheses are rejected: the k largest e-values where the k-th is at least m / (alpha k)."""
    order = sorted(range(len(log_e)), key=lambda i: -log_e[i])
    m = len(log_e)
    count = max((k for k in range(1, m + 1) if log_e[order[k - 1]] >= math.log(m / (alpha * k))), default=0)
    rejected = set(order[:count])
    return [i in rejected for i in range(m)]


def _log_e(champion: Moments, challenger: Moments, kind: str) -> float:
    """Return the log evidence for a difference in either direction: the mean of both one-sided e-values."""
    if kind == "binary":
        up = log_e_two_rates(challenger.total, challenger.n, champion.total, champion.n)
        down = log_e_two_rates(champion.total, champion.n, challenger.total, challenger.n)
    else:
        tau = scale_of_effects(champion)
        up, down = log_e_above(challenger, champion, tau), log_e_above(champion, challenger, tau)
    return float(max(float(up), float(down)) - math.log(2))

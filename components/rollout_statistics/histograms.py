"""Durations and scores in bins, and what is inferred from the counts: quantiles, and how far two distributions lie apart.

Bins have fixed limits, so that counts of any two files add up. Inference holds at whatever and however many looks.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from penstock.components.rollout_statistics.rates import log_likelihood, log_mixture

Floats: TypeAlias = NDArray[np.float64]
Counts = Mapping[int, int]  # bin -> how many

PER_OCTAVE = 16  # a bin of durations is 4.4 % wide
SHORTEST_MS = 1e-3
SCORES_PER_UNIT = 200  # bins of scores from 0 to 1
OUTSIDE = 1_000  # bins of other scores begin here (and at minus this), 8 to an octave
SCORES_PER_OCTAVE = 8
GROUPS = 10  # to which scores are merged: the champion's deciles
FEWEST_SCORES = 200


def duration_bin(milliseconds: float) -> int:
    """Return the bin of a duration."""
    return math.floor(math.log2(max(milliseconds, SHORTEST_MS)) * PER_OCTAVE)


def duration_edges(bin_: int) -> tuple[float, float]:
    """Return the limits of a bin in milliseconds."""
    return 2 ** (bin_ / PER_OCTAVE), 2 ** ((bin_ + 1) / PER_OCTAVE)


def score_bin(score: float) -> int:
    """Return the bin of a score: even ones from 0 to 1, beyond them ever wider ones."""
    if 0 <= score <= 1:
        return min(int(score * SCORES_PER_UNIT), SCORES_PER_UNIT - 1)
    size = math.floor(math.log2(max(abs(score), 2.0**-60)) * SCORES_PER_OCTAVE)
    return OUTSIDE + 500 + size if score > 0 else -(OUTSIDE + 500 + size)


def score_edges(bin_: int) -> tuple[float, float]:
    """Return the limits of a bin of scores."""
    if abs(bin_) < OUTSIDE:
        return bin_ / SCORES_PER_UNIT, (bin_ + 1) / SCORES_PER_UNIT
    size = abs(bin_) - OUTSIDE - 500
    low, high = 2 ** (size / SCORES_PER_OCTAVE), 2 ** ((size + 1) / SCORES_PER_OCTAVE)
    return (low, high) if bin_ > 0 else (-high, -low)


class Quantile(NamedTuple):
    """A quantile with its confidence sequence; infinite where the data bound nothing."""

    value: float
    low: float
    high: float
    n: int


def quantile(counts: Counts, share: float, alpha: float) -> Quantile:
    """Return a quantile of durations in ms, each bound right with probability 1 - alpha over all looks.

    Values up to the quantile are a yes-or-no event with the known rate `share`; a limit of a bin is excluded when the
    number of values up to it is too small or too large for that rate (Howard and Ramdas 2022, "Sequential
    estimation of quantiles with applications to A/B testing and best-arm identification"; the bound is
    `rates`'). Bounds are limits of bins, the value is interpolated in its bin.
    """
    bins = sorted(counts)
    values = np.array([counts[b] for b in bins], float)
    n = int(values.sum())
    if n == 0:
        return Quantile(math.nan, 0.0, math.inf, 0)
    up_to = values.cumsum()
    excluded = log_mixture(up_to, n) - log_likelihood(up_to, n, share) >= math.log(1 / alpha)
    too_few, too_many = excluded & (up_to < share * n), excluded & (up_to > share * n)
    low = duration_edges(bins[int(np.flatnonzero(too_few)[-1])])[1] if too_few.any() else 0.0
    high = duration_edges(bins[int(np.flatnonzero(too_many)[0])])[1] if too_many.any() else math.inf
    at = min(int(np.searchsorted(up_to, share * n)), len(bins) - 1)
    left, right = duration_edges(bins[at])
    inside = (share * n - (up_to[at] - values[at])) / values[at]
    return Quantile(left * (right / left) ** min(max(inside, 0.0), 1.0), low, high, n)


class Distance(NamedTuple):
    """How far two distributions of scores lie apart.

    Args:
        total_variation: Share of the scores that would have to move, 0 to 1.
        low: Lower bound of it.
        jensen_shannon: In bits, 0 to 1.
        stability_index: Population stability index; above 0.2 is usually called a large shift.
    """

    total_variation: float
    low: float
    jensen_shannon: float
    stability_index: float


def distance(challenger: Counts, champion: Counts, alpha: float) -> Distance | None:
    """Return how far the challenger's scores are from the champion's; None with fewer than 200 of either.

    Scores are merged into the champion's deciles. The bound takes from the observed distance what either
    sample may be off: by Pinsker's inequality sqrt(KL / 2), where n KL <= log(1 / alpha) + log(largest likelihood
    / Dirichlet mixture) holds over all looks (the multinomial confidence sequence of Lindon and Malek 2022,
    "Anytime-valid inference for multinomial count data").
    """
    if min(sum(challenger.values()), sum(champion.values())) < FEWEST_SCORES:
        return None
    one, zero = in_groups(challenger, champion)
    p, q = one / one.sum(), zero / zero.sum()
    total_variation = 0.5 * float(np.abs(p - q).sum())
    off = radius(one, alpha / 2) + radius(zero, alpha / 2)
    middle = (p + q) / 2
    jensen_shannon = float(0.5 * (xlogy(p, p / middle) + xlogy(q, q / middle)).sum() / math.log(2))
    smooth_p, smooth_q = (one + 0.5) / (one + 0.5).sum(), (zero + 0.5) / (zero + 0.5).sum()
    stability = float(((smooth_p - smooth_q) * np.log(smooth_p / smooth_q)).sum())
    return Distance(total_variation, max(0.0, total_variation - off), jensen_shannon, stability)


def in_groups(challenger: Counts, champion: Counts) -> tuple[Floats, Floats]:
    """Merge the bins of both into about ten groups of which each holds a tenth of the champion's."""
    bins = sorted(set(challenger) | set(champion), key=lambda b: score_edges(b)[0])
    one = np.array([challenger.get(b, 0) for b in bins], float)
    zero = np.array([champion.get(b, 0) for b in bins], float)
    before = zero.cumsum() - zero
    group = np.floor(before / zero.sum() * GROUPS - 1e-9).astype(int).clip(0, GROUPS - 1)
    return np.bincount(group, one, GROUPS), np.bincount(group, zero, GROUPS)


def radius(counts: Floats, alpha: float) -> float:
    """Return how far in total variation the true distribution may lie from the counted one, over all looks."""
    n, k = counts.sum(), len(counts)
    largest = float(xlogy(counts, counts / n).sum())
    mixture = float(gammaln(0.5 * k) - gammaln(n + 0.5 * k) + (gammaln(counts + 0.5) - gammaln(0.5)).sum())
    return math.sqrt(max(math.log(1 / alpha) + largest - mixture, 0.0) / n / 2)

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
    first, last = (int(at) for at in quantile_bins(values, share, alpha))
    low = duration_edges(bins[first])[1] if first >= 0 else 0.0
    high = duration_edges(bins[last])[1] if last < len(bins) else math.inf
    at = min(int(np.searchsorted(up_to, share * n)), len(bins) - 1)
    left, right = duration_edges(bins[at])
    inside = (share * n - (up_to[at] - values[at])) / values[at]
    return Quantile(left * (right / left) ** min(max(inside, 0.0), 1.0), low, high, n)


def quantile_bins(values: Floats, share: float, alpha: float) -> tuple[Floats, Floats]:
    """Return the bins whose upper limits bound a quantile from below (-1: none) and above (their number: none).

    Args:
        values: Counts in the order of the bins, shape (..., bins).
        share: Which quantile.
        alpha: Chance that either bound is ever wrong.
    """
    up_to = values.cumsum(axis=-1)
    n = up_to[..., -1:]
    excluded = log_mixture(up_to, n) - log_likelihood(up_to, n, share) >= math.log(1 / alpha)
    # `up_to` rises: what is excluded as too few comes first, what is excluded as too many last.
    too_few = (excluded & (up_to < share * n)).sum(axis=-1)
    too_many = (excluded & (up_to > share * n)).sum(axis=-1)
    return too_few - 1, values.shape[-1] - too_many


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
    off = float(radius(one, alpha / 2) + radius(zero, alpha / 2))
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


def radius(counts: Floats, alpha: float) -> Floats:
    """Return how far in total variation the truth may lie from what was counted, over all looks.

    Args:
        counts: Of each group, shape (..., groups).
        alpha: Chance that it ever lies farther.
    """
    n, k = counts.sum(axis=-1), counts.shape[-1]
    largest = xlogy(counts, counts / np.maximum(n, 1)[..., None]).sum(axis=-1)
    each = (gammaln(counts + 0.5) - gammaln(0.5)).sum(axis=-1)
    mixture = gammaln(0.5 * k) - gammaln(n + 0.5 * k) + each
    return np.sqrt(np.maximum(math.log(1 / alpha) + largest - mixture, 0.0) / np.maximum(n, 1) / 2)

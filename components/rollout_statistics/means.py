"""The difference of two means, with inference that holds at whatever and however many looks.

The mixture sequential probability ratio test of Johari, Koomen, Pekelis and Walsh 2017, "Peeking at A/B tests"
(and 2022, "Always valid inference: continuous monitoring of A/B tests"). With the estimated difference d and its
variance V = s1^2 / n1 + s0^2 / n0, the evidence against a true difference of t is

    L(t) = sqrt(V / (V + tau^2)) exp(tau^2 (d - t)^2 / (2 V (V + tau^2)))

and all t with L(t) < 1 / alpha are a confidence sequence. It rests on the central limit theorem from the first
look on: the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
"Time-uniform central limit theory and asymptotic confidence sequences", has the same form.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
SMALL_EFFECT = 0.1  # in standard deviations: where the test is made sharpest when nothing else is known


@dataclass(frozen=True)
class Moments:
    """What is kept of values: how many, their sum and the sum of their squares. Fields may be arrays."""

    n: Any = 0
    total: Any = 0.0
    squares: Any = 0.0

    @property
    def mean(self) -> Any:
        """The mean; 0 of nothing."""
        return self.total / np.maximum(self.n, 1)

    @property
    def variance(self) -> Any:
        """The variance with n - 1; 0 of fewer than two."""
        inner = self.squares - self.n * np.square(self.mean)
        return np.maximum(inner, 0.0) / np.maximum(self.n - 1, 1)


class Difference(NamedTuple):
    """A difference with its confidence sequence, and the log evidence that it is not 0."""

    value: Any
    low: Any
    high: Any
    log_e: Any


def scale_of_effects(champion: Moments, min_effect: float = 0.0) -> Any:
    """Return tau: twice the smallest effect that matters, or a small one of the champion's spread if larger."""
    return np.maximum(2 * min_effect, np.maximum(SMALL_EFFECT * np.sqrt(champion.variance), 1e-12))


def difference(one: Moments, zero: Moments, tau: Any, alpha: float) -> Difference:
    """Return mean 1 less mean 0 with its confidence sequence; unbounded where an arm has fewer than 2 values.

    Args:
        one: Values of arm 1.
        zero: Values of arm 0.
        tau: Standard deviation of the mixture: effects about this large are found soonest.
        alpha: Chance that the truth is ever outside, over all looks.
    """
    variance = one.variance / np.maximum(one.n, 1) + zero.variance / np.maximum(zero.n, 1)
    known = (np.asarray(one.n) >= 2) & (np.asarray(zero.n) >= 2) & (variance > 0)
    return _sequence(one.mean - zero.mean, np.where(known, variance, 0.0), tau, alpha)


def difference_by_period(one: Moments, zero: Moments, tau: Any, alpha: float) -> Difference:
    """Return the difference as a weighted mean of the differences within periods, with its confidence sequence.

    Where weights follow outcomes, or the means move over a day while the weights change, plain means compare different
    times. Within a period both arms see the same: d = sum(d_t / V_t) / sum(1 / V_t), V = 1 / sum(1 / V_t), with
    V_t = s1^2 / n1_t + s0^2 / n0_t, whose weights depend on counts alone. Given the past each d_t is unbiased, so the
    sum is a martingale also under a bandit's weights. Periods that only one arm has served say nothing.

    Args:
        one: Values of arm 1, fields of shape (..., periods).
        zero: Values of arm 0.
        tau: As of `difference`.
        alpha: As of `difference`.
    """
    both = (np.asarray(one.n) > 0) & (np.asarray(zero.n) > 0)
    wholes = [Moments(*(np.sum(part, axis=-1) for part in (m.n, m.total, m.squares))) for m in (one, zero)]
    s1, s0 = (whole.variance for whole in wholes)
    spread = np.stack([s1, s0]).max(axis=0) if np.ndim(s1) else max(s1, s0)
    s1, s0 = (np.where(s > 0, s, spread)[..., None] for s in (s1, s0))
    inner = s1 / np.maximum(one.n, 1) + s0 / np.maximum(zero.n, 1)
    information = np.where(both & (inner > 0), 1 / np.maximum(inner, 1e-300), 0.0)
    total = information.sum(axis=-1)
    value = (information * (one.mean - zero.mean)).sum(axis=-1) / np.maximum(total, 1e-300)
    variance = np.where(total > 0, 1 / np.maximum(total, 1e-300), 0.0)
    return _sequence(value, variance, tau, alpha)


def _sequence(value: Any, variance: Any, tau: Any, alpha: float) -> Difference:
    """Apply the formula of the module; a variance of 0 stands for unknown."""
    known = variance > 0
    v, t2 = np.where(known, variance, 1.0), np.square(tau)
    radius = np.sqrt(v * (v + t2) / t2 * (2 * np.log(1 / alpha) + np.log((v + t2) / v)))
    radius = np.where(known, radius, np.inf)
    log_e = 0.5 * np.log(v / (v + t2)) + t2 * np.square(value) / (2 * v * (v + t2))
    return Difference(value, value - radius, value + radius, np.where(known, log_e, 0.0))


def log_e_above(one: Moments, zero: Moments, tau: Any) -> Any:
    """Return the log of the evidence that mean 1 is above mean 0, when outcomes chose who got the trials.

    The product of both arms' mixture martingales, smallest over equal means: with c = n^2 tau^2 / (2 s^2 (s^2 + n tau^2))
    of each arm it is c1 c0 / (c1 + c0) d^2 less both penalties (Kaufmann and Koolen 2021, as in
    `rates.log_e_two_rates`).
    """
    t2 = np.square(tau)
    spread = np.maximum((one.variance + zero.variance) / 2, 1e-300)
    s1 = np.where(one.variance > 0, one.variance, spread)
    s0 = np.where(zero.variance > 0, zero.variance, spread)
    c1 = np.square(one.n) * t2 / (2 * s1 * (s1 + one.n * t2))
    c0 = np.square(zero.n) * t2 / (2 * s0 * (s0 + zero.n * t2))
    gap = one.mean - zero.mean
    penalty = 0.5 * np.log1p(one.n * t2 / s1) + 0.5 * np.log1p(zero.n * t2 / s0)
    enough = (np.asarray(one.n) >= 2) & (np.asarray(zero.n) >= 2)
    gained = np.where(gap > 0, c1 * c0 / np.maximum(c1 + c0, 1e-300) * np.square(gap), 0.0)
    return np.where(enough, gained - penalty, 0.0)


def mean_bounds(values: Moments, alpha: float) -> tuple[Any, Any]:
    """Return the confidence sequence of one mean, as `difference` of it and a known 0."""
    known = (np.asarray(values.n) >= 2) & (values.variance > 0)
    variance = np.where(known, values.variance / np.maximum(values.n, 1), 0.0)
    found = _sequence(values.mean, variance, scale_of_effects(values), alpha)
    return found.low, found.high

"""Rates of yes-or-no events, with inference that holds at whatever and however many looks.

Of k events in n trials, M(p) = B(a + k, b + n - k) / B(a, b) / (p^k (1 - p)^(n - k)) is a martingale of mean 1 when
p is the true rate (the mixture likelihood ratio of Robbins 1970, "Statistical methods related to the law of the
iterated logarithm"; the beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform,
nonparametric, nonasymptotic confidence sequences"). By Ville's inequality M ever reaches 1 / alpha with
probability alpha at most. All functions take arrays and broadcast.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp, xlog1py, xlogy

Floats: TypeAlias = NDArray[np.float64]
PRIOR = 0.5  # a = b = 1/2 (Jeffreys): loses least at rates near 0 and 1, where error rates are
STEPS = 60  # of a bisection: beyond the precision of a double

# Alternatives over the limit, r / ratio, of the mixture in `log_e_ratio`: from 3 % to 30 times, the
# weights fall by half with each doubling, since most harm is not extreme.
LOG_STEPS = np.linspace(np.log(1.03), np.log(30.0), 40)
LOG_WEIGHTS = -LOG_STEPS - logsumexp(-LOG_STEPS)


def log_mixture(events: Any, trials: Any) -> Floats:
    """Return log B(a + k, b + n - k) - log B(a, b)."""
    k, n = np.asarray(events, float), np.asarray(trials, float)
    return np.asarray(betaln(PRIOR + k, PRIOR + n - k) - betaln(PRIOR, PRIOR))


def log_likelihood(events: Any, trials: Any, rate: Any) -> Floats:
    """Return k log p + (n - k) log(1 - p), with 0 log 0 = 0."""
    k, n = np.asarray(events, float), np.asarray(trials, float)
    return np.asarray(xlogy(k, rate) + xlog1py(n - k, -np.asarray(rate, float)))


def rate_bounds(events: Any, trials: Any, alpha: float) -> tuple[Floats, Floats]:
    """Return the confidence sequence of a rate: all p with M(p) < 1 / alpha; 0 to 1 without trials.

    Args:
        events: k, from 0 to n.
        trials: n.
        alpha: Chance that the truth is ever outside, over all looks.
    """
    k, n = np.broadcast_arrays(np.asarray(events, float), np.asarray(trials, float))
    best = np.where(n > 0, k / np.maximum(n, 1), 0.5)
    limit = log_mixture(k, n) + np.log(alpha)  # p is inside when its log likelihood is above

    def edge(outside: Floats) -> Floats:
        inside = best.copy()
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            within = log_likelihood(k, n, middle) > limit
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        return np.asarray(inside)

    low, high = edge(np.zeros_like(best)), edge(np.ones_like(best))
    return np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high)


def log_e_two_rates(events1: Any, trials1: Any, events0: Any, trials0: Any, ratio: float = 1.0) -> Floats:
    """Return the log of the evidence that rate 1 is above `ratio` times rate 0; below 0 where it seems not.

    The smallest M1(p1) M0(p0) over the hypothesis p1 <= ratio p0. Reaching log(1 / alpha) at any time has probability
    alpha at most under the hypothesis, also when earlier outcomes chose who got the trials, as in a bandit
    (Kaufmann and Koolen 2021, "Mixture martingales revisited with applications to sequential tests and
    confidence intervals"). Rates must not change over time: `log_e_ratio` is for those that do.
    """
    k1, n1, k0, n0 = (np.asarray(a, float) for a in (events1, trials1, events0, trials0))
    # The largest likelihood under p1 = ratio p0 =: ratio p solves ratio N p^2 - b p + K = 0.
    total, events = n1 + n0, k1 + k0
    b = events * (1 + ratio) + ratio * (n1 - k1) + (n0 - k0)
    root = (b - np.sqrt(np.maximum(b * b - 4 * ratio * total * events, 0))) / np.maximum(2 * ratio * total, 1)
    above = k1 * n0 > ratio * k0 * n1
    p0 = np.where(above, np.clip(root, 0.0, 1.0 / max(ratio, 1.0)), k0 / np.maximum(n0, 1))
    p1 = np.where(above, np.minimum(ratio * p0, 1.0), k1 / np.maximum(n1, 1))
    return np.asarray(
        log_mixture(k1, n1) + log_mixture(k0, n0) - log_likelihood(k1, n1, p1) - log_likelihood(k0, n0, p0)
    )


def log_e_ratio(
    events1: Any, trials1: Any, events0: Any, trials0: Any, ratio: float, above: bool = True
) -> Floats:
    """Return the log of the evidence that rate 1 over rate 0 is above (or below) `ratio`, period by period.

    Given a period's trials and its events of both arms together, an event is of arm 1 with probability
    q(r) = r n1 / (r n1 + n0). So the rate itself may change from period to period, which it does
    over a day, and so may the arms' shares. The evidence is the likelihood ratio of q(r) and q(ratio), multiplied
    over the periods and mixed over r > ratio (r < ratio): the sequential test of Lindon, Sanden and Shirikian
    2022, "Rapid regression detection in software deployments through sequential testing", for counts. For rare
    events it is exact; otherwise, given the totals, the counts spread less than binomial ones: it errs on the safe
    side. Periods that only one arm has served say nothing.

    Args:
        events1: Events of arm 1, shape (..., periods).
        trials1: Its trials.
        events0: Events of arm 0.
        trials0: Its trials.
        ratio: The limit, above 0.
        above: Whether the hypothesis to reject is "at most ratio" (True) or "at least ratio".

    Returns:
        Shape (...).
    """
    return np.asarray(mix(log_ratios(events1, trials1, events0, trials0, ratio, above).sum(axis=-2)))


def log_ratios(
    events1: Any, trials1: Any, events0: Any, trials0: Any, ratio: float, above: bool = True
) -> Floats:
    """Return each period's log likelihood ratio of each alternative, shape (..., periods, alternatives)."""
    k1, n1, k0, n0 = np.broadcast_arrays(
        *(np.asarray(a, float)[..., None] for a in (events1, trials1, events0, trials0))
    )
    log_change = LOG_STEPS if above else -LOG_STEPS
    both = (n1 > 0) & (n0 > 0)
    n1, n0 = np.where(both, n1, 1.0), np.where(both, n0, 1.0)
    shrink = np.log((n1 * ratio * np.exp(log_change) + n0) / (n1 * ratio + n0))
    return np.where(both, k1 * log_change - (k1 + k0) * shrink, 0.0)


def mix(log_ratio: Floats) -> Floats:
    """Return the log of the weighted mean over the alternatives, the last axis, of likelihood ratios."""
    return np.asarray(logsumexp(log_ratio + LOG_WEIGHTS, axis=-1))

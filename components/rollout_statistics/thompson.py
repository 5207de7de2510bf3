"""Thompson sampling: each arm's weight is the probability that it is the best one, as far as is known.

Thompson 1933, "On the likelihood that one unknown probability exceeds another"; in batches with late outcomes as
Chapelle and Li 2011, "An empirical evaluation of Thompson sampling": an outcome that is not there yet changes
nothing, and sampling keeps exploring meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from penstock.components.rollout_statistics.means import Moments

Floats: TypeAlias = NDArray[np.float64]


def draw_binary(arms: Sequence[Moments], draws: int, random: np.random.Generator) -> Floats:
    """Draw rates from the posterior Beta(1 + successes, 1 + failures) of each arm: shape (draws, arms)."""
    return np.column_stack([random.beta(1 + a.total, 1 + a.n - a.total, draws) for a in arms])


def draw_numbers(arms: Sequence[Moments], draws: int, random: np.random.Generator) -> Floats:
    """Draw means from each arm's posterior: shape (draws, arms).

    Mean and variance are unknown: a normal-inverse-gamma prior with the pooled mean m and variance s^2, worth one
    observation (kappa = 1, a = 1, b = s^2), gives a mean m' + t sqrt(b' / (a' kappa')), t with 2 a' degrees of freedom
    (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", eqs. 197-200 and 206).
    """
    pooled = Moments(sum(a.n for a in arms), sum(a.total for a in arms), sum(a.squares for a in arms))
    middle, spread = float(pooled.mean), max(float(pooled.variance), 1e-12)
    columns = []
    for arm in arms:
        kappa, a = 1 + arm.n, 1 + arm.n / 2
        mean = (middle + arm.total) / kappa
        inner = max(arm.squares - arm.n * arm.mean**2, 0.0)
        b = spread + inner / 2 + arm.n * (arm.mean - middle) ** 2 / (2 * kappa)
        columns.append(mean + random.standard_t(2 * a, draws) * np.sqrt(b / (a * kappa)))
    return np.column_stack(columns)


def best_shares(
    arms: Mapping[str, Moments], kind: str, higher_is_better: bool, draws: int, seed: int
) -> dict[str, float]:
    """Return each arm's probability of being the best.

    Args:
        arms: Outcomes of each arm.
        kind: binary or number.
        higher_is_better: Whether a larger mean is better.
        draws: Draws from the posteriors.
        seed: Seed of the draws.
    """
    random = np.random.default_rng(seed)
    draw = draw_binary if kind == "binary" else draw_numbers
    drawn = draw(list(arms.values()), draws, random)
    best = drawn.argmax(axis=1) if higher_is_better else drawn.argmin(axis=1)
    shares = np.bincount(best, minlength=len(arms)) / draws
    return {name: float(share) for name, share in zip(arms, shares, strict=True)}


def with_floor(shares: Mapping[str, float], floor: float) -> dict[str, float]:
    """Return shares of which each is at least `floor`, what is above it scaled down alike.

    Args:
        shares: Sum to 1.
        floor: At most 1 / number of arms; more is taken as that.
    """
    floor = min(floor, 1 / len(shares))
    return {name: floor + (1 - floor * len(shares)) * share for name, share in shares.items()}

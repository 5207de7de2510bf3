"""What outcomes show of a challenger: better, worse, not better by an effect that matters, or nothing yet.

Three one-sided tests by confidence sequences (means.py), each of which holds at whatever looks:

    better   the gain is above 0                     wrong of an equal challenger: at most alpha
    worse    the gain is below 0                     wrong of an equal challenger: at most alpha
    futile   the gain is below the smallest effect   wrong of one that is better by it: at most beta

alpha and beta are Wald's (1945, "Sequential tests of statistical hypotheses"). A bound at level 2 alpha on both sides is
one at alpha on each (one-sided normal mixture: Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric,
nonasymptotic confidence sequences"). Any scale tau of the mixture is valid; each test takes the one at which it has to
tell apart: effects of some size for 0, the smallest effect for futility. So an equal challenger is found out sooner, and a
harmful one is shown to be worse before it is called "not better", which at one scale and level would come first always.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from penstock.components.rollout_settings.settings import ABTest, Bandit
from penstock.components.rollout_statistics.decision import ROLLBACK, STOP, Decision, all_to
from penstock.components.rollout_statistics.means import Difference, Moments, scale_of_effects
from penstock.components.rollout_statistics.traffic import Finding

Settings: TypeAlias = ABTest | Bandit
BETTER, WORSE, FUTILE, OPEN = "better", "worse", "futile", "open"


class Gain(NamedTuple):
    """By how much the challenger's mean outcome is better, in units of the outcome; more is better.

    Args:
        value: Estimate.
        low: The truth is below with a chance of alpha at most, over all looks.
        high: ... above with a chance of alpha at most.
        at_most: ... above with a chance of beta at most.
        p_value: Of "no different", one-sided and always valid.
    """

    value: float
    low: float
    high: float
    at_most: float
    p_value: float


def gain_of(
    bounds: Callable[[Any, float], Difference], champion: Moments, settings: Settings, higher_is_better: bool
) -> Gain:
    """Return the gain that the outcomes show.

    Args:
        bounds: Gives the difference of the challenger's and the champion's mean, for a scale tau and a two-sided level.
        champion: Its outcomes.
        settings: Of the strategy: alpha, beta and min_effect.
        higher_is_better: Whether a larger mean is better.
    """
    tau = scale_of_effects(champion, settings.min_effect)
    found = bounds(tau, 2 * settings.alpha)
    smallest = settings.min_effect if settings.min_effect > 1e-3 * tau else tau  # 0 is no scale
    careful = bounds(smallest, 2 * settings.beta)
    p_value = min(0.5, math.exp(-min(float(found.log_e), 700.0)) / 2)
    value, low, high = float(found.value), float(found.low), float(found.high)
    if higher_is_better:
        return Gain(value, low, high, float(careful.high), p_value)
    return Gain(-value, -high, -low, -float(careful.low), p_value)


def verdict_of(gain: Gain, min_effect: float) -> str:
    """Return better, worse, futile or open; better needs an estimate of `min_effect` as well."""
    if gain.high < 0:
        return WORSE
    if gain.low > 0 and gain.value >= min_effect:
        return BETTER
    return FUTILE if gain.at_most < min_effect else OPEN


def words_of(gain: Gain, verdict: str, min_effect: float) -> str:
    """Return what follows "the challenger is" in a reason."""
    return {
        BETTER: f"better than the champion, by {gain.value:.4g} (at least {gain.low:.4g})",
        WORSE: f"worse than the champion, by {-gain.value:.4g} (at least {-gain.high:.4g})",
        FUTILE: f"not better by {min_effect:g}, at most by {gain.at_most:.4g}",
        OPEN: "neither better nor worse yet",
    }[verdict]


def end_without_winner(
    reasons: Sequence[str],
    findings: Sequence[Finding],
    champion: str,
    versions: Sequence[str],
    numbers: dict[str, Any],
) -> Decision:
    """Give the champion everything: as a rollback where a guardrail is in doubt, else as a stop.

    A challenger that will not be promoted clears no suspicion by serving on.
    """
    doubts = [f.sentence for f in findings if f.doubt]
    action = ROLLBACK if doubts else STOP
    return Decision(action, all_to(champion, versions), (*doubts[:1], *reasons), numbers)

"""What a strategy answers at each look: one action, the weights that follow from it, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONTINUE, ADVANCE, PROMOTE, ROLLBACK, STOP = "continue", "advance", "promote", "rollback", "stop"
ACTIONS = (CONTINUE, ADVANCE, PROMOTE, ROLLBACK, STOP)


@dataclass(frozen=True)
class Decision:
    """One decision about a rollout.

    Args:
        action: `continue` (wait for more), `advance` (shift the weights and go on), `promote` (the challenger
            becomes champion), `rollback` (harm: all traffic back to the champion), `stop` (no harm, but no reason
            to change: the champion stays).
        weights: Percent by version that should hold from now on; sums to 100.
        reasons: Sentences, the decisive one first.
        numbers: What they rest on; JSON values only.
    """

    action: str
    weights: dict[str, int]
    reasons: tuple[str, ...]
    numbers: dict[str, Any] = field(default_factory=dict)


def all_to(version: str, versions: Sequence[str]) -> dict[str, int]:
    """Return weights that give one version everything."""
    return {name: 100 if name == version else 0 for name in versions}


def whole_percents(shares: Mapping[str, float]) -> dict[str, int]:
    """Round shares to whole percents that sum to 100: the largest remainders go up (Hamilton's method).

    Args:
        shares: Not negative, with a positive sum.
    """
    total = sum(shares.values())
    exact = {name: 100 * value / total for name, value in shares.items()}
    rounded = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: rounded[name] - exact[name])
    for name in by_remainder[: 100 - sum(rounded.values())]:
        rounded[name] += 1
    return rounded


def in_words(seconds: float) -> str:
    """Return a time as reasons tell it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"

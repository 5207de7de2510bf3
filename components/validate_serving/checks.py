"""What was checked, how it came out, and the verdict that follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_REASONS = 20


@dataclass(frozen=True)
class Check:
    """One thing that the server had to prove.

    Attributes:
        name: What was checked, in two or three words.
        passed: Whether it did; None when it could not be tried, because an earlier check failed.
        sentence: What was found, with its numbers.
        numbers: The same for machines.
    """

    name: str
    passed: bool | None
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict)


def verdict_of(checks: Sequence[Check]) -> str:
    """Return `pass`, or `block` when a check failed or could not be tried."""
    return "pass" if all(check.passed for check in checks) else "block"


def reasons_of(checks: Sequence[Check]) -> list[str]:
    """Return a sentence for each check that failed, at most 20."""
    return [check.sentence for check in checks if check.passed is False][:MOST_REASONS]

"""What is known of a rollout's traffic at a look: counts, by arm and period."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from penstock.components.rollout_statistics.histograms import Counts
from penstock.components.rollout_statistics.means import Moments

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Arm:
    """What one version did.

    Args:
        requests: Requests by period, since the rollout began; shape (periods,).
        errors: Those answered with a status of 500 or more.
        refused: Those refused as the caller's fault, with a status of 400 to 499.
        rows: Scores by period.
        nans: Those that are no number.
        latency: Durations by bin, since the present weights hold (of an arm without weight: since the beginning).
        scores: Scores by bin, of the same time.
        outcomes: Outcomes, of the same time.
        all_outcomes: Outcomes since the beginning.
        outcome_periods: The same by period, fields of shape (periods,).
    """

    requests: Ints
    errors: Ints
    refused: Ints
    rows: Ints
    nans: Ints
    latency: Counts = field(default_factory=dict)
    scores: Counts = field(default_factory=dict)
    outcomes: Moments = field(default_factory=Moments)
    all_outcomes: Moments = field(default_factory=Moments)
    outcome_periods: Moments = field(default_factory=Moments)


@dataclass(frozen=True)
class Traffic:
    """What all versions did.

    Args:
        arms: By version.
        period_starts: Seconds since 1970 at which the periods begin; shape (periods,).
        started: When the rollout began, seconds since 1970.
        since: When the present weights began to hold.
        now: The time of the look.
        segments: Outcomes by column and value, then by version.
    """

    arms: Mapping[str, Arm]
    period_starts: Ints
    started: float
    since: float
    now: float
    segments: Mapping[tuple[str, str], Mapping[str, Moments]] = field(default_factory=dict)

    def requests_since(self, version: str) -> int:
        """Return how many requests an arm has answered since the present weights hold."""
        recent = self.period_starts >= self.since - 1e-6
        return int(self.arms[version].requests[recent].sum())


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: Its name.
        harm: Whether it shows harm.
        doubt: Whether it looks like harm, but may be chance: no reason to roll back, but to wait.
        sentence: For people.
        numbers: What the sentence rests on.
    """

    check: str
    harm: bool
    sentence: str
    numbers: Mapping[str, Any]
    doubt: bool = False

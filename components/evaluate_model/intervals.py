"""Metrics with confidence intervals, of challenger, champion and their difference, in each group of rows.

Intervals are percentile intervals of a paired bootstrap (bootstrap.py) where a group is of moderate size.
In a large one they are value +- z s, s^2 = sum((w_i d_i)^2) with the influence values d_i of scorers.py: the
limit that the bootstrap's distribution approaches as 1/sqrt(n). A group is large when rows x classes exceed
ANALYTIC_ENTRIES and each class has RAREST_CLASS rows. There the two differ by less than the noise of
1000 resamples (which is 0.085 standard errors for a bound: sqrt(0.025 x 0.975 / 1000) / phi(1.96)); a test
holds them against each other.
"""

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.components.evaluate_model.bootstrap import resample
from penstock.components.evaluate_model.outcomes import MEASURES, OF_CLASSES, Floats, Outcome, Scored
from penstock.components.evaluate_model.scorers import SCORERS, Scorer
from penstock.components.row_slices.slices import Slicing

log = logging.getLogger(__name__)

FEWEST_ROWS = 10  # below, no metric is worth its number
FEWEST_OF_CLASS = (
    5  # below, metrics that need each class have no interval: so few rows do not show their spread
)
ANALYTIC_ENTRIES = 500_000  # rows x classes
RAREST_CLASS = 1_000
ALWAYS_ANALYTIC_ENTRIES = 40_000_000  # beyond, the bootstrap would not fit in memory, however rare a class
LEAST_VALID = 0.9  # share of resamples in which a metric must be defined

Estimate = dict[str, float | None]


@dataclass(frozen=True)
class Group:
    """Estimates for one group: metric -> value, low, high; difference is challenger less champion."""

    rows: int
    note: str
    challenger: dict[str, Estimate]
    champion: dict[str, Estimate] | None
    difference: dict[str, Estimate] | None


def estimate(
    outcome: Outcome,
    models: Mapping[str, Scored],
    slicings: Sequence[Slicing],
    *,
    metrics: Sequence[str] = (),
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    analytic_entries: int = ANALYTIC_ENTRIES,
) -> list[list[Group]]:
    """Return the groups of each slicing with their estimates.

    Args:
        outcome: The truth.
        models: challenger and, if there is one to compare with, champion.
        slicings: Partitions of the rows.
        metrics: Names of metrics; empty for all of the task.
        resamples: Bootstrap resamples, at least 1.
        confidence: Level of the intervals, between 0 and 1.
        seed: Seed of the resamples.
        analytic_entries: Rows x classes beyond which intervals come from influence functions.
    """
    names = tuple(metrics) or tuple(MEASURES[outcome.task])
    works = [_Work(outcome, models, slicing, names, confidence, analytic_entries) for slicing in slicings]
    needed = np.zeros(outcome.rows, bool)
    for work in works:
        needed |= work.resampled[work.slicing.codes]
    if needed.any():
        rows = _in_cell_order(models["challenger"], needed)
        log.info("resampling %d rows %d times", len(rows), resamples)
        jobs = [(work, name) for work in works if work.resampled.any() for name in models]
        statistics_ = [work.scorers[name].statistic(work.chosen, rows) for work, name in jobs]
        values = resample(statistics_, len(rows), resamples, seed)
        for (work, name), value in zip(jobs, values, strict=True):
            work.take(name, value)
    return [work.groups() for work in works]


class _Work:
    """Estimates on one slicing, collected bit by bit."""

    def __init__(
        self,
        outcome: Outcome,
        models: Mapping[str, Scored],
        slicing: Slicing,
        metrics: tuple[str, ...],
        confidence: float,
        analytic_entries: int,
    ) -> None:
        self.outcome, self.slicing, self.metrics = outcome, slicing, metrics
        self.measures = MEASURES[outcome.task]
        self.confidence = confidence
        groups = len(slicing.values)
        self.rows = np.bincount(slicing.codes, minlength=groups)
        self.rarest = _rarest_class(outcome, slicing)
        self.scorers: dict[str, Scorer] = {
            name: SCORERS[outcome.task](outcome, scored, slicing, metrics) for name, scored in models.items()
        }
        self.points = {name: scorer.points() for name, scorer in self.scorers.items()}
        for points in self.points.values():
            points[self.rows < FEWEST_ROWS] = np.nan
        entries = self.rows * max(len(outcome.classes), 1)
        enough = self.rows >= FEWEST_ROWS
        plenty = (self.rarest >= RAREST_CLASS) | (
            self.rarest == 0
        )  # 0: one class, no metric of two is defined
        analytic = (entries > analytic_entries) & plenty | (entries > ALWAYS_ANALYTIC_ENTRIES)
        self.resampled = enough & ~analytic
        self.chosen = np.flatnonzero(self.resampled).tolist()
        self.bounds: dict[str, Floats] = {}
        names = [*models, "difference"] if len(models) > 1 else [*models]
        for name in names:
            self.bounds[name] = np.full((2, groups, len(metrics)), np.nan)
        if len(models) > 1:
            self.points["difference"] = self.points["challenger"] - self.points["champion"]
        self.samples: dict[str, Floats] = {}
        self._bound_analytically(np.flatnonzero(enough & analytic))
        if not self.resampled.any():
            self.scorers.clear()  # they hold several arrays as long as the data

    def take(self, name: str, values: Floats) -> None:
        """Turn (chosen groups, metrics, 1 + resamples) values of one model into bounds."""
        self._bound_by_percentiles(name, values)
        if len(self.scorers) > 1:
            self.samples[name] = values
            if len(self.samples) == 2:
                self._bound_by_percentiles(
                    "difference", self.samples["challenger"] - self.samples["champion"]
                )
                self.samples.clear()

    def groups(self) -> list[Group]:
        """Return the collected estimates."""
        few = self.rarest < FEWEST_OF_CLASS
        for bounds in self.bounds.values():
            for j, metric in enumerate(self.metrics):
                if metric in OF_CLASSES:
                    bounds[:, few, j] = np.nan
        for name, bounds in self.bounds.items():
            if name != "difference":
                for j, metric in enumerate(self.metrics):
                    np.clip(
                        bounds[:, :, j],
                        self.measures[metric].lowest,
                        self.measures[metric].highest,
                        bounds[:, :, j],
                    )
        return [
            Group(
                int(self.rows[g]),
                self._note(g),
                self._estimates("challenger", g),
                self._estimates("champion", g) if "champion" in self.points else None,
                self._estimates("difference", g) if "difference" in self.points else None,
            )
            for g in range(len(self.rows))
        ]

    def _bound_by_percentiles(self, name: str, values: Floats) -> None:
        """The bounds are moved by what binning changed in the value itself (nothing in small groups)."""
        low, high = percentiles(values[:, :, 1:], self.confidence)
        shift = self.points[name][self.chosen] - values[:, :, 0]
        self.bounds[name][0, self.chosen] = low + shift
        self.bounds[name][1, self.chosen] = high + shift

    def _bound_analytically(self, groups: np.ndarray) -> None:
        z = statistics.NormalDist().inv_cdf(0.5 + self.confidence / 2)
        for g in groups.tolist():
            rows = np.flatnonzero(self.slicing.codes == g)
            weights = None if self.outcome.weights is None else self.outcome.weights[rows]
            for j, metric in enumerate(self.metrics):
                if any(np.isnan(self.points[name][g, j]) for name in self.scorers):
                    continue
                influence = {name: scorer.influence(g, rows, metric) for name, scorer in self.scorers.items()}
                if len(influence) > 1:
                    influence["difference"] = influence["challenger"] - influence["champion"]
                for name, values in influence.items():
                    if weights is not None:
                        values *= weights
                    spread = z * np.sqrt(values @ values)
                    self.bounds[name][:, g, j] = self.points[name][g, j] + np.array([-spread, spread])

    def _estimates(self, name: str, group: int) -> dict[str, Estimate]:
        result: dict[str, Estimate] = {}
        for j, metric in enumerate(self.metrics):
            value = self.points[name][group, j]
            low, high = self.bounds[name][:, group, j]
            known = np.isfinite(value)
            bounded = known and np.isfinite(low) and np.isfinite(high)
            result[metric] = {
                "value": float(value) if known else None,
                "low": float(low) if bounded else None,
                "high": float(high) if bounded else None,
            }
        return result

    def _note(self, group: int) -> str:
        if self.rows[group] < FEWEST_ROWS:
            return f"too few rows: {self.rows[group]}, fewer than {FEWEST_ROWS}"
        if self.rarest[group] == 0:
            return "one class only"
        if self.rarest[group] < FEWEST_OF_CLASS:
            return f"too few rows of a class for all intervals: {self.rarest[group]}, fewer than {FEWEST_OF_CLASS}"
        return ""


def percentiles(values: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the lower and upper percentile along the last axis, with linear interpolation.

    NaN (a resample without one of the classes) is left out; where more than 1 - LEAST_VALID of the values are
    NaN, so are both bounds.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    valid = np.sum(~np.isnan(values), axis=-1)
    bounds = []
    for share in ((1 - confidence) / 2, (1 + confidence) / 2):
        place = share * np.maximum(valid - 1, 0)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(valid - 1, 0))
        low = np.take_along_axis(ordered, below[..., None], -1)[..., 0]
        high = np.take_along_axis(ordered, above[..., None], -1)[..., 0]
        bounds.append(
            np.where(valid >= LEAST_VALID * values.shape[-1], low + (high - low) * (place - below), np.nan)
        )
    return bounds[0], bounds[1]


def _in_cell_order(scored: Scored, needed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows to resample, by the challenger's score: neighbours then add to the same few cells.

    It halves the time of the sparse product, whose cells would otherwise not fit in the core's cache.
    """
    rows = np.flatnonzero(needed)
    scores = scored.scores if scored.scores.ndim == 1 else scored.scores[:, 0]
    return rows[np.argsort(scores[rows], kind="stable")]


def _rarest_class(outcome: Outcome, slicing: Slicing) -> np.ndarray:
    """Return the number of rows of the rarest class in each group: of two classes, or of those that occur.

    0 for one class only; the number of rows for regression.
    """
    groups, k = len(slicing.values), len(outcome.classes)
    if outcome.task == "regression":
        return np.bincount(slicing.codes, minlength=groups)
    counts = np.bincount(slicing.codes * k + outcome.codes, minlength=groups * k).reshape(groups, k)
    occurring = np.where(counts > 0, counts, np.iinfo(counts.dtype).max)
    return np.where((counts > 0).sum(axis=1) > 1, occurring.min(axis=1), 0)

"""Metrics of one model on one slicing: exact values, influence functions, and what the bootstrap sums.

Point estimates are computed in float64 and equal scikit-learn's. An influence value is the derivative of a
metric by the weight of a row, d_i = d metric / d w_i: sum((w_i d_i)^2) estimates the metric's variance (the
infinitesimal jackknife, Efron 1982; for auc it is the estimate of DeLong et al., 1988).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.components.evaluate_model import ranking
from penstock.components.evaluate_model.bootstrap import Cells, Statistic
from penstock.components.evaluate_model.outcomes import (
    RANKING,
    Codes,
    Counts,
    Floats,
    Outcome,
    Rows,
    Scored,
    row_brier,
    row_log_loss,
)
from penstock.components.evaluate_model.ranked_groups import BinCells, RankedGroups
from penstock.components.row_slices.slices import Slicing


class Scorer(ABC):
    """The metrics `metrics` of one model in each group of a slicing."""

    def __init__(self, outcome: Outcome, scored: Scored, slicing: Slicing, metrics: Sequence[str]) -> None:
        self.outcome = outcome
        self.scored = scored
        self.codes = slicing.codes
        self.groups = len(slicing.values)
        self.metrics = tuple(metrics)
        self.weights = unit_weights(outcome.rows) if outcome.weights is None else outcome.weights

    @abstractmethod
    def points(self) -> Floats:
        """Return the (groups, metrics) exact values; NaN where a metric is undefined."""

    @abstractmethod
    def influence(self, group: int, rows: Rows, metric: str) -> Floats:
        """Return the (rows,) influence values of a metric in a group of which `rows` are the rows."""

    @abstractmethod
    def statistic(self, chosen: Sequence[int], rows: Rows) -> Statistic:
        """Return what the bootstrap computes for the groups `chosen`, from `rows` alone."""

    def _sum(self, amounts: Floats) -> Floats:
        """Return the weighted sum of a row-wise quantity in each group."""
        return np.bincount(self.codes, self.weights * amounts, minlength=self.groups)

    def _mean(self, amounts: Floats) -> Floats:
        return self._sum(amounts) / np.bincount(self.codes, self.weights, minlength=self.groups)

    def _mean_influence(self, amounts: Floats | NDArray[np.bool_], rows: Rows) -> Floats:
        """Return (x_i - mean) / sum of weights, the influence of the rows of a group on a mean."""
        inside, weights = amounts[rows], self.weights[rows]
        return (inside - np.average(inside, weights=weights)) / weights.sum()

    def _at(self, chosen: Sequence[int]) -> Codes:
        """Return the place of each row's group among the chosen ones; -1 for the others."""
        place = np.full(self.groups, -1, np.int32)
        place[list(chosen)] = np.arange(len(chosen))
        return place[self.codes]

    def _amounts(self, amounts: Floats | None, rows: Rows) -> NDArray[np.float32] | None:
        """Return weight x amount as the bootstrap adds it; None when each row adds 1."""
        if amounts is None and self.outcome.weights is None:
            return None
        weighted = self.weights if amounts is None else self.weights * amounts
        return weighted[rows].astype(np.float32)

    def _centred(self, amounts: Floats) -> Floats:
        """Return amounts less their group's mean, which keeps float32 sums exact enough."""
        return amounts - self._mean(amounts)[self.codes]


class BinaryScorer(Scorer):
    """auc, pr_auc, log_loss, brier, accuracy, precision, recall, f1."""

    def __init__(self, outcome: Outcome, scored: Scored, slicing: Slicing, metrics: Sequence[str]) -> None:
        super().__init__(outcome, scored, slicing, metrics)
        self.positive = outcome.codes == outcome.positive
        self.called = scored.predicted == outcome.positive
        self.amounts = {}
        if "log_loss" in self.metrics:
            self.amounts["log_loss"] = row_log_loss(outcome, scored)
        if "brier" in self.metrics:
            self.amounts["brier"] = row_brier(outcome, scored)
        self.ranks: list[RankedGroups] = []  # one, or none
        if set(self.metrics) & set(RANKING):
            self.ranks.append(RankedGroups(scored, 0, self.positive, self.weights, slicing))
        cell = self.codes * 4 + 2 * self.positive + self.called
        self.confusion = np.bincount(cell, self.weights, minlength=4 * self.groups).reshape(self.groups, 4)

    def points(self) -> Floats:
        result = np.full((self.groups, len(self.metrics)), np.nan)
        for j, metric in enumerate(self.metrics):
            if metric in self.amounts:
                result[:, j] = self._mean(self.amounts[metric])
            elif metric not in RANKING:
                result[:, j] = of_confusion(metric, self.confusion.T)
        for ranks in self.ranks:
            for group in range(self.groups):
                ranked = ranks.ranked(group)
                for j, metric in enumerate(self.metrics):
                    if metric in RANKING:
                        compute = ranking.auc if metric == "auc" else ranking.average_precision
                        result[group, j] = compute(ranked)
        return result

    def influence(self, group: int, rows: Rows, metric: str) -> Floats:
        if metric in self.amounts:
            return self._mean_influence(self.amounts[metric], rows)
        if metric in RANKING:
            ranked = self.ranks[0].ranked(group)
            if metric == "auc":
                values = ranking.auc_influence(ranked, ranking.auc(ranked))
            else:
                values = ranking.average_precision_influence(ranked, ranking.average_precision(ranked))
            return self.ranks[0].in_order_of(group, values, rows)
        _, false_positive, false_negative, true_positive = self.confusion[group]
        positive, called = self.positive[rows], self.called[rows]
        if metric == "accuracy":
            return self._mean_influence(self.positive == self.called, rows)
        # A ratio a/b: d = (a_i - (a/b) b_i) / b, with a_i and b_i what row i adds to a and to b.
        if metric == "precision":
            above, below, total = positive & called, called, true_positive + false_positive
        elif metric == "recall":
            above, below, total = positive & called, positive, true_positive + false_negative
        else:
            above, below = 2 * (positive & called), called.astype(int) + positive
            total = 2 * true_positive + false_positive + false_negative
        if total <= 0:
            return np.zeros(len(rows))
        return (above - of_confusion(metric, self.confusion[group]) * below) / total

    def statistic(self, chosen: Sequence[int], rows: Rows) -> Statistic:
        at = self._at(chosen)
        ones = self._amounts(None, rows)
        cells = [
            Cells(at[rows], self._amounts(self._centred(a), rows), len(chosen)) for a in self.amounts.values()
        ]
        follows = bool(self.ranks) and self._called_by_score()
        if not follows:
            cell = np.where(at >= 0, at * 4 + 2 * self.positive + self.called, -1).astype(np.int32)
            cells.append(Cells(cell[rows], ones, 4 * len(chosen)))
        of_ranks = [BinCells(r, chosen, len(at), self.called if follows else None) for r in self.ranks]
        cells.extend(Cells(bins.at[rows], ones, bins.size) for bins in of_ranks)
        means = {name: self._mean(amounts)[list(chosen)] for name, amounts in self.amounts.items()}

        def compute(sums: Sequence[Counts]) -> Floats:
            result = np.empty((len(chosen), len(self.metrics), sums[0].shape[1]))
            confusion = np.empty((4, len(chosen), sums[0].shape[1]))
            if not follows:
                confusion[:] = sums[len(means)].reshape(len(chosen), 4, -1).swapaxes(0, 1)
            for bins in of_ranks:
                for group in range(len(chosen)):
                    curves = bins.curves(sums[-1], group)
                    if follows:
                        confusion[:, group] = curves.confusion(bins.bins[group].called)
                    for j, metric in enumerate(self.metrics):
                        if metric == "auc":
                            result[group, j] = curves.auc()
                        elif metric == "pr_auc":
                            result[group, j] = curves.average_precision(bins.bins[group].part)
            total = confusion.sum(axis=0)
            for j, metric in enumerate(self.metrics):
                if metric in means:
                    result[:, j] = divide(sums[list(means).index(metric)], total) + means[metric][:, None]
                elif metric not in RANKING:
                    result[:, j] = of_confusion(metric, confusion)
            return result

        return Statistic(cells, compute)

    def _called_by_score(self) -> bool:
        """Return whether each row called positive scores higher than each other row."""
        scores = self.scored.scores
        return (
            not self.called.any()
            or self.called.all()
            or scores[self.called].min() > scores[~self.called].max()
        )


class MulticlassScorer(Scorer):
    """accuracy, log_loss, macro_f1, macro_auc (one against the rest)."""

    def __init__(self, outcome: Outcome, scored: Scored, slicing: Slicing, metrics: Sequence[str]) -> None:
        super().__init__(outcome, scored, slicing, metrics)
        k = self.classes = len(outcome.classes)
        self.loss = row_log_loss(outcome, scored)
        self.correct = (outcome.codes == scored.predicted).astype(np.float64)
        self.totals = np.bincount(self.codes, self.weights, minlength=self.groups)
        count = [
            np.bincount(self.codes * k + of_class, amounts, minlength=self.groups * k).reshape(self.groups, k)
            for of_class, amounts in (
                (outcome.codes, self.weights * self.correct),
                (outcome.codes, self.weights),
                (scored.predicted, self.weights),
            )
        ]
        self.hits, self.labels, self.calls = count
        self.ranks = []
        if "macro_auc" in self.metrics:
            self.ranks = [
                RankedGroups(scored, c, outcome.codes == c, self.weights, slicing) for c in range(k)
            ]

    def points(self) -> Floats:
        columns = {
            "accuracy": lambda: self._mean(self.correct),
            "log_loss": lambda: self._mean(self.loss),
            "macro_f1": lambda: macro_f1(self.hits, self.labels + self.calls, axis=1),
            "macro_auc": lambda: np.array([self._macro_auc(group) for group in range(self.groups)]),
        }
        return np.stack([columns[metric]() for metric in self.metrics], axis=1)

    def influence(self, group: int, rows: Rows, metric: str) -> Floats:
        if metric in ("accuracy", "log_loss"):
            return self._mean_influence(self.correct if metric == "accuracy" else self.loss, rows)
        if metric == "macro_f1":
            label, called = self.outcome.codes[rows], self.scored.predicted[rows]
            both = self.labels[group] + self.calls[group]
            present = both > 0
            scale = np.divide(1.0, both, out=np.zeros_like(both), where=present)
            share = 2 * self.hits[group] * scale**2
            gain = 2 * scale[label] * (label == called)
            return (gain - share[label] - share[called]) / present.sum()
        result = np.zeros(len(rows))
        present = self._ranked_classes(group)
        for c in present:
            ranked = self.ranks[c].ranked(group)
            values = ranking.auc_influence(ranked, ranking.auc(ranked))
            result += self.ranks[c].in_order_of(group, values, rows) / len(present)
        return result

    def statistic(self, chosen: Sequence[int], rows: Rows) -> Statistic:
        k, at = self.classes, self._at(chosen)
        ones = self._amounts(None, rows)
        labels = np.where(at >= 0, at * k + self.outcome.codes, -1).astype(np.int32)
        calls = np.where(at >= 0, at * k + self.scored.predicted, -1).astype(np.int32)
        hits = np.where(self.correct > 0, labels, -1)
        cells = [Cells(c[rows], ones, k * len(chosen)) for c in (hits, labels, calls)]
        cells.append(Cells(at[rows], self._amounts(self._centred(self.loss), rows), len(chosen)))
        bins = [BinCells(ranks, chosen, len(at)) for ranks in self.ranks]
        cells.extend(Cells(b.at[rows], ones, b.size) for b in bins)
        means = self._mean(self.loss)[list(chosen)]
        ranked_classes = [self._ranked_classes(group) for group in chosen] if bins else []

        def compute(sums: Sequence[Counts]) -> Floats:
            hit, label, call = (part.reshape(len(chosen), k, -1) for part in sums[:3])
            total = label.sum(axis=1)
            result = np.empty((len(chosen), len(self.metrics), sums[0].shape[1]))
            for j, metric in enumerate(self.metrics):
                if metric == "accuracy":
                    result[:, j] = divide(hit.sum(axis=1), total)
                elif metric == "log_loss":
                    result[:, j] = divide(sums[3], total) + means[:, None]
                elif metric == "macro_f1":
                    result[:, j] = macro_f1(hit, label + call, axis=1)
                else:
                    for group, present in enumerate(ranked_classes):
                        values = [bins[c].curves(sums[4 + c], group).auc() for c in present]
                        result[group, j] = np.mean(values, axis=0) if values else np.nan
            return result

        return Statistic(cells, compute)

    def _ranked_classes(self, group: int) -> list[int]:
        """Return the classes that some, not all, rows of a group have."""
        labels = self.labels[group]
        present = np.flatnonzero(labels > 0)
        return present.tolist() if len(present) > 1 else []

    def _macro_auc(self, group: int) -> float:
        values = [ranking.auc(self.ranks[c].ranked(group)) for c in self._ranked_classes(group)]
        return float(np.mean(values)) if values else np.nan


class RegressionScorer(Scorer):
    """rmse, mae, r2."""

    def __init__(self, outcome: Outcome, scored: Scored, slicing: Slicing, metrics: Sequence[str]) -> None:
        super().__init__(outcome, scored, slicing, metrics)
        error = scored.scores - outcome.values
        self.squared, self.absolute = error**2, np.abs(error)
        self.label = self._centred(outcome.values)
        self.spread = self.label**2
        self.totals = np.bincount(self.codes, self.weights, minlength=self.groups)
        self.mse = self._mean(self.squared)
        self.mae = self._mean(self.absolute)
        self.variance = self._mean(self.spread)

    def points(self) -> Floats:
        return self._stack(self.mse, self.mae, self.variance)

    def influence(self, group: int, rows: Rows, metric: str) -> Floats:
        if metric == "mae":
            return self._mean_influence(self.absolute, rows)
        mse, variance = self.mse[group], self.variance[group]
        if metric == "rmse":
            return (
                self._mean_influence(self.squared, rows) / (2 * np.sqrt(mse))
                if mse > 0
                else np.zeros(len(rows))
            )
        if not variance > 0:
            return np.zeros(len(rows))
        return (mse / variance * self.spread[rows] - self.squared[rows]) / (variance * self.totals[group])

    def statistic(self, chosen: Sequence[int], rows: Rows) -> Statistic:
        at = self._at(chosen)[rows]
        parts = (
            None,
            self._centred(self.squared),
            self._centred(self.absolute),
            self.label,
            self._centred(self.spread),
        )
        cells = [Cells(at, self._amounts(part, rows), len(chosen)) for part in parts]
        mse, mae, variance = (v[list(chosen)][:, None] for v in (self.mse, self.mae, self.variance))

        def compute(sums: Sequence[Counts]) -> Floats:
            total = sums[0].astype(np.float64)
            squared, absolute, label, spread = (divide(s, total) for s in sums[1:])
            return self._stack(mse + squared, mae + absolute, variance + spread - label**2)

        return Statistic(cells, compute)

    def _stack(self, mse: Floats, mae: Floats, variance: Floats) -> Floats:
        """Return the metrics along axis 1."""
        known = {
            "rmse": lambda: np.sqrt(np.maximum(mse, 0.0)),
            "mae": lambda: mae,
            "r2": lambda: 1.0 - divide(mse, np.where(variance > 0, variance, 0.0)),
        }
        return np.stack([known[metric]() for metric in self.metrics], axis=1)


SCORERS: dict[str, type[Scorer]] = {
    "binary": BinaryScorer,
    "multiclass": MulticlassScorer,
    "regression": RegressionScorer,
}


def unit_weights(rows: int) -> Floats:
    """Return weights of 1 that take no memory."""
    return np.broadcast_to(np.float64(1.0), (rows,))


def divide(above: Floats, below: Floats) -> Floats:
    """Return above / below, NaN where below is 0."""
    below = np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below != 0)


def of_confusion(metric: str, confusion: NDArray) -> Floats:
    """Return accuracy, precision, recall or f1 of (4, ...) weights: true negative, false positive, false
    negative, true positive; NaN where the metric has nothing to divide by."""
    true_negative, false_positive, false_negative, true_positive = confusion
    if metric == "accuracy":
        return divide(true_positive + true_negative, confusion.sum(axis=0))
    if metric == "precision":
        return divide(true_positive, true_positive + false_positive)
    if metric == "recall":
        return divide(true_positive, true_positive + false_negative)
    return divide(2 * true_positive, 2 * true_positive + false_positive + false_negative)


def macro_f1(hits: NDArray, both: NDArray, axis: int) -> Floats:
    """Return the mean over classes of 2 hits / (labels + calls); classes that do not occur are left out."""
    of_class = divide(2 * hits, both)
    with np.errstate(invalid="ignore"):
        return np.nansum(of_class, axis=axis) / np.sum(both > 0, axis=axis)

"""What happened (labels, weights) and what a model said about it, as arrays: one entry for each test row."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int32]
Rows: TypeAlias = NDArray[np.intp]
Counts: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """The truth of n rows.

    Args:
        task: binary, multiclass or regression.
        classes: Classes as text, sorted; empty for regression. A code is an index into them.
        positive: Code of the class whose probability is the score (binary only, else 0).
        codes: (n,) class of each row; empty for regression.
        values: (n,) label of each row; empty for classification.
        weights: (n,) positive weights, or None when all rows weigh alike.
    """

    task: str
    classes: tuple[str, ...]
    positive: int
    codes: Codes
    values: Floats
    weights: Floats | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.values) if self.task == "regression" else len(self.codes)


@dataclass(frozen=True)
class Scored:
    """A model's outputs for the same n rows, in the same order.

    Args:
        scores: binary: (n,) probability of the positive class; multiclass: (n, k) probabilities in the
            order of classes; regression: (n,) predictions.
        predicted: (n,) code of the predicted class; empty for regression.
    """

    scores: Floats
    predicted: Codes

    @cached_property
    def order(self) -> list[Rows]:
        """The rows by descending score, for each column of scores."""
        columns = self.scores.T if self.scores.ndim > 1 else [self.scores]
        return [np.argsort(-column, kind="stable") for column in columns]


@dataclass(frozen=True)
class Measure:
    """A metric: which direction is good, and between which values it lies."""

    higher_is_better: bool
    lowest: float
    highest: float


INFINITY = float("inf")
MEASURES: dict[str, dict[str, Measure]] = {
    "binary": {
        "auc": Measure(True, 0.0, 1.0),
        "pr_auc": Measure(True, 0.0, 1.0),
        "log_loss": Measure(False, 0.0, INFINITY),
        "brier": Measure(False, 0.0, 1.0),
        "accuracy": Measure(True, 0.0, 1.0),
        "precision": Measure(True, 0.0, 1.0),
        "recall": Measure(True, 0.0, 1.0),
        "f1": Measure(True, 0.0, 1.0),
    },
    "multiclass": {
        "accuracy": Measure(True, 0.0, 1.0),
        "log_loss": Measure(False, 0.0, INFINITY),
        "macro_f1": Measure(True, 0.0, 1.0),
        "macro_auc": Measure(True, 0.0, 1.0),
    },
    "regression": {
        "rmse": Measure(False, 0.0, INFINITY),
        "mae": Measure(False, 0.0, INFINITY),
        "r2": Measure(True, -INFINITY, 1.0),
    },
}
PRIMARY = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
OF_CLASSES = (
    "auc",
    "pr_auc",
    "macro_auc",
    "precision",
    "recall",
    "f1",
    "macro_f1",
)  # need rows of each class
RANKING = ("auc", "pr_auc", "macro_auc")  # metrics of the order of the scores, not of each row alone

# Probabilities are kept this far from 0 and 1 in log_loss: the machine epsilon of float64, as in scikit-learn.
EPSILON = float(np.finfo(np.float64).eps)


def row_log_loss(outcome: Outcome, scored: Scored) -> Floats:
    """Return -ln(p) of each row, p the probability that the model gave to what happened."""
    if outcome.task == "binary":
        p = np.where(outcome.codes == outcome.positive, scored.scores, 1.0 - scored.scores)
    else:
        p = scored.scores[np.arange(outcome.rows), outcome.codes]
    return -np.log(np.clip(p, EPSILON, 1.0 - EPSILON))


def row_brier(outcome: Outcome, scored: Scored) -> Floats:
    """Return (p - y)^2 of each row, y = 1 for the positive class."""
    return (scored.scores - (outcome.codes == outcome.positive)) ** 2

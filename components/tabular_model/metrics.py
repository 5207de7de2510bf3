"""Metrics of predictions, weighted, in plain numpy; names as in evaluate_model."""

import numpy as np

from penstock.components.tabular_model.label import Label

PRIMARY = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
HIGHER_IS_BETTER = {"auc": True, "log_loss": False, "rmse": False}
LEAST = 1e-15  # probabilities are held away from 0 and 1 by this, as scikit-learn does for float64


def measure(label: Label, target: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Return the metrics of a task; those that are undefined for these rows are left out.

    Args:
        label: The task.
        target: 0 or 1, the index of the class, or the value; shape (n,).
        predicted: P(positive) (n,), probabilities (n, classes) or values (n,).
        weight: Weight of each row, shape (n,).
    """
    weight = weight.astype(np.float64)
    if not len(target) or weight.sum() <= 0:
        return {}
    formulas = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = formulas[label.task](target, predicted.astype(np.float64), weight)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def primary(label: Label, target: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> float:
    """Return the primary metric of the task alone; NaN where it is undefined."""
    if label.task == "binary":
        return auc(target, predicted, weight.astype(np.float64))
    return measure(label, target, predicted, weight).get(PRIMARY[label.task], float("nan"))


def auc(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Return P(score of a positive > score of a negative) + P(equal) / 2; NaN with one class only."""
    up, down, _ = _steps(target, score, weight)
    if up.sum() <= 0 or down.sum() <= 0:
        return float("nan")
    above = np.cumsum(up) - up  # positives with a greater score
    return float(np.sum(down * (above + up / 2)) / (up.sum() * down.sum()))


def _steps(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the weight of positives and negatives at each distinct score, highest score first."""
    scores, where = np.unique(score, return_inverse=True)
    up = np.bincount(where, weights=weight * (target == 1), minlength=len(scores))[::-1]
    down = np.bincount(where, weights=weight * (target != 1), minlength=len(scores))[::-1]
    return up, down, scores[::-1]


def _binary(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    total = weight.sum()
    up, down, _ = _steps(target, score, weight)
    hits, alarms = np.cumsum(up), np.cumsum(up + down)
    average_precision = np.sum(up / up.sum() * hits / alarms)
    held = np.clip(score, LEAST, 1 - LEAST)
    losses = -np.where(target == 1, np.log(held), np.log1p(-held))
    said = score >= 0.5
    true_positive = np.sum(weight * (said & (target == 1)))
    predicted, positive = np.sum(weight * said), np.sum(weight * (target == 1))
    return {
        "auc": auc(target, score, weight),
        "pr_auc": average_precision,
        "log_loss": np.sum(weight * losses) / total,
        "brier": np.sum(weight * (score - target) ** 2) / total,
        "accuracy": np.sum(weight * (said == (target == 1))) / total,
        "precision": _ratio(true_positive, predicted),
        "recall": _ratio(true_positive, positive),
        "f1": _ratio(2 * true_positive, predicted + positive),
    }


def _multiclass(target: np.ndarray, share: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    total, said = weight.sum(), share.argmax(axis=1)
    held = np.clip(share[np.arange(len(target)), target], LEAST, 1.0)
    f1, areas = [], []
    for k in range(share.shape[1]):
        hit = np.sum(weight * ((said == k) & (target == k)))
        either = np.sum(weight * (said == k)) + np.sum(weight * (target == k))
        if either > 0:
            f1.append(2 * hit / either)
        areas.append(auc(target == k, share[:, k], weight))
    return {
        "accuracy": np.sum(weight * (said == target)) / total,
        "log_loss": np.sum(weight * -np.log(held)) / total,
        "macro_f1": np.mean(f1),
        "macro_auc": np.mean(areas),
    }


def _regression(target: np.ndarray, value: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    total = weight.sum()
    mean = np.sum(weight * target) / total
    squares, spread = np.sum(weight * (target - value) ** 2), np.sum(weight * (target - mean) ** 2)
    return {
        "rmse": np.sqrt(squares / total),
        "mae": np.sum(weight * np.abs(target - value)) / total,
        "r2": 1 - squares / spread if spread > 0 else np.nan,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan

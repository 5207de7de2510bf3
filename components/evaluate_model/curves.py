"""What the report draws: curves, calibration, confusion and distributions, as small lists of numbers."""

from typing import Any

import numpy as np

from penstock.components.evaluate_model import ranking
from penstock.components.evaluate_model.outcomes import Floats, Outcome, Scored
from penstock.components.evaluate_model.scorers import divide

MOST_POINTS = 101  # of a curve
CALIBRATION_BINS = 10
HISTOGRAM_BINS = 20
MOST_CLASSES = 50  # of a confusion matrix; the rarest beyond are put together
RESIDUAL_TAIL = 0.005  # share of residuals at each end that the histogram's outermost bins take in
Z_95 = 1.959964  # of calibration's 95 % bars


def describe(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """Return the details of one model by name; all numbers are finite."""
    if outcome.task == "regression":
        return {
            "residuals": residual_histogram(outcome, scored),
            "by_prediction": by_prediction(outcome, scored),
        }
    details: dict[str, Any] = {"confusion": confusion(outcome, scored)}
    if outcome.task == "binary":
        details |= binary_curves(outcome, scored)
        details["calibration"] = calibration(outcome, scored)
        details["distribution"] = distribution(outcome, scored)
    else:
        details["classes"] = by_class(outcome, scored)
    return details


def binary_curves(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """Return ROC and precision-recall points, by falling threshold; none with one class only.

    A point holds for the rule score >= threshold. Of longer curves the points nearest to even steps of rank
    are kept.
    """
    order = np.argsort(-scored.scores, kind="stable")
    weights = np.ones(outcome.rows) if outcome.weights is None else outcome.weights
    scores = scored.scores[order]
    ranked = ranking.rank(scores, (outcome.codes == outcome.positive)[order], weights[order])
    ones, zeros = ranked.totals
    found, false = np.cumsum(ones), np.cumsum(zeros)
    if not (found[-1] > 0 and false[-1] > 0):
        return {"roc": [], "precision_recall": []}
    place = (found / found[-1] + false / false[-1]) / 2  # even steps along both axes
    kept = np.unique(np.searchsorted(place, np.linspace(0, 1, MOST_POINTS - 1)).clip(0, len(place) - 1))
    thresholds = scores[ranked.starts[kept]]
    recall, fall_out = found[kept] / found[-1], false[kept] / false[-1]
    precision = found[kept] / (found[kept] + false[kept])
    first = float(max(1.0, np.nextafter(thresholds[0], 2.0)))  # above each score: nothing is called positive
    roc = [{"threshold": first, "fpr": 0.0, "tpr": 0.0}]
    roc += [
        {"threshold": t, "fpr": f, "tpr": r}
        for t, f, r in zip(thresholds.tolist(), fall_out.tolist(), recall.tolist(), strict=True)
    ]
    curve = [
        {"threshold": t, "precision": p, "recall": r}
        for t, p, r in zip(thresholds.tolist(), precision.tolist(), recall.tolist(), strict=True)
    ]
    return {"roc": roc, "precision_recall": curve}


def calibration(outcome: Outcome, scored: Scored) -> list[dict[str, Any]]:
    """Return for bins of about equal size the mean score and the share of positive rows with its interval.

    The interval is Wilson's (1927), with n_eff = (sum w)^2 / sum w^2 rows.
    """
    weights = np.ones(outcome.rows) if outcome.weights is None else outcome.weights
    positive = (outcome.codes == outcome.positive).astype(np.float64)
    bins, count = _even_bins(scored.scores, CALIBRATION_BINS)
    total = np.bincount(bins, weights, minlength=count)
    mean = divide(np.bincount(bins, weights * scored.scores, minlength=count), total)
    share = divide(np.bincount(bins, weights * positive, minlength=count), total)
    effective = divide(total**2, np.bincount(bins, weights**2, minlength=count))
    middle = (share + Z_95**2 / (2 * effective)) / (1 + Z_95**2 / effective)
    half = (
        np.sqrt(share * (1 - share) / effective + (Z_95 / (2 * effective)) ** 2)
        * Z_95
        / (1 + Z_95**2 / effective)
    )
    rows = np.bincount(bins, minlength=count)
    return [
        {
            "rows": int(rows[i]),
            "mean_score": mean[i],
            "share": share[i],
            "low": middle[i] - half[i],
            "high": middle[i] + half[i],
        }
        for i in range(count)
        if total[i] > 0
    ]


def distribution(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """Return the number of rows by score for the positive and the other class."""
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    positive = outcome.codes == outcome.positive
    return {
        "edges": edges.tolist(),
        "positive": np.histogram(scored.scores[positive], edges)[0].tolist(),
        "negative": np.histogram(scored.scores[~positive], edges)[0].tolist(),
    }


def confusion(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """Return rows by label (matrix row) and predicted class (matrix column), unweighted.

    With more than MOST_CLASSES classes the rarest are put together as "(other)".
    """
    classes = list(outcome.classes)
    codes, predicted = outcome.codes, scored.predicted
    if len(classes) > MOST_CLASSES:
        counts = np.bincount(codes, minlength=len(classes))
        kept = np.sort(np.argsort(-counts, kind="stable")[: MOST_CLASSES - 1])
        new = np.full(len(classes), len(kept), np.int32)
        new[kept] = np.arange(len(kept))
        codes, predicted = new[codes], new[predicted]
        classes = [*(classes[c] for c in kept), "(other)"]
    k = len(classes)
    return {
        "classes": classes,
        "matrix": np.bincount(codes * k + predicted, minlength=k * k).reshape(k, k).tolist(),
    }


def by_class(outcome: Outcome, scored: Scored) -> list[dict[str, Any]]:
    """Return rows, precision, recall and f1 of each class; None where one has nothing to divide by."""
    k = len(outcome.classes)
    weights = np.ones(outcome.rows) if outcome.weights is None else outcome.weights
    hits = np.bincount(outcome.codes, weights * (outcome.codes == scored.predicted), minlength=k)
    labels, calls = (np.bincount(c, weights, minlength=k) for c in (outcome.codes, scored.predicted))
    rows = np.bincount(outcome.codes, minlength=k)
    columns = {
        "precision": divide(hits, calls),
        "recall": divide(hits, labels),
        "f1": divide(2 * hits, labels + calls),
    }
    return [
        {"class": text, "rows": int(rows[c])}
        | {name: float(values[c]) if np.isfinite(values[c]) else None for name, values in columns.items()}
        for c, text in enumerate(outcome.classes)
    ]


def residual_histogram(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """Return the number of rows by residual (label less prediction)."""
    residuals = outcome.values - scored.scores
    low, high = np.quantile(residuals, [RESIDUAL_TAIL, 1 - RESIDUAL_TAIL])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    return {"edges": edges.tolist(), "counts": np.histogram(np.clip(residuals, low, high), edges)[0].tolist()}


def by_prediction(outcome: Outcome, scored: Scored) -> list[dict[str, Any]]:
    """Return for bins of about equal size the mean prediction and label, and quartiles of the residuals."""
    bins, count = _even_bins(scored.scores, HISTOGRAM_BINS)
    found = []
    for i in range(count):
        inside = bins == i
        if inside.any():
            low, middle, high = np.quantile(outcome.values[inside] - scored.scores[inside], [0.25, 0.5, 0.75])
            found.append(
                {
                    "rows": int(inside.sum()),
                    "prediction": float(scored.scores[inside].mean()),
                    "label": float(outcome.values[inside].mean()),
                    "residual_low": float(low),
                    "residual": float(middle),
                    "residual_high": float(high),
                }
            )
    return found


def _even_bins(scores: Floats, count: int) -> tuple[np.ndarray, int]:
    """Return a bin for each score, bins of about equal size; equal scores share a bin."""
    cuts = np.unique(np.quantile(scores, np.arange(1, count) / count, method="lower"))
    bins = np.searchsorted(cuts, scores, side="left")
    _, bins = np.unique(bins, return_inverse=True)
    return bins, int(bins.max()) + 1

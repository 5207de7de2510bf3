"""Means over rows with their intervals, and the direction in which a number moves the output."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from penstock.components.explain_model.settings import LEAST_ROWS

Floats: TypeAlias = NDArray[np.float64]
Estimate: TypeAlias = dict[str, float | None]
NONE: Estimate = {"value": None, "low": None, "high": None}


def means(values: Floats, confidence: float, least: float = -np.inf) -> list[Estimate]:
    """Return the mean of each column with Student's t interval; none for fewer than LEAST_ROWS rows.

    Args:
        values: (n, m).
        confidence: Level of the interval.
        least: Lowest value that is possible.
    """
    rows, m = values.shape
    if rows < LEAST_ROWS:
        return [dict(NONE) for _ in range(m)]
    value = values.mean(axis=0)
    half = stats.t.ppf((1 + confidence) / 2, rows - 1) * values.std(axis=0, ddof=1) / np.sqrt(rows)
    low = np.maximum(value - half, least)
    return [
        {"value": float(v), "low": float(a), "high": float(b)}
        for v, a, b in zip(value, low, value + half, strict=True)
    ]


def direction(numbers: Floats, attributions: Floats, confidence: float) -> dict[str, Any]:
    """Return whether higher numbers raise the output: Spearman's rank correlation of value and attribution.

    Its interval is Fisher's z with the variance 1.06 / (n - 3) (Fieller, Hartley & Pearson 1957). `word` is raises
    or lowers where the interval lies on one side of 0, else mixed; constant, where there is nothing to rank.

    Args:
        numbers: (n,) values; NaN is left out.
        attributions: (n,) attributions.
        confidence: Level of the interval.
    """
    known = ~np.isnan(numbers)
    x, y = numbers[known], attributions[known]
    if len(x) < LEAST_ROWS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"word": "constant", "spearman": dict(NONE)}
    rho = float(stats.spearmanr(x, y).statistic)
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(1.06 / (len(x) - 3))
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    word = "raises" if low > 0 else "lowers" if high < 0 else "mixed"
    return {"word": word, "spearman": {"value": rho, "low": low, "high": high}}

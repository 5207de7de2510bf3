"""What monitoring holds later attributions against: the distribution of each input's attributions today."""

from typing import Any

import numpy as np

from penstock.components.explain_model.estimates import Floats
from penstock.components.explain_model.summary import Explained

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BINS = 10  # of equal shares: what the population stability index and Jensen-Shannon divergence ask for


def attribution_baseline(explained: Explained) -> dict[str, Any]:
    """Return the content of attribution_baseline.json.

    Each input has mean, deviation, mean_abs, quantiles and a histogram: `counts` has one more entry than `edges`,
    the first counts values <= edges[0], the last values > edges[-1].
    """
    return {
        "format": 1,
        "output": explained.explainer.output,
        "explained": explained.what,
        "rows": len(explained.outputs),
        "baseline": float(explained.baselines.mean()),
        "features": {
            name: _distribution(explained.values[:, i]) for i, name in enumerate(explained.found.features)
        },
    }


def _distribution(values: Floats) -> dict[str, Any]:
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="lower"))
    places = np.searchsorted(edges, values, side="left")
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std(ddof=1)),
        "mean_abs": float(np.abs(values).mean()),
        "quantiles": {
            str(q): float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)
        },
        "histogram": {
            "edges": edges.tolist(),
            "counts": np.bincount(places, minlength=len(edges) + 1).tolist(),
        },
    }

"""The files that programs read, and the metrics that backends show."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.explain_model.sample import Sample
from penstock.components.explain_model.summary import Explained

MOST_METRICS = 10  # inputs by name: metadata of an artifact is kept in a database
LONGEST_NAME = 60


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is the same for the same content."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def metrics_metadata(summary: Mapping[str, Any]) -> dict[str, float | int]:
    """Return flat numbers: sizes, baseline, and mean_abs <input> of the inputs that matter most."""
    flat: dict[str, float | int] = {
        "rows": summary["rows"],
        "model_rows": summary["model_rows"],
        "features": len(summary["features"]),
        "baseline": summary["mean_baseline"],
        "additivity_error": summary["additivity_error"],
    }
    for one in summary["features"][:MOST_METRICS]:
        flat[f"mean_abs {one['name'][:LONGEST_NAME]}"] = one["mean_abs"]["value"]
    return flat


def write_attributions(path: Path, explained: Explained, sample: Sample) -> None:
    """Write a row for each explained row and input: row (place in the data), class, feature, attribution, error.

    Long, not wide: an input may have any name, also one of ours.
    """
    n, m = explained.values.shape
    targets = np.array(explained.explainer.targets, object)[explained.at]
    table = pa.table(
        {
            "row": pa.array(np.repeat(sample.places, m), pa.int64()),
            "target": pa.array(np.repeat(targets, m), pa.string()),
            "feature": pa.array(list(explained.found.features) * n, pa.string()),
            "attribution": pa.array(explained.values.ravel()),
            "standard_error": pa.array(explained.errors.ravel()),
            "output": pa.array(np.repeat(explained.outputs, m)),
            "baseline": pa.array(np.repeat(explained.baselines, m)),
        }
    )
    pq.write_table(table, path)

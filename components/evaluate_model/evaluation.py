"""An evaluation: what evaluation.json holds, and the artifacts made of it."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.evaluate_model import curves, intervals
from penstock.components.evaluate_model.intervals import Group
from penstock.components.evaluate_model.outcomes import MEASURES, PRIMARY, Outcome, Scored
from penstock.components.evaluate_model.predictions import prediction_columns
from penstock.components.evaluate_model.settings import Settings
from penstock.components.row_slices.slices import Slicing, everything

ROWS_PER_SHARD = 250_000


def evaluate(
    outcome: Outcome,
    models: Mapping[str, Scored],
    slicings: Sequence[Slicing],
    settings: Settings,
    champion_note: str = "",
) -> dict[str, Any]:
    """Return the content of evaluation.json; `champion_note` says why a champion is not compared with."""
    everywhere, *by_slicing = intervals.estimate(
        outcome,
        models,
        [everything(outcome.rows), *slicings],
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    return {
        "format": 1,
        "task": outcome.task,
        "label": settings.label,
        "classes": list(outcome.classes),
        "positive": outcome.classes[outcome.positive] if outcome.task == "binary" else "",
        "rows": outcome.rows,
        "weight": settings.weight,
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "seed": settings.seed,
        "primary_metric": PRIMARY[outcome.task],
        "champion_version": settings.champion_version,
        "champion_note": champion_note,
        "metrics": {
            name: {
                "higher_is_better": measure.higher_is_better,
                "lowest": finite(measure.lowest),
                "highest": finite(measure.highest),
            }
            for name, measure in MEASURES[outcome.task].items()
        },
        "overall": _group(everywhere[0]),
        "slices": [
            {"by": list(slicing.columns), "value": slicing.values[g], "name": slicing.name(g)} | _group(group)
            for slicing, groups in zip(slicings, by_slicing, strict=True)
            for g, group in enumerate(groups)
        ],
        "details": {name: curves.describe(outcome, scored) for name, scored in models.items()},
    }


def finite(bound: float) -> float | None:
    """Return a bound as JSON can hold it: None where there is none."""
    return bound if math.isfinite(bound) else None


def _group(group: Group) -> dict[str, Any]:
    return {
        "rows": group.rows,
        "note": group.note,
        "challenger": group.challenger,
        "champion": group.champion,
        "difference": group.difference,
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is the same for the same content."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def metrics_metadata(evaluation: Mapping[str, Any]) -> dict[str, float | int]:
    """Return the challenger's metrics as flat numbers: <metric>, <metric>_low, <metric>_high, rows."""
    flat: dict[str, float | int] = {"rows": evaluation["rows"]}
    for metric, estimate in evaluation["overall"]["challenger"].items():
        for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high")):
            if estimate[key] is not None:
                flat[metric + suffix] = estimate[key]
    return flat


def classification_metadata(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the challenger's ROC curve and confusion matrix as KFP and Vertex AI draw them.

    The form is that of kfp.dsl.ClassificationMetrics; empty for regression.
    """
    details = evaluation["details"]["challenger"]
    metadata: dict[str, Any] = {}
    if details.get("roc"):
        metadata["confidenceMetrics"] = [
            {"confidenceThreshold": p["threshold"], "recall": p["tpr"], "falsePositiveRate": p["fpr"]}
            for p in details["roc"]
        ]
    if "confusion" in details:
        metadata["confusionMatrix"] = {
            "annotationSpecs": [{"displayName": text} for text in details["confusion"]["classes"]],
            "rows": [{"row": row} for row in details["confusion"]["matrix"]],
        }
    return metadata


def write_predictions(folder: Path, outcome: Outcome, models: Mapping[str, Scored]) -> None:
    """Write a row for each test row, in order: label, weight and each model's outputs."""
    columns: dict[str, Any] = {}
    if outcome.task == "regression":
        columns["label"] = outcome.values
    else:
        texts = pa.array(outcome.classes, pa.string())
        columns["label"] = pa.DictionaryArray.from_arrays(outcome.codes, texts).cast(pa.string())
    if outcome.weights is not None:
        columns["weight"] = outcome.weights
    for name, scored in models.items():
        columns |= prediction_columns(name, scored, outcome)
    table = pa.table(columns)
    folder.mkdir(parents=True)
    for i, start in enumerate(range(0, outcome.rows, ROWS_PER_SHARD)):
        pq.write_table(table.slice(start, ROWS_PER_SHARD), folder / f"part-{i:05d}.parquet")

"""The explanation as data: overall, by value, by slice and by row. What the report shows is all in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from penstock.components.explain_model.estimates import Floats, direction, means
from penstock.components.explain_model.sample import Sample, plain
from penstock.components.explain_model.settings import LEAST_ROWS, Settings
from penstock.components.explanations.explainer import Explainer, predicted
from penstock.components.explanations.shapley import Attributions, Columns
from penstock.components.row_slices.slices import Slicing, group_column

METHOD = "interventional Shapley values, sampled over permutations and their reverses"


class Explained:
    """Attributions of the sampled rows to what is explained of each: one number per row and input.

    Args:
        explainer: The model.
        columns: The rows as the model takes them.
        found: Attributions to all targets.
    """

    def __init__(self, explainer: Explainer, columns: Columns, found: Attributions) -> None:
        self.explainer, self.columns, self.found = explainer, columns, found
        self.at: NDArray[np.intp] = predicted(found)  # of one target: all 0
        rows = np.arange(len(found.outputs))
        self.values: Floats = found.values[rows, :, self.at]  # (n, m)
        self.errors: Floats = found.errors[rows, :, self.at]
        self.outputs: Floats = found.outputs[rows, self.at]
        self.baselines: Floats = found.baseline[self.at]

    @property
    def what(self) -> str:
        """Return what is explained, in words."""
        folder = self.explainer.folder
        if folder.task == "binary":
            return f"score (probability of {folder.positive!r})"
        return (
            f"prediction of {folder.label}"
            if folder.task == "regression"
            else "probability of the predicted class"
        )


def summarize(
    explained: Explained, sample: Sample, slicings: Sequence[Slicing], settings: Settings, data_rows: int
) -> dict[str, Any]:
    """Return the content of explanation.json."""
    folder, found = explained.explainer.folder, explained.found
    features = [_feature(explained, sample.table, i, settings) for i in range(len(found.features))]
    total = sum(one["mean_abs"]["value"] for one in features)
    for one in features:
        one["share"] = one["mean_abs"]["value"] / total if total else 0.0
    features.sort(key=lambda one: (-one["mean_abs"]["value"], one["name"]))
    return {
        "format": 1,
        "method": METHOD,
        "task": folder.task,
        "label": folder.label,
        "output": explained.explainer.output,
        "explained": explained.what,
        "targets": list(explained.explainer.targets),
        "baseline": dict(zip(explained.explainer.targets, found.baseline.tolist(), strict=True)),
        "mean_output": float(explained.outputs.mean()),
        "mean_baseline": float(explained.baselines.mean()),
        "rows": len(explained.outputs),
        "data_rows": data_rows,
        "background_rows": len(next(iter(explained.explainer.background.values()))),
        "pairs": settings.pairs,
        "model_rows": found.model_rows,
        "confidence": settings.confidence,
        "seed": settings.seed,
        "additivity_error": additivity_error(found),
        "features": features,
        "classes": _classes(explained, settings),
        "slices": [part for slicing in slicings for part in _slices(explained, slicing, settings)],
        "examples": _examples(explained, sample, settings.examples),
    }


def additivity_error(found: Attributions) -> float:
    """Return the largest difference between an output and its baseline plus attributions."""
    return float(np.abs(found.baseline + found.values.sum(axis=1) - found.outputs).max())


def _feature(explained: Explained, table: pa.Table, i: int, settings: Settings) -> dict[str, Any]:
    name = explained.found.features[i]
    column, values = explained.columns[name], explained.values[:, i]
    is_text = column.dtype == object
    missing = column == "" if is_text else np.isnan(column)
    one_target = len(explained.explainer.targets) == 1
    return {
        "name": name,
        "kind": "text" if is_text else "number",
        "mean_abs": means(np.abs(values)[:, None], settings.confidence, 0.0)[0],
        "mean": means(values[:, None], settings.confidence)[0],
        "sampling_error": float(np.sqrt(np.mean(explained.errors[:, i] ** 2))),
        "missing": float(missing.mean()),
        "direction": direction(column, values, settings.confidence) if one_target and not is_text else None,
        "by_value": _by_value(table.column(name), values, settings) if one_target else [],
    }


def _by_value(column: pa.ChunkedArray, values: Floats, settings: Settings) -> list[dict[str, Any]]:
    """Return the mean attribution for each value, or range of values, of at least LEAST_ROWS rows."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    codes, texts = group_column(column, keep_all=False)
    found = []
    for code, text in enumerate(texts):
        rows = values[codes == code]
        if len(rows) >= LEAST_ROWS:
            mean = means(rows[:, None], settings.confidence)[0]
            found.append({"value": text, "rows": len(rows), "mean": mean})
    return found


def _classes(explained: Explained, settings: Settings) -> list[dict[str, Any]]:
    """Return for each class of a multi-class model what moves its probability; all rows count."""
    found, targets = explained.found, explained.explainer.targets
    if len(targets) == 1:
        return []
    parts = []
    for k, target in enumerate(targets):
        mean_abs = means(np.abs(found.values[:, :, k]), settings.confidence, 0.0)
        features: list[dict[str, Any]] = []
        for i, name in enumerate(found.features):
            column = explained.columns[name]
            features.append(
                {
                    "name": name,
                    "mean_abs": mean_abs[i],
                    "direction": None
                    if column.dtype == object
                    else direction(column, found.values[:, i, k], settings.confidence),
                }
            )
        features.sort(key=lambda one: (-one["mean_abs"]["value"], one["name"]))
        predicted_rows = int((explained.at == k).sum())
        parts.append(
            {
                "class": target,
                "baseline": float(found.baseline[k]),
                "predicted_rows": predicted_rows,
                "features": features,
            }
        )
    return parts


def _slices(explained: Explained, slicing: Slicing, settings: Settings) -> list[dict[str, Any]]:
    parts = []
    for group, value in enumerate(slicing.values):
        inside = slicing.codes == group
        rows = int(inside.sum())
        values = explained.values[inside]
        size = means(np.abs(values), settings.confidence, 0.0)
        mean = means(values, settings.confidence)
        enough = rows >= LEAST_ROWS
        parts.append(
            {
                "by": list(slicing.columns),
                "value": value,
                "name": slicing.name(group),
                "rows": rows,
                "note": "" if enough else f"fewer than {LEAST_ROWS} explained rows",
                "mean_output": float(explained.outputs[inside].mean()) if enough else None,
                "features": {
                    name: {"mean_abs": a, "mean": b}
                    for name, a, b in zip(explained.found.features, size, mean, strict=True)
                }
                if enough
                else {},
            }
        )
    return parts


def _examples(explained: Explained, sample: Sample, count: int) -> list[dict[str, Any]]:
    """Return single rows, from the greatest output to the least in equal steps of rank."""
    order = np.argsort(-explained.outputs, kind="stable")
    count = min(count, len(order))
    ranks = np.linspace(0, len(order) - 1, count).round().astype(int)
    picked: list[int] = list(dict.fromkeys(order[ranks].tolist()))
    parts = []
    for row in picked:
        told = explained.explainer.told(explained.found, row, int(explained.at[row]))
        features: list[dict[str, Any]] = [
            {
                "name": name,
                "value": plain(explained.columns[name][row]),
                "attribution": attribution,
                "standard_error": told["standard_errors"][name],
            }
            for name, attribution in told["attributions"].items()
        ]
        features.sort(key=lambda one: -abs(one["attribution"]))
        about: dict[str, Any] = {
            key: told[key] for key in ("output", "class", "value", "baseline") if key in told
        }
        parts.append({"row": int(sample.places[row]), **about, "features": features})
    return parts

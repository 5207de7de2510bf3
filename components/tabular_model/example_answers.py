"""examples.json beside the SavedModel: some raw rows as JSON, and what the model answers to them.

A server warms up with them, shows one in its first `curl` line, and is checked against them: the rows and
the answers have the form of the prediction service (V1 protocol).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock.components.tabular_model.columns import RawInput
from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.examples import Examples
from penstock.components.tabular_model.label import Label

ROWS = 16


def write_example_answers(
    path: Path, examples: Examples, predict: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
) -> None:
    """Write examples.json with up to 16 rows of the first validation (else training) block.

    They lie evenly over the block, have all that the schema requires and nothing that JSON cannot say.

    Args:
        path: The file.
        examples: Where the rows are.
        predict: The exported graph: raw inputs of shape (n,) in, outputs out.
    """
    split = examples.validation if examples.validation.rows else examples.train
    raw = next(split.shards.blocks()).inputs
    fitting = np.flatnonzero(_fitting(raw, examples.inputs))
    picks = fitting[np.unique(np.linspace(0, len(fitting) - 1, min(ROWS, len(fitting))).astype(int))]
    content: dict[str, list[Any]] = {"instances": [], "predictions": []}
    if len(picks):
        some = {name: tf.gather(tensor, picks) for name, tensor in raw.items()}
        columns = {found.name: _plain(some[found.name].numpy(), found) for found in examples.inputs}
        content["instances"] = [
            {name: values[row] for name, values in columns.items()} for row in range(len(picks))
        ]
        content["predictions"] = _answers(examples.label, predict(some))
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _fitting(raw: Mapping[str, Any], inputs: Sequence[RawInput]) -> np.ndarray:
    """Return which rows have what is required, and neither infinity nor bytes that are no text."""
    fitting: Any = True
    for found in inputs:
        values = raw[found.name].numpy()
        if found.dtype == "string":
            fitting &= np.array([_is_text(value) and not (found.required and not value) for value in values])
        else:
            fitting &= ~np.isinf(values) & ~(np.isnan(values) & found.required)
            if found.type == "int":
                fitting &= np.isnan(values) | (values == np.floor(values))
            if found.type == "bool":
                fitting &= np.isnan(values) | np.isin(values, (0.0, 1.0))
    return np.asarray(fitting)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(values: np.ndarray, found: RawInput) -> list[Any]:
    if found.dtype == "string":
        return [value.decode() or None for value in values.tolist()]
    kinds: dict[str, Callable[[float], Any]] = {"int": int, "bool": bool}
    kind = kinds.get(found.type, float)
    return [None if math.isnan(value) else kind(value) for value in values.tolist()]


def _answers(label: Label, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return one answer per row, as the prediction service gives it."""
    if label.task == "regression":
        return [{"prediction": _finite(value)} for value in outputs["prediction"].tolist()]
    labels = [text.decode() for text in outputs["label"].tolist()]
    if label.task == "binary":
        scores = outputs["score"].tolist()
        return [{"score": _finite(s), "label": text} for s, text in zip(scores, labels, strict=True)]
    rows = outputs["probabilities"].tolist()
    return [
        {"probabilities": {n: _finite(p) for n, p in zip(label.classes, row, strict=True)}, "label": text}
        for row, text in zip(rows, labels, strict=True)
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

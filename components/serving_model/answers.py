"""What a model's outputs are called in an answer, a log and a batch of predictions."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.components.serving_model.folder import ModelFolder


def answers(folder: ModelFolder, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return one plain dict per row, ready for JSON; NaN and infinity, which JSON lacks, are None.

    binary: {"score": P(positive), "label": class}; multiclass: {"probabilities": {class: p}, "label": class};
    regression: {"prediction": value}.
    """
    if folder.task == "regression":
        return [{"prediction": finite(value)} for value in outputs["prediction"].tolist()]
    labels = outputs["label"].tolist()
    if folder.task == "binary":
        scores = outputs["score"].tolist()
        return [{"score": finite(s), "label": text} for s, text in zip(scores, labels, strict=True)]
    rows = outputs["probabilities"].tolist()
    return [
        {
            "probabilities": {name: finite(p) for name, p in zip(folder.classes, row, strict=True)},
            "label": text,
        }
        for row, text in zip(rows, labels, strict=True)
    ]


def scores_of(folder: ModelFolder, outputs: Mapping[str, np.ndarray], rows: int) -> list[float | None]:
    """Return one number for each of the first `rows` rows.

    It is the score of a binary model, the probability of the predicted class, or the prediction.
    """
    name = {"binary": "score", "multiclass": "probabilities", "regression": "prediction"}[folder.task]
    values = outputs[name][:rows]
    if folder.task == "multiclass":
        values = values.max(axis=1) if len(values) else np.zeros(0)
    return [finite(value) for value in values.tolist()]


def finite(value: float) -> float | None:
    """Return a float, or None for NaN and infinity."""
    return value if math.isfinite(value) else None

"""The explanation spec with which a model is uploaded to Vertex AI, as JSON of its message ExplanationSpec.

Source: google.cloud.aiplatform.v1 ExplanationSpec, ExplanationMetadata and SampledShapleyAttribution. For a custom
container the keys are those of instances and predictions; the tensor names, which are the same, are
read by Vertex's own TensorFlow images only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.components.explanations.explainer import OUTPUT
from penstock.components.explanations.shapley import Columns
from penstock.components.serving_model.folder import ModelFolder

MOST_PATHS = 50  # the API's limit


def explanation_spec(folder: ModelFolder, background: Columns, paths: int) -> dict[str, Any]:
    """Return the spec: sampled Shapley with one baseline per input, the median or most frequent value.

    Args:
        folder: The model.
        background: Rows that the baselines are taken from.
        paths: Permutations; the API takes 1 to 50.
    """
    output = OUTPUT[folder.task]
    about: dict[str, Any] = {"outputTensorName": output}
    if folder.task == "multiclass":
        about["indexDisplayNameMapping"] = list(folder.classes)
    return {
        "parameters": {"sampledShapleyAttribution": {"pathCount": max(1, min(paths, MOST_PATHS))}},
        "metadata": {
            "inputs": {
                found.name: {
                    "inputBaselines": [typical(background[found.name])],
                    "inputTensorName": found.name,
                    "encoding": "IDENTITY",
                    "modality": "categorical" if found.dtype == "string" else "numeric",
                }
                for found in folder.inputs
            },
            "outputs": {output: about},
        },
    }


def typical(column: NDArray[Any]) -> float | str:
    """Return the median of the numbers or the most frequent text; what is missing counts only when all is."""
    if column.dtype == object:
        texts, counts = np.unique(column[column != ""].astype(str), return_counts=True)
        return str(texts[counts.argmax()]) if len(texts) else ""
    known = column[np.isfinite(column)]
    return float(np.quantile(known, 0.5, method="lower")) if len(known) else 0.0

"""The exported model: raw features by name in, predictions out, everything between inside it."""

import json
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.examples import Examples
from penstock.components.tabular_model.network import Network
from penstock.components.tabular_model.training import finish

log = logging.getLogger(__name__)

OUTPUTS = {
    "binary": ["score", "label"],
    "multiclass": ["probabilities", "label"],
    "regression": ["prediction"],
}


class Exported(tf.Module):
    """Row features, encoding and network in one graph."""

    def __init__(self, examples: Examples, network: Network) -> None:
        super().__init__(name="model")
        self.examples_ = _Untracked(examples)
        self.encoder = examples.encoder
        self.weights = [variable.value for variable in network.variables]
        self.network_ = _Untracked(network)

    def predict(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs for raw inputs of shape (n, 1)."""
        examples, network = self.examples_.value, self.network_.value
        flat = {name: tf.reshape(tensor, [-1]) for name, tensor in raw.items()}
        codes = self.encoder(examples.row_features.compute(flat))
        predicted = finish(examples, network(codes, training=False))
        label = examples.label
        if label.task == "regression":
            return {"prediction": predicted}
        classes = tf.constant(label.classes)
        if label.task == "multiclass":
            return {"probabilities": predicted, "label": tf.gather(classes, tf.argmax(predicted, axis=1))}
        return {"score": predicted, "label": tf.where(predicted >= 0.5, label.positive, label.negative)}


class _Untracked:
    """Holds an object away from what tf.Module finds and saves."""

    def __init__(self, value: Any) -> None:
        self.value = value


def save_model(examples: Examples, network: Network, folder: Path) -> None:
    """Write the SavedModel; its signature serving_default takes each raw input as (None, 1)."""
    module = Exported(examples, network)
    specs = {
        found.name: tf.TensorSpec((None, 1), tf.string if found.dtype == "string" else tf.float64, found.name)
        for found in examples.inputs
    }
    serve = tf.function(module.predict, autograph=False, input_signature=[specs])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def write_model_json(path: Path, examples: Examples, settings: Mapping[str, Any], seed: int) -> None:
    """Write model.json beside the SavedModel."""
    label = examples.label
    text = {
        "format": 1,
        "task": label.task,
        "label": label.name,
        "classes": list(label.classes),
        "positive": label.positive,
        "inputs": [{"name": found.name, "dtype": found.dtype} for found in examples.inputs],
        "outputs": OUTPUTS[label.task],
        "parameters": dict(settings),
        "seed": seed,
        "versions": {
            "tensorflow": tf.__version__,
            "keras": tf.keras.__version__,
            "python": platform.python_version(),
        },
        "train_rows": examples.train.rows,
        "validation_rows": examples.validation.rows,
    }
    path.write_text(json.dumps(text, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")

"""The exported model: raw features by name in, predictions out, everything between inside it."""

import json
import logging
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.examples import Examples
from penstock.components.tabular_model.network import Network
from penstock.components.tabular_model.training import finish

log = logging.getLogger(__name__)

SIGNATURE = "serving_default"
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
        self.weights = [variable.value for variable in network.weights]
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


def save_model(
    examples: Examples, network: Network, folder: Path
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Write the SavedModel; its signature serving_default takes each raw input by name, as (None, 1).

    Returns the graph that was saved, as a function of raw inputs of shape (n,) by name.
    """
    module = Exported(examples, network)
    names = [found.name for found in examples.inputs]
    plain = all(PLAIN_NAME.fullmatch(name) for name in names) and "self" not in names
    aliases = names if plain else [f"input_{i}" for i in range(len(names))]
    specs = {
        alias: tf.TensorSpec((None, 1), tf.string if found.dtype == "string" else tf.float64, alias)
        for alias, found in zip(aliases, examples.inputs, strict=True)
    }

    def serve(raw: Mapping[str, Any]) -> dict[str, Any]:
        return module.predict({name: raw[alias] for name, alias in zip(names, aliases, strict=True)})

    graph = tf.function(serve, autograph=False, input_signature=[specs])
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: graph})
    if not plain:
        _rename_inputs(folder / "saved_model.pb", dict(zip(aliases, names, strict=True)))

    def predict(raw: Mapping[str, Any]) -> dict[str, Any]:
        flat = {a: tf.reshape(raw[name], [-1, 1]) for a, name in zip(aliases, names, strict=True)}
        return {name: tensor.numpy() for name, tensor in graph(flat).items()}

    return predict


def _rename_inputs(path: Path, names: Mapping[str, str]) -> None:
    """Give the signature's inputs their real names.

    tf.function makes Python identifiers of its arguments' names: "trip miles" would become
    "trip_miles", and "a-b" and "a_b" one. The file format has no such rule.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0]
    inputs = graph.signature_def[SIGNATURE].inputs
    infos = {name: inputs[alias].SerializeToString() for alias, name in names.items()}
    inputs.clear()
    for name, info in infos.items():
        inputs[name].ParseFromString(info)
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") != "bare_concrete_function":
            continue
        keywords = node.bare_concrete_function.argument_keywords
        renamed = [names[keyword] for keyword in keywords]
        del keywords[:]
        keywords.extend(renamed)
    path.write_bytes(saved.SerializeToString(deterministic=True))


def write_model_json(path: Path, examples: Examples, settings: Mapping[str, Any], seed: int) -> None:
    """Write model.json beside the SavedModel."""
    label = examples.label
    text = {
        "format": 1,
        "task": label.task,
        "label": label.name,
        "classes": list(label.classes),
        "positive": label.positive,
        "inputs": [
            {"name": found.name, "dtype": found.dtype, "type": found.type, "required": found.required}
            for found in examples.inputs
        ],
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

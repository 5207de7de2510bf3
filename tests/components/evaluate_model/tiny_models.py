"""Small models in the form that train_model exports: known formulas instead of learnt ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.components.evaluate_model.predictions import import_tensorflow

tf = import_tensorflow()


class Linear(tf.Module):
    """A linear score of number columns (NaN counts 0) and of texts (unknown ones count 0)."""

    def __init__(
        self, numbers: Mapping[str, float], texts: Mapping[str, Mapping[str, float]], bias: float
    ) -> None:
        super().__init__()
        self.numbers, self.bias = dict(numbers), bias
        self.tables = {
            name: tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(list(values), tf.string), tf.constant(list(values.values()), tf.float32)
                ),
                0.0,
            )
            for name, values in texts.items()
        }

    def score(self, inputs):
        total = self.bias
        for name, factor in self.numbers.items():
            x = tf.cast(inputs[name][:, 0], tf.float32)
            total += factor * tf.where(tf.math.is_nan(x), 0.0, x)
        for name, table in self.tables.items():
            total += table.lookup(inputs[name][:, 0])
        return total


def save_model(
    folder: Path,
    task: str,
    *,
    label: str = "label",
    classes: Sequence[str] = (),
    positive: str = "",
    numbers: Mapping[str, float] = {},
    texts: Mapping[str, Mapping[str, float]] = {},
    bias: float = 0.0,
) -> Path:
    """Write a model artifact. binary: sigmoid of the score; multiclass: softmax of score x class index."""
    module = Linear(numbers, texts, bias)
    inputs = [{"name": name, "dtype": "float64"} for name in numbers]
    inputs += [{"name": name, "dtype": "string"} for name in texts]
    types = {"float64": tf.float64, "string": tf.string}
    specs = {i["name"]: tf.TensorSpec((None, 1), types[i["dtype"]], i["name"]) for i in inputs}

    def serve(raw):
        score = module.score(raw)
        if task == "regression":
            return {"prediction": score}
        if task == "binary":
            negative = next(text for text in classes if text != positive)
            p = tf.sigmoid(score)
            return {"score": p, "label": tf.where(p >= 0.5, positive, negative)}
        p = tf.nn.softmax(score[:, None] * tf.range(len(classes), dtype=tf.float32))
        return {"probabilities": p, "label": tf.gather(tf.constant(list(classes)), tf.argmax(p, axis=1))}

    module.serve = tf.function(serve, input_signature=[specs])
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    described = {
        "format": 1,
        "task": task,
        "label": label,
        "classes": list(classes),
        "positive": positive,
        "inputs": inputs,
    }
    (folder / "model.json").write_text(json.dumps(described))
    return folder

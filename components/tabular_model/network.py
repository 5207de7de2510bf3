"""The trainable part: from codes to raw outputs (logits, or the standardised value of a regression)."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.app_code import AppModule, load
from penstock.components.tabular_model.encoding import Encoder, tf
from penstock.components.tabular_model.label import Label

SPREAD = 0.05  # of the first embeddings


class FeatureVectors(keras.layers.Layer):
    """Turns codes into one vector of numbers per feature.

    A number becomes its scaled value, one piece per quantile bin (0 below the bin, 1 above it, in
    between the place in it: the network is a spline of it; Gorishniy et al. 2022, arXiv:2203.05556)
    and 1 where it is missing; a category its embedding (at first one-hot where that fits); a text the
    mean of its words' embeddings.
    """

    def __init__(self, encoder: Encoder, embedding_size: int) -> None:
        super().__init__(name="features")
        plan, bins = encoder.plan, encoder.bins
        self.size = embedding_size
        self.piece_of = np.repeat(np.arange(len(bins)), bins).astype(np.int32)
        self.piece = np.concatenate([np.zeros(0), *(np.arange(n) for n in bins)]).astype(np.float32)
        self.with_missing = [found.has_missing for found in plan.numeric]
        self.categories, self.texts = len(plan.categorical), len(plan.text)
        self.sizes, self.offsets, self.rows = encoder.sizes, encoder.offsets, encoder.table_rows
        self.columns = self._columns(encoder)
        self.width = sum(len(found) for found in self.columns.values())

    def build(self, input_shape: Any = None) -> None:
        """Make the table of embeddings."""
        if self.rows:
            self.table = self.add_weight(shape=(self.rows, self.size), initializer=self._start, name="table")

    def _start(self, shape: Sequence[int], dtype: Any = None) -> Any:
        table = keras.initializers.RandomUniform(-SPREAD, SPREAD)(shape).numpy()
        for offset, size in zip(self.offsets, self.sizes, strict=True):
            if size <= self.size:
                table[offset : offset + size] = np.eye(size, self.size)
        return tf.constant(table)

    def call(self, codes: Mapping[str, Any]) -> Any:
        """Return all vectors beside each other, shape (n, width)."""
        parts = []
        if "scaled" in codes:
            parts.append(codes["scaled"])
        if "place" in codes:
            place = tf.gather(codes["place"], self.piece_of, axis=1)
            parts.append(tf.clip_by_value(place - self.piece, 0.0, 1.0))
        if "missing" in codes:
            parts.append(codes["missing"])
        if "category" in codes:
            found = tf.gather(self.table, codes["category"])
            parts.append(tf.reshape(found, [-1, self.categories * self.size]))
        if "words" in codes:
            read = tf.cast(codes["words"] >= 0, tf.float32)[..., None]
            found = tf.gather(self.table, tf.maximum(codes["words"], 0)) * read
            mean = tf.math.divide_no_nan(tf.reduce_sum(found, axis=2), tf.reduce_sum(read, axis=2))
            parts.append(tf.reshape(mean, [-1, self.texts * self.size]))
        return tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]

    def by_name(self, vectors: Any) -> dict[str, Any]:
        """Return each feature's own vector, shape (n, its width)."""
        return {name: tf.gather(vectors, columns, axis=1) for name, columns in self.columns.items()}

    def _columns(self, encoder: Encoder) -> dict[str, list[int]]:
        """Return where in the common vector each feature stands."""
        numeric = encoder.plan.numeric
        after_pieces = len(numeric) + len(self.piece_of)
        columns: dict[str, list[int]] = {}
        for i, found in enumerate(numeric):
            pieces = np.flatnonzero(self.piece_of == i) + len(numeric)
            missing = [after_pieces + sum(self.with_missing[:i])] if found.has_missing else []
            columns[found.name] = [i, *pieces.tolist(), *missing]
        at = after_pieces + sum(self.with_missing)
        for name in [*(c.name for c in encoder.plan.categorical), *encoder.plan.text]:
            columns[name] = list(range(at, at + self.size))
            at += self.size
        return columns


class Network(keras.Model):
    """Feature vectors and what stands on them: the default network, or the app's own."""

    def __init__(
        self,
        encoder: Encoder,
        settings: Mapping[str, Any],
        label: Label,
        start: np.ndarray,
        own: AppModule | None = None,
    ) -> None:
        """Build all weights, from the seed of keras.utils.set_random_seed.

        Args:
            encoder: Fitted to the training rows.
            settings: All hyperparameters.
            label: What is learned.
            start: Raw outputs of a model that knows no feature, shape (label.outputs,).
            own: The app's model.py with build_model.
        """
        super().__init__(name="network")
        self.vectors = FeatureVectors(encoder, settings["embedding_size"])
        self.vectors.build()
        self.vectors.built = True
        self.own = own
        if own is None:
            self.hidden = []
            width = self.vectors.width
            for i, units in enumerate(settings["hidden_units"]):
                self.hidden.append(keras.layers.Dense(units, activation="relu", name=f"hidden_{i}"))
                self.hidden[-1].build((None, width))
                width = units
            self.dropout = None
            if settings["dropout"]:
                self.dropout = keras.layers.Dropout(settings["dropout"], name="dropout")
            bias = keras.initializers.Constant(start)
            self.out = keras.layers.Dense(
                label.outputs, kernel_initializer="zeros", bias_initializer=bias, name="raw_output"
            )
            self.out.build((None, width))
            self.linear = keras.layers.Dense(
                label.outputs, use_bias=False, kernel_initializer="zeros", name="linear"
            )
            self.linear.build((None, self.vectors.width))
        else:
            self.body = _own_model(own, self.vectors, settings, label)
        self.built = True

    def call(self, codes: Mapping[str, Any], training: bool = False) -> Any:
        vectors = self.vectors(codes)
        if self.own is not None:
            with self.own.blaming("the model's call"):
                return self.body(self.vectors.by_name(vectors), training=training)
        hidden = vectors
        for layer in self.hidden:
            hidden = layer(hidden)
            if self.dropout is not None:
                hidden = self.dropout(hidden, training=training)
        return self.out(hidden) + self.linear(vectors)


def load_own_model(code: Path) -> AppModule | None:
    """Return the app's model.py if it has one with build_model.

    Raises:
        StepError: It has neither build_model nor search_space, or raises on import.
    """
    module = load(code, "model.py")
    if module is None:
        return None
    if module.function("search_space", required=False) is None:
        module.function("build_model", required=True)
    return module if module.function("build_model", required=False) else None


def _own_model(own: AppModule, vectors: FeatureVectors, settings: Mapping[str, Any], label: Label) -> Any:
    build = own.function("build_model", required=True)
    assert build is not None
    inputs = {
        name: keras.Input((len(columns),), name=f"feature_{i}" if "/" in name else name)
        for i, (name, columns) in enumerate(vectors.columns.items())
    }
    with own.blaming("build_model(inputs, settings, label)"):
        try:
            inspect.signature(build).bind(inputs, settings, label)
        except TypeError as error:
            raise StepError(f"{own.file}: build_model must take (inputs, settings, label): {error}") from None
        body = build(inputs, dict(settings), label)
    where = f"{own.file}: build_model"
    if not isinstance(body, keras.Model):
        raise StepError(f"{where} returned a {type(body).__name__}, expected a keras.Model")
    probe = {name: tf.zeros((2, len(columns))) for name, columns in vectors.columns.items()}
    with own.blaming("the model's call"):
        raw = body(probe)
    expected = (2, label.outputs)
    if not tf.is_tensor(raw) or tuple(raw.shape) != expected:
        shape = tuple(raw.shape) if tf.is_tensor(raw) else type(raw).__name__
        raise StepError(
            f"{where} returned a model whose output for 2 rows is {shape}, expected {expected}: "
            f"label.outputs = {label.outputs} raw numbers for each row"
        )
    if not np.isfinite(raw.numpy()).all():
        raise StepError(f"{where} returned a model that gives {raw.numpy().ravel()[:3]} before any training")
    last = getattr(getattr(body.layers[-1], "activation", None), "__name__", "") if body.layers else ""
    if label.task != "regression" and last in ("sigmoid", "softmax"):
        raise StepError(
            f"{where} ends in a {last}; return logits (no activation), the probability is made from them"
        )
    return body

"""From features to the numbers that a network takes: one graph, in training and in the exported model.

The code of a row is small, so that all training rows fit into memory as codes:

    scaled   (n, numeric) float32   (x - mean) / deviation, drawn in to +-8; 0 where it is missing
    place    (n, numeric) float32   place among the quantile bins: 2.25 is a quarter into the third
    missing  (n, with missing) float32   1 where the value is missing
    category (n, categorical) int32 row of the category in one common table
    words    (n, text, 32) int32    row of each word in that table, -1 behind the last

All features of a kind are encoded at once, so that thousands of columns stay one small graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penstock.components.tabular_model.analysis import Plan
from penstock.components.tabular_model.quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf  # noqa: E402 - its settings come first

FARTHEST = 8.0
WORDS = 32  # of a text; the rest is not read
LONGEST_TEXT = 4096  # bytes of a text that are read


class Encoder(tf.Module):
    """Encodes features by the plan that the training rows gave."""

    def __init__(self, plan: Plan, hash_buckets: int) -> None:
        super().__init__(name="encoder")
        self.plan = plan
        self.hash_buckets = hash_buckets
        self._numbers = [found.name for found in plan.numeric]
        mean = np.array([found.mean for found in plan.numeric])
        deviation = np.array([found.deviation for found in plan.numeric])
        most = np.finfo(float).max / 4
        self._mean, self._inverse = mean, 2.0 / deviation
        self._low = np.clip(mean - FARTHEST * np.minimum(deviation, most / FARTHEST), -most, most)
        self._high = np.clip(mean + FARTHEST * np.minimum(deviation, most / FARTHEST), -most, most)
        self._edges = _padded([found.edges for found in plan.numeric])
        self.bins = np.array([max(len(found.edges) - 1, 0) for found in plan.numeric], np.int32)
        self._with_missing = np.flatnonzero([found.has_missing for found in plan.numeric]).astype(np.int32)
        # Rows of the common table: for each categorical feature missing, unknown, then its vocabulary;
        # behind them for each text feature its buckets.
        self.sizes = [len(found.vocabulary) + 2 for found in plan.categorical]
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int32)[: len(self.sizes)]
        self.text_offset = int(sum(self.sizes))
        self.table_rows = self.text_offset + len(plan.text) * hash_buckets
        self._lookup: Any = None
        if plan.categorical:
            keys: list[str] = []
            rows: list[int] = []
            for i, found in enumerate(plan.categorical):
                keys += [f"{i}:{value}" for value in found.vocabulary]
                rows += range(self.offsets[i] + 2, self.offsets[i] + self.sizes[i])
            initializer = tf.lookup.KeyValueTensorInitializer(
                tf.constant(keys, tf.string), tf.constant(rows, tf.int32)
            )
            self._lookup = tf.lookup.StaticHashTable(initializer, -1)

    def __call__(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return the codes of rows whose features are tensors of shape (n,)."""
        codes: dict[str, Any] = {}
        if self._numbers:
            codes |= self._encode_numbers(tf.stack([features[name] for name in self._numbers], axis=1))
        if self.plan.categorical:
            texts = [features[found.name] for found in self.plan.categorical if found.dtype == "string"]
            numbers = [features[found.name] for found in self.plan.categorical if found.dtype != "string"]
            parts = [tf.stack(texts, axis=1)] if texts else []
            parts += [_category_text(tf.stack(numbers, axis=1))] if numbers else []
            codes["category"] = self._encode_categories(tf.concat(parts, axis=1))
        if self.plan.text:
            texts = [_as_text(features[name]) for name in self.plan.text]
            codes["words"] = self._encode_words(tf.stack(texts, axis=1))
        return codes

    def _encode_numbers(self, values: Any) -> dict[str, Any]:
        missing = tf.math.is_nan(values)
        values = tf.where(missing, tf.constant(self._mean), values)
        near = tf.clip_by_value(values, self._low, self._high)
        scaled = (near * 0.5 - self._mean * 0.5) * self._inverse  # a graph would turn a division into this
        codes = {"scaled": tf.cast(scaled, tf.float32)}
        if self.bins.any():
            codes["place"] = tf.cast(self._place(values), tf.float32)
        if len(self._with_missing):
            codes["missing"] = tf.cast(tf.gather(missing, self._with_missing, axis=1), tf.float32)
        return codes

    def _place(self, values: Any) -> Any:
        """Return, for each value, how many bins lie below it, and how far it is into its own."""
        edges = self._edges
        values = tf.transpose(tf.clip_by_value(values, edges[:, 0], edges[:, -1]))
        last = np.maximum(self.bins - 1, 0)[:, None]
        below = tf.searchsorted(tf.constant(edges), values, side="right") - 1
        below = tf.clip_by_value(below, 0, last)
        low = tf.gather(edges, below, batch_dims=1)
        high = tf.gather(edges, tf.minimum(below + 1, edges.shape[1] - 1), batch_dims=1)
        into = tf.math.divide_no_nan(values * 0.5 - low * 0.5, high * 0.5 - low * 0.5)
        return tf.transpose(tf.cast(below, tf.float64) + tf.clip_by_value(into, 0.0, 1.0))

    def _encode_categories(self, texts: Any) -> Any:
        prefixes = tf.constant([f"{i}:" for i in range(len(self.sizes))])
        rows = self._lookup.lookup(tf.strings.join([tf.broadcast_to(prefixes, tf.shape(texts)), texts]))
        rows = tf.where(rows < 0, self.offsets + 1, rows)
        return tf.where(texts == "", self.offsets, rows)

    def _encode_words(self, texts: Any) -> Any:
        texts = tf.strings.substr(texts, 0, LONGEST_TEXT)
        shape = tf.shape(texts)
        spaced = tf.strings.regex_replace(tf.strings.lower(texts), r"[\s\pP]+", " ")
        words = tf.strings.split(tf.strings.strip(tf.reshape(spaced, [-1])))
        buckets = tf.strings.to_hash_bucket_fast(words.flat_values, self.hash_buckets)
        ids = tf.cast(words.with_flat_values(buckets), tf.int32).to_tensor(-1, shape=[None, WORDS])
        ids = tf.reshape(ids, [shape[0], len(self.plan.text), WORDS])
        starts = (
            self.text_offset + np.arange(len(self.plan.text), dtype=np.int32)[:, None] * self.hash_buckets
        )
        return tf.where(ids < 0, ids, ids + starts)


def _padded(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the edges as one matrix; short rows repeat their last edge, empty ones are zeros."""
    width = max([2, *(len(row) for row in rows)])
    matrix = np.zeros((len(rows), width))
    for line, row in zip(matrix, rows, strict=True):
        if row:
            line[: len(row)] = row
            line[len(row) :] = row[-1]
    return matrix


def _category_text(values: Any) -> Any:
    """Return numbers as text: whole ones in digits, "" where they are missing or not whole."""
    fine = (tf.abs(values) <= 2.0**53) & (tf.floor(values) == values)
    whole = tf.cast(tf.where(fine, values, tf.zeros_like(values)), tf.int64)
    return tf.where(fine, tf.strings.as_string(whole), "")


def _as_text(values: Any) -> Any:
    return values if values.dtype == tf.string else _category_text(values)

"""Encoded rows for the training loop: all in memory, or streamed block by block."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.analysis import Plan, analyse
from penstock.components.tabular_model.columns import RawInput
from penstock.components.tabular_model.encoding import Encoder, tf
from penstock.components.tabular_model.label import Label
from penstock.components.tabular_model.row_features import RowFeatures
from penstock.components.tabular_model.shards import Block, Shards

log = logging.getLogger(__name__)

VALUES_IN_MEMORY = 100_000_000  # codes of all features, about 0.8 GB with both numbers of a numeric one


@dataclass
class Rows:
    """Encoded rows: codes of shape (n, …), targets as the network learns them, weights."""

    codes: dict[str, Any]
    target: Any
    weight: Any

    def __len__(self) -> int:
        return int(self.weight.shape[0])


@dataclass(frozen=True)
class Scale:
    """How the target relates to the raw output: target = raw * deviation + mean. (0, 1) for classes."""

    mean: float = 0.0
    deviation: float = 1.0


@dataclass
class Examples:
    """The training and validation rows of a model and what was learned about its features."""

    inputs: Sequence[RawInput]
    label: Label
    row_features: RowFeatures
    encoder: Encoder
    scale: Scale
    start: np.ndarray  # raw outputs of a model that knows no feature
    train: "Split"
    validation: "Split"

    @property
    def plan(self) -> Plan:
        return self.encoder.plan


class Split:
    """The rows of one split, as often as they are needed."""

    def __init__(self, shards: Shards, rows: int) -> None:
        self.shards = shards
        self.rows = rows
        self.memory: Rows | None = None
        self.encode: Any = None

    def blocks(self, files: Sequence[int] | None = None) -> Iterator[Rows]:
        """Yield all rows, at once if they are in memory."""
        if self.memory is not None:
            yield self.memory
        else:
            for block in self.shards.blocks(files):
                yield self.encode(block)

    def shuffled(self, seed: int, epoch: int) -> Iterator[tuple[Rows, np.ndarray]]:
        """Yield blocks in this epoch's order, each with the order of its rows."""
        files = np.random.default_rng([seed, epoch]).permutation(len(self.shards.files)).tolist()
        for number, rows in enumerate(self.blocks(files)):
            yield rows, np.random.default_rng([seed, epoch, number]).permutation(len(rows)).astype(np.int32)


def read_examples(
    train_folder: Path,
    validation_folder: Path,
    code: Path,
    inputs: Sequence[RawInput],
    label: Label,
    weight: str,
    settings: Mapping[str, Any],
    seed: int,
) -> Examples:
    """Read both splits, learn the encoding from the training rows and encode what fits into memory.

    Raises:
        StepError: The data, the app's features.py or the settings do not fit together.
    """
    train = Shards(train_folder, inputs, label, weight, "train_data")
    validation = Shards(validation_folder, inputs, label, weight, "validation_data")
    if train.rows == 0:
        raise StepError("train_data has no rows: nothing can be learned")
    row_features = RowFeatures.load(code, inputs, settings["kinds"])
    row_features.probe(next(train.blocks()).inputs)
    in_memory = (
        train.rows <= settings["max_rows_in_memory"]
        and (train.rows + validation.rows) * len(row_features.features) <= VALUES_IN_MEMORY
    )
    kept: list[tuple[dict[str, Any], Block]] = []
    targets: list[np.ndarray] = []
    weights: list[np.ndarray] = []

    def measured() -> Iterator[Mapping[str, Any]]:
        for block in train.blocks():
            features = row_features(block.inputs)
            row_features.check(block.inputs, features)
            targets.append(block.target)
            weights.append(block.weight)
            if in_memory:
                kept.append((features, block))
            yield features

    plan = analyse(row_features.features, measured(), train.rows, settings, seed)
    scale, start = _learn_target(label, np.concatenate(targets), np.concatenate(weights))
    encoder = Encoder(plan, settings["hash_buckets"])

    def encode(features: Mapping[str, Any], block: Block) -> Rows:
        target = (block.target - scale.mean) / scale.deviation
        kind = np.int32 if label.task == "multiclass" else np.float32
        codes = encoder(features)
        return Rows(codes, tf.constant(target.astype(kind)), tf.constant(block.weight))

    splits = []
    for shards in (train, validation):
        split = Split(shards, shards.rows)
        split.encode = lambda block: encode(row_features(block.inputs), block)
        if in_memory:
            parts = kept if shards is train else ((row_features(b.inputs), b) for b in shards.blocks())
            split.memory = _joined([encode(*part) for part in parts])
        splits.append(split)
    if not in_memory:
        log.info("%d training rows are streamed from %d shards in each epoch", train.rows, len(train.files))
    return Examples(inputs, label, row_features, encoder, scale, start, *splits)


def _joined(parts: Sequence[Rows]) -> Rows | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    codes = {name: tf.concat([part.codes[name] for part in parts], axis=0) for name in parts[0].codes}
    return Rows(
        codes, tf.concat([p.target for p in parts], axis=0), tf.concat([p.weight for p in parts], axis=0)
    )


def _learn_target(label: Label, target: np.ndarray, weight: np.ndarray) -> tuple[Scale, np.ndarray]:
    """Return the scale of a regression's target, and the best raw output without any feature.

    Raises:
        StepError: The label does not vary in the training rows, or all weights are 0.
    """
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        raise StepError("train_data: the weights of all rows are 0")
    if label.task == "regression":
        greatest = float(np.abs(target).max()) or 1.0
        part = target / greatest
        mean = float(np.average(part, weights=weight))
        deviation = float(np.sqrt(np.average((part - mean) ** 2, weights=weight)))
        if deviation == 0:
            raise StepError(f"train_data: the label {label.name!r} is the same in all rows: nothing to learn")
        return Scale(mean * greatest, deviation * greatest), np.zeros(1, np.float32)
    if label.task == "binary":
        share = float(np.average(target, weights=weight))
        if share in (0.0, 1.0):
            only = label.positive if share else label.negative
            raise StepError(f"train_data: the label {label.name!r} is {only!r} in all rows: nothing to learn")
        return Scale(), np.array([np.log(share / (1 - share))], np.float32)
    counts = np.bincount(target, weights=weight, minlength=len(label.classes))
    if (counts > 0).sum() < 2:
        only = label.classes[int(counts.argmax())]
        raise StepError(f"train_data: the label {label.name!r} is {only!r} in all rows: nothing to learn")
    share = (counts + 0.5) / (counts + 0.5).sum()
    return Scale(), np.log(share).astype(np.float32)

"""Prepared Parquet shards, read in blocks of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.columns import RawInput
from penstock.components.tabular_model.label import Label

VALUES_PER_BLOCK = 2_000_000  # about 16 MB of float64
ROWS_PER_BLOCK = 65_536


@dataclass
class Block:
    """Some rows: tensors of shape (rows,) by input, the label as numbers and the weight of each row."""

    inputs: dict[str, Any]
    target: np.ndarray
    weight: np.ndarray


class Shards:
    """The rows of one split, in the order in which prepare_data wrote them."""

    def __init__(
        self, folder: Path, inputs: Sequence[RawInput], label: Label, weight: str, source: str
    ) -> None:
        """Open a Dataset artifact; `source` is its name in messages.

        Raises:
            StepError: There are no shards, or the label or the weight is not in them.
        """
        self.files = sorted(folder.glob("*.parquet"))
        if not self.files:
            raise StepError(f"{source}: {folder} holds no Parquet shards")
        self.inputs, self.label, self.weight, self.source = list(inputs), label, weight, source
        self.rows_by_file = [pq.read_metadata(file).num_rows for file in self.files]
        self.rows = sum(self.rows_by_file)
        self.columns = set(pq.read_schema(self.files[0]).names)
        for name, what in ((label.name, "label"), (weight, "weight")):
            if name and name not in self.columns:
                raise StepError(f"{source}: the {what} column {name!r} is not in the prepared data")
        fitting = VALUES_PER_BLOCK // max(len(inputs), 1)
        self.block_rows = max(256, min(ROWS_PER_BLOCK, fitting // 256 * 256))

    def blocks(self, files: Sequence[int] | None = None) -> Iterator[Block]:
        """Yield the rows of all files, or of some in a given order, block by block."""
        wanted = {found.name for found in self.inputs} | {self.label.name, self.weight}
        for number in range(len(self.files)) if files is None else files:
            reader = pq.ParquetFile(self.files[number])
            columns = [name for name in reader.schema_arrow.names if name in wanted]
            for batch in reader.iter_batches(self.block_rows, columns=columns):
                yield self._block(batch)

    def _block(self, batch: pa.RecordBatch) -> Block:
        present = set(batch.schema.names)
        inputs = {}
        for found in self.inputs:
            if found.name in present:
                inputs[found.name] = self._tensor(batch.column(found.name), found)
            else:
                inputs[found.name] = missing(found, batch.num_rows)
        target = self.label.target(batch.column(self.label.name), self.source)
        return Block(inputs, target, self._weights(batch))

    def _tensor(self, column: pa.Array, found: RawInput) -> Any:
        if found.dtype == "string":
            return text_tensor(column)
        import tensorflow as tf

        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            raise StepError(f"{self.source}: the column {found.name!r} holds text, the schema says a number")
        return tf.constant(number_array(column))

    def _weights(self, batch: pa.RecordBatch) -> np.ndarray:
        if not self.weight:
            return np.ones(batch.num_rows, np.float32)
        values = number_array(batch.column(self.weight)).astype(np.float32)
        wrong = int((~(np.isfinite(values) & (values >= 0))).sum())
        if wrong:
            raise StepError(
                f"{self.source}: the weight {self.weight!r} is missing, negative or infinite in {wrong} rows"
            )
        return values


def number_array(column: pa.Array) -> np.ndarray:
    """Return a column of numbers or booleans as float64, NaN where it is missing."""
    return pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def text_tensor(column: pa.Array) -> Any:
    """Return a column as a string tensor, "" where it is missing; booleans are "true" and "false"."""
    import tensorflow as tf

    coded = pc.fill_null(pc.cast(column, pa.string()), "").dictionary_encode()
    values = coded.dictionary.to_pylist() or [""]
    return tf.gather(tf.constant(values, tf.string), coded.indices.to_numpy(zero_copy_only=False))


def missing(found: RawInput, rows: int) -> Any:
    """Return a tensor of missing values, for a column that the data does not have."""
    import tensorflow as tf

    return tf.fill([rows], "") if found.dtype == "string" else tf.fill([rows], np.float64("nan"))

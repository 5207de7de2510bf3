"""The test split: its Parquet shards, the truth in them, and batches of rows as models take them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.components.evaluate_model.outcomes import MEASURES, Floats, Outcome
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)


class Split:
    """A Dataset artifact, read a few columns at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the shards.

        Raises:
            StepError: There are none, or they hold no row.
        """
        self.shards = sorted(folder.glob("*.parquet"))
        if not self.shards:
            raise StepError(
                f"the test data {folder} holds no Parquet shards; it should be prepare_data's test_data"
            )
        schema = pq.read_schema(self.shards[0])
        self.types = dict(zip(schema.names, schema.types, strict=True))
        self.rows = sum(pq.read_metadata(shard).num_rows for shard in self.shards)
        if not self.rows:
            raise StepError("the test data holds no row; raise the share `split.test` in app.yaml")

    def columns(self, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return whole columns."""
        wanted = list(dict.fromkeys(names))
        table = pa.concat_tables([pq.read_table(shard, columns=wanted) for shard in self.shards])
        return {name: table.column(name) for name in wanted}

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns `names` in batches of at most `rows` rows, in order."""
        for shard in self.shards:
            yield from pq.ParquetFile(shard).iter_batches(rows, columns=list(names))

    def outcome(self, label_spec: Mapping[str, Any], weight: str) -> Outcome:
        """Return the truth: the label and the weight of each row.

        Raises:
            StepError: label_spec is incomplete, a column is absent, or a label or weight cannot be used.
        """
        name, task = label_spec.get("name"), label_spec.get("task")
        if not name or task not in MEASURES:
            raise StepError(
                f"label_spec is {dict(label_spec)!r}: expected a name and a task of {', '.join(MEASURES)}"
            )
        for column, what in ((name, "label"), (weight, "weight")):
            if column and column not in self.types:
                raise StepError(f"the {what} column {column!r} is not in the test data")
        weights = self._weights(weight) if weight else None
        column = self.columns([name])[name]
        if column.null_count:
            raise StepError(f"the label {name!r} is missing in {column.null_count} of {self.rows} test rows")
        if task == "regression":
            return Outcome(task, (), 0, np.empty(0, np.int32), self._numbers(name, "label", column), weights)
        classes = tuple(str(text) for text in label_spec.get("classes") or ())
        positive = str(label_spec.get("positive") or "")
        if len(classes) < 2 or (task == "binary" and (len(classes) > 2 or positive not in classes)):
            raise StepError(f"label_spec is {dict(label_spec)!r}: its classes do not fit the task {task!r}")
        codes = pc.index_in(column.cast(pa.string()), value_set=pa.array(classes, pa.string()))
        if codes.null_count:
            raise StepError(
                f"the label {name!r} of {codes.null_count} test rows is none of the classes {', '.join(classes)}"
            )
        index = classes.index(positive) if task == "binary" else 0
        return Outcome(task, classes, index, codes.to_numpy().astype(np.int32), np.empty(0), weights)

    def _weights(self, name: str) -> Floats:
        values = self._numbers(name, "weight", self.columns([name])[name])
        wrong = int((values <= 0).sum())
        if wrong:
            raise StepError(f"the weight {name!r} is zero or negative in {wrong} of {self.rows} test rows")
        return values

    def _numbers(self, name: str, what: str, column: pa.ChunkedArray) -> Floats:
        if pa.types.is_string(column.type):
            raise StepError(f"the {what} column {name!r} of the test data holds text, expected numbers")
        values = column.cast(pa.float64()).to_numpy()
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise StepError(
                f"the {what} {name!r} is missing, NaN or infinite in {wrong} of {self.rows} test rows"
            )
        return values

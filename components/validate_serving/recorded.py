"""Rows of the test data as requests, with the offline predictions made of the same rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penstock.components.step_io.errors import StepError

OFFLINE = "challenger_"  # evaluate_model's prefix of the columns of the model that is about to serve


@dataclass(frozen=True)
class Recorded:
    """Instances as a client would send them, and what the model said of them offline.

    Attributes:
        instances: One object per row; None where a value is missing.
        offline: Outputs by name, one value per row: `score`, `label`, `prediction`, or `probability_<class>`.
    """

    instances: list[dict[str, Any]]
    offline: dict[str, list[Any]]


def read_recorded(data: Path, predictions: Path, inputs: Mapping[str, str], wanted: int) -> Recorded:
    """Read up to `wanted` rows, evenly spread over the test data.

    Args:
        data: Folder of Parquet shards, the test split.
        predictions: Folder of Parquet shards with a row for each of them, in the same order.
        inputs: The model's raw inputs: dtype (`float64` or `string`) by name.
        wanted: Most rows to read.

    Raises:
        StepError: There are no rows, the two differ in rows, or a column is not there.
    """
    rows, offline_rows = count_rows(data), count_rows(predictions)
    if not rows:
        raise StepError("the test data has no rows: there is nothing to replay")
    if rows != offline_rows:
        raise StepError(
            f"the test data has {rows} rows, the predictions have {offline_rows}: they are not of one run"
        )
    chosen = np.unique(np.linspace(0, rows - 1, min(wanted, rows)).round().astype(np.int64))
    columns = [name for name in column_names(predictions) if name.startswith(OFFLINE)]
    if not columns:
        raise StepError(f"the predictions have no column {OFFLINE}*: give those of evaluate_model")
    absent = sorted(set(inputs) - set(column_names(data)))
    if absent:
        raise StepError(f"the test data lacks the model's input {', '.join(map(repr, absent))}")
    instances: list[dict[str, Any]] = []
    for batch in take(data, list(inputs), chosen):
        values = {name: as_json(batch.column(name), dtype) for name, dtype in inputs.items()}
        instances += [{name: values[name][i] for name in inputs} for i in range(batch.num_rows)]
    offline: dict[str, list[Any]] = {name.removeprefix(OFFLINE): [] for name in columns}
    for batch in take(predictions, columns, chosen):
        for name in columns:
            offline[name.removeprefix(OFFLINE)] += batch.column(name).to_pylist()
    return Recorded(instances, offline)


def as_json(column: Any, dtype: str) -> list[Any]:
    """Return an Arrow column as JSON values; None where it is missing, NaN or infinite.

    Raises:
        StepError: It cannot be read as `dtype`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if dtype == "string":
            return list(pc.cast(column, pa.string()).to_pylist())
        if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
            return list(column.to_pylist())
        numbers = pc.cast(column, pa.float64(), safe=False).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StepError(f"the test data's {column.type} cannot be read as {dtype}: {error}") from error
    return [value if value is not None and math.isfinite(value) else None for value in numbers]


def shards(folder: Path) -> list[Path]:
    """Return the Parquet files of a dataset, in order."""
    return sorted(folder.glob("*.parquet"))


def count_rows(folder: Path) -> int:
    """Return the rows of a dataset, from the files' footers."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in shards(folder))


def column_names(folder: Path) -> list[str]:
    """Return the columns of a dataset."""
    import pyarrow.parquet as pq

    return list(pq.read_schema(shards(folder)[0]).names)


def take(folder: Path, columns: Sequence[str], rows: np.ndarray) -> Iterator[Any]:
    """Yield the rows at the sorted indices `rows`, batch by batch, in bounded memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    begin = 0
    for path in shards(folder):
        for batch in pq.ParquetFile(path).iter_batches(columns=list(columns)):
            inside = rows[(rows >= begin) & (rows < begin + batch.num_rows)] - begin
            if len(inside):
                yield batch.take(pa.array(inside))
            begin += batch.num_rows

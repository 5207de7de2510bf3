"""Cuts a dataset into parts of a fixed size, which is what the processes share among them.

The parts depend on the data alone, never on how many processes there are: the same data give the same
statistics, byte for byte, on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.step_io.errors import StepError

PART_ROWS = 250_000
PART_CELLS = 20_000_000  # a part of wide data has fewer rows
BATCH_ROWS = 65_536
BATCH_CELLS = 8_000_000  # about 64 MB of numbers


@dataclass(frozen=True)
class Part:
    """Consecutive row groups of one shard."""

    path: Path
    groups: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Shards:
    """A Dataset artifact: its columns, its parts in their order, its rows by the files' footers."""

    folder: Path
    columns: pa.Schema
    parts: list[Part]
    rows: int


def open_shards(folder: Path) -> Shards:
    """Read the footers of a Dataset artifact.

    Raises:
        StepError: There are no shards, one cannot be read, or they differ in their columns.
    """
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise StepError(f"the dataset {folder} holds no part-*.parquet")
    columns: pa.Schema | None = None
    parts: list[Part] = []
    rows = 0
    for path in paths:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise StepError(f"{path} is no Parquet file: {error}") from error
        with file:
            found = file.schema_arrow.remove_metadata()
            if columns is None:
                columns = found
            elif not found.equals(columns):
                raise StepError(f"{path} has other columns than {paths[0].name}: extract the data again")
            rows += file.metadata.num_rows
            parts += _parts(path, file.metadata)
    assert columns is not None
    return Shards(folder, columns, parts, rows)


def batches(part: Part, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a part, some columns of them, in bounded memory."""
    size = max(1024, min(BATCH_ROWS, BATCH_CELLS // max(len(columns), 1)))
    with pq.ParquetFile(part.path) as file:
        yield from file.iter_batches(
            size, row_groups=list(part.groups), columns=list(columns), use_threads=False
        )


def _parts(path: Path, metadata: pq.FileMetaData) -> Iterator[Part]:
    most = max(1024, min(PART_ROWS, PART_CELLS // max(metadata.num_columns, 1)))
    groups: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if groups and rows + count > most:
            yield Part(path, tuple(groups), rows)
            groups, rows = [], 0
        groups.append(group)
        rows += count
    if groups:
        yield Part(path, tuple(groups), rows)

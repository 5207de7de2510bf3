"""Small Dataset artifacts for the tests of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.compute_statistics.computation import compute
from penstock.components.tfdv_library.summary import STATISTICS_FILE, Dataset, summarize


def write_dataset(
    folder: Path, columns: Mapping[str, Any], shards: int = 1, rows_in_group: int = 65_536
) -> Path:
    """Write columns (lists or Arrow arrays) as so many Parquet shards."""
    arrays = {n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in columns.items()}
    table = pa.table(arrays)
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-table.num_rows // shards) if table.num_rows else 0
    for number in range(shards):
        part = table.slice(number * each, each)
        pq.write_table(part, folder / f"part-{number:05d}.parquet", row_group_size=rows_in_group)
    return folder


def describe(folder: Path, columns: Mapping[str, Any], slices: Sequence[str] = ()) -> list[Dataset]:
    """Return the statistics of columns, and of the slices."""
    found = compute(write_dataset(folder, columns), slices, processes=1)
    return [summarize(dataset) for dataset in found.datasets]


def write_statistics(folder: Path, dataset: Path, slices: Sequence[str] = ()) -> Path:
    """Write the statistics artifact of a dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    found = compute(dataset, slices, processes=1)
    (folder / STATISTICS_FILE).write_bytes(found.SerializeToString(deterministic=True))
    return folder

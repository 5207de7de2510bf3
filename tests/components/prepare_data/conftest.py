from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.prepare_data.preparation import Prepared, prepare
from penstock.components.prepare_data.settings import SPLITS, read_cleaning, read_label, read_split
from penstock.components.source_files.shards import shard_paths
from penstock.components.step_io.errors import StepError

Columns = dict[str, list[Any]]


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[[Columns], Path]:
    """Write columns as a Dataset of shards of at most 100 rows."""

    def write(columns: Columns) -> Path:
        folder = tmp_path / "dataset"
        folder.mkdir(exist_ok=True)
        table = pa.table(columns)
        table = table.cast(
            pa.schema([(f.name, pa.string() if pa.types.is_null(f.type) else f.type) for f in table.schema])
        )
        for number, start in enumerate(range(0, max(table.num_rows, 1), 100)):
            pq.write_table(table.slice(start, 100), folder / f"part-{number:05d}.parquet")
        return folder

    return write


@pytest.fixture
def run_prepare(tmp_path: Path, dataset: Callable[[Columns], Path]) -> Callable[..., Prepared]:
    """Prepare columns into tmp_path / train and so on."""

    def run(
        columns: Columns,
        label: dict[str, Any],
        cleaning: list[dict[str, Any]] = [],  # noqa: B006
        split: dict[str, Any] = {},  # noqa: B006
        event_time: str = "",
        weight: str = "",
    ) -> Prepared:
        folders = {name: tmp_path / name for name in SPLITS}
        settings = read_label(label), read_cleaning(cleaning), read_split(split)
        return prepare(dataset(columns), *settings, event_time, weight, folders)

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[str], pa.Table]:
    """Return what was written for a split."""
    return lambda name: pa.concat_tables([pq.read_table(path) for path in shard_paths(tmp_path / name)])


@pytest.fixture
def all_rows(rows: Callable[[str], pa.Table]) -> Callable[[], pa.Table]:
    """Return what was written for all splits."""
    return lambda: pa.concat_tables([rows(name) for name in SPLITS])


@pytest.fixture
def fault(run_prepare: Callable[..., Prepared]) -> Callable[..., str]:
    """Prepare what must fail and return the sentence."""

    def run(*arguments: Any, **settings: Any) -> str:
        with pytest.raises(StepError) as caught:
            run_prepare(*arguments, **settings)
        return str(caught.value)

    return run


@pytest.fixture
def trips() -> Columns:
    """Return 400 rows with a binary label and a few things to clean."""
    n = 400
    return {
        "id": [f"t{i}" for i in range(n)],
        "fare": [float(i % 50) for i in range(n)],
        "tips": [float(i * 7 % 13) for i in range(n)],
        "company": [None if i % 5 == 0 else f"c{i % 3}" for i in range(n)],
        "paid": ["yes" if i * 7919 % 10 < 3 else "no" for i in range(n)],
        "at": [1_400_000_000 + i // 2 for i in range(n)],
    }

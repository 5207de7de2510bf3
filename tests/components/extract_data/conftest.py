from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.extract_data.extraction import Extract, extract
from penstock.components.source_files.selection import make_selection
from penstock.components.source_files.shards import shard_paths
from penstock.components.step_io.errors import StepError

DEFAULTS = {"format": "auto", "query": "", "event_time": "", "event_time_unit": "s", "since": "", "until": ""}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    """Write a source file and return its path."""

    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


@pytest.fixture
def run_extract(tmp_path: Path) -> Callable[..., Extract]:
    """Extract a source into tmp_path / dataset."""

    def run(
        source: str, *, expected: str = "", rows_per_shard: int = 1000, snapshot: str = "", **settings: Any
    ) -> Extract:
        selection = make_selection(**DEFAULTS | settings)
        return extract(source, selection, expected, tmp_path / "dataset", rows_per_shard, snapshot=snapshot)

    return run


@pytest.fixture
def read(run_extract: Callable[..., Extract], tmp_path: Path) -> Callable[..., pa.Table]:
    """Extract a source and return the rows."""

    def run(source: str, **settings: Any) -> pa.Table:
        run_extract(source, **settings)
        return pa.concat_tables([pq.read_table(path) for path in shard_paths(tmp_path / "dataset")])

    return run


@pytest.fixture
def fault(run_extract: Callable[..., Extract], tmp_path: Path) -> Callable[..., str]:
    """Extract a source that must fail and return the sentence, with the folder's path left out."""

    def run(source: str, **settings: Any) -> str:
        with pytest.raises(StepError) as caught:
            run_extract(source, **settings)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return run

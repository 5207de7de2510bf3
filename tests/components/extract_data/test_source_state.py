"""The source as it was inspected, and as it is while it is read."""

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from penstock.components.duckdb_session.session import query_errors
from penstock.components.extract_data import extraction
from penstock.components.source_files.fingerprint import fingerprint
from penstock.components.source_files.listing import find_source
from penstock.components.source_files.selection import Selection
from penstock.components.source_files.shards import ShardWriter
from penstock.components.step_io.errors import StepError

FULL = "no space left on the disk (of the outputs or of the temporary folder): free some and run again"


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def test_an_unchanged_source_is_read(run_extract, write):
    path = write("a.csv", "a\n1\n")
    assert run_extract(path, expected=fingerprint(find_source(path), Selection())).rows == 1


def test_a_source_that_changed_since_it_was_inspected(fault, write):
    path = write("a.csv", "a\n1\n")
    before = fingerprint(find_source(path), Selection())
    write("a.csv", "a\n2\n")
    assert fault(path, expected=before) == "the source 'a.csv' has changed since it was inspected: run again"


def test_a_source_that_changes_while_it_is_read(fault, write, tmp_path, monkeypatch):
    path = write("in/a.csv", "a\n1\n")
    real = ShardWriter.close

    def close_late(self):
        write("in/b.csv", "a\n2\n")  # another process adds a file
        real(self)

    monkeypatch.setattr(extraction.ShardWriter, "close", close_late)
    assert fault(os.path.dirname(path)) == (  # noqa: PTH120
        "the source 'in' changed while it was being read: run again when it is at rest"
    )


def test_remote_files_are_read(read, memory):
    memory.pipe("/bucket/in/a.csv", b"a,b\n1,x\n")
    memory.pipe("/bucket/in/b.csv", b"b,a\ny,2\n")
    assert read("memory://bucket/in").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert read("memory://bucket/in/*.csv").num_rows == 2
    assert read("memory://bucket/in/a.csv").num_rows == 1


def test_remote_compressed_json_is_read(read, memory):
    memory.pipe("/bucket/a.jsonl.zst", pa.compress(b'{"a": 1}\n', codec="zstd", asbytes=True))
    assert read("memory://bucket/a.jsonl.zst").to_pydict() == {"a": [1]}


def test_remote_faults_name_the_remote_file(fault, memory):
    memory.pipe("/bucket/a.csv", b"a,b\n1\n")
    assert fault("memory://bucket/a.csv") == (
        "memory://bucket/a.csv: line 2 has 1 field, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_nothing_is_left_in_the_temporary_folder(run_extract, write, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    run_extract(write("a.csv", "a\n1\n"))
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_space_for_the_shards(fault, write, tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "part-00000.parquet").symlink_to("/dev/full")
    assert fault(write("a.csv", "a\n1\n")) == FULL


def test_no_space_to_spill(tmp_path):
    connection = extraction.connect(tmp_path, threads=1)
    connection.execute("SET memory_limit = '32MiB'")
    connection.execute("SET max_temp_directory_size = '1MiB'")
    with pytest.raises(StepError) as caught, query_errors("data.query"):
        connection.execute("SELECT * FROM range(20000000) t(i) ORDER BY hash(i)").fetchall()
    assert str(caught.value) == FULL

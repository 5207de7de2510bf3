import os

import fsspec
import pytest
from botocore.exceptions import NoCredentialsError

from penstock.components.source_files.listing import find_source, local_errors, remote_errors
from penstock.components.step_io.errors import StepError


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def names(source):
    return [os.path.basename(file.path) for file in source.files]  # noqa: PTH119


def fault(uri, format="auto"):
    with pytest.raises(StepError) as caught:
        find_source(str(uri), format)
    return str(caught.value)


def test_files_are_sorted_by_path_and_hidden_ones_left_out(tmp_path):
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden.csv", "_tmp/d.csv", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    source = find_source(str(tmp_path))
    assert (source.format, names(source), source.size_bytes) == ("csv", ["a.csv", "b.csv", "c.csv"], 3)


def test_a_file_uri_is_a_local_file(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    assert find_source(f"file://{tmp_path}/a.csv").files[0].is_local


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.csv", "csv"),
        ("a.TSV.gz", "csv"),
        ("a.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
    ],
)
def test_the_format_follows_from_the_name(tmp_path, name, format):
    (tmp_path / name).write_text("x")
    assert find_source(str(tmp_path / name)).format == format


def test_a_given_format_counts_more_than_the_name(tmp_path):
    (tmp_path / "a.dat").write_text("x")
    assert find_source(str(tmp_path / "a.dat"), "csv").format == "csv"


def test_a_given_format_chooses_the_files_of_a_folder(tmp_path):
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).write_text("x")
    assert names(find_source(str(tmp_path), "jsonl")) == ["b.jsonl"]


def test_remote_files_are_found(memory):
    for name in ("in/b.csv", "in/a.csv", "in/_SUCCESS"):
        memory.pipe(f"/bucket/{name}", b"x")
    assert names(find_source("memory://bucket/in")) == ["a.csv", "b.csv"]
    assert names(find_source("memory://bucket/*/b.csv")) == ["b.csv"]
    assert [file.name for file in find_source("memory://bucket/in/a.csv").files] == [
        "memory://bucket/in/a.csv"
    ]


def test_nothing_there(tmp_path):
    assert fault(tmp_path / "a.csv") == f"the source '{tmp_path}/a.csv' does not exist"


def test_nothing_there_but_something_like_it(tmp_path):
    (tmp_path / "trips.csv").write_text("x")
    assert fault(tmp_path / "trip.csv") == (
        f"the source '{tmp_path}/trip.csv' does not exist; did you mean 'trips.csv'?"
    )


def test_no_name():
    assert fault(" ") == "source is empty: name a file, a glob, a directory or a table"


def test_glob_without_a_match(tmp_path):
    assert fault(tmp_path / "*.csv") == f"no file matches the source '{tmp_path}/*.csv'"


def test_folder_without_data(tmp_path):
    assert fault(tmp_path) == f"the directory '{tmp_path}' holds no CSV or JSON Lines or Parquet file"
    assert fault(tmp_path, "parquet") == f"the directory '{tmp_path}' holds no Parquet file"


def test_empty_file(tmp_path):
    (tmp_path / "a.csv").touch()
    assert (
        fault(tmp_path)
        == f"{tmp_path}/a.csv is empty (0 bytes): write it again or leave it out of the source"
    )


def test_several_formats(tmp_path):
    for name in ("a.csv", "b.parquet"):
        (tmp_path / name).write_text("x")
    assert fault(tmp_path) == (
        f"the source '{tmp_path}' holds CSV and Parquet files: set data.format or name one kind by a glob"
    )


def test_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    assert fault(tmp_path / "a.csv") == f"the source '{tmp_path}/a.csv' is neither a file nor a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "a.csv").chmod(0)
    assert fault(tmp_path / "a.csv") == f"no permission to read {tmp_path}/a.csv: give this user access to it"


def test_remote_file_that_is_not_there(memory):
    assert fault("memory://bucket/a.csv") == (
        "the source 'memory://bucket/a.csv' does not exist: check the bucket's name and the path"
    )


def test_remote_glob_without_a_match(memory):
    memory.pipe("/bucket/a.csv", b"x")
    assert fault("memory://bucket/*.parquet") == "no file matches the source 'memory://bucket/*.parquet'"


def test_unknown_scheme():
    assert fault("foo://bucket/a.csv") == (
        "the source 'foo://bucket/a.csv' cannot be read, this stack has no file system for foo://: "
        "use file, gs, s3 or bq, or add its fsspec package to images/core"
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError("403"), "no permission to read 's3://b/a.csv': give this account read access to it"),
        (NoCredentialsError(), "no credentials for 's3://b/a.csv': Unable to locate credentials"),
        (TimeoutError("after 5 s\nmore"), "cannot read 's3://b/a.csv': TimeoutError: after 5 s"),
    ],
)
def test_what_remote_file_systems_raise_becomes_a_sentence(error, sentence):
    with pytest.raises(StepError) as caught, remote_errors("s3://b/a.csv"):
        raise error
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PermissionError(13, "no", "/data/a.csv"),
            "no permission to read /data/a.csv: give this user access to it",
        ),
        (
            FileNotFoundError(2, "no", "/data/a.csv"),
            "/data/a.csv is gone: run again when the source is at rest",
        ),
    ],
)
def test_what_the_local_file_system_raises_becomes_a_sentence(error, sentence):
    with pytest.raises(StepError) as caught, local_errors("/data"):
        raise error
    assert str(caught.value) == sentence

import os
import shutil

import fsspec
import pytest

from penstock.components.source_files import fingerprint as module
from penstock.components.source_files.fingerprint import fingerprint
from penstock.components.source_files.listing import find_source
from penstock.components.source_files.selection import make_selection

ALL = {"format": "auto", "query": "", "event_time": "", "event_time_unit": "s", "since": "", "until": ""}


def of(uri, **settings):
    selection = make_selection(**ALL | settings)
    return fingerprint(find_source(str(uri), selection.format), selection)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("t\n1\n")
    (tmp_path / "in" / "b.csv").write_text("t\n2\n")
    return tmp_path / "in"


def test_it_stays_while_nothing_changes(folder):
    assert of(folder) == of(folder)


def test_it_does_not_depend_on_place_and_time(folder, tmp_path):
    before = of(folder)
    shutil.copytree(folder, tmp_path / "clone")
    os.utime(tmp_path / "clone" / "a.csv", (1, 1))
    assert of(tmp_path / "clone") == before


def test_it_changes_with_a_byte(folder):
    before = of(folder)
    (folder / "a.csv").write_text("t\n3\n")
    assert of(folder) != before


def test_it_changes_with_a_new_file(folder):
    before = of(folder)
    (folder / "c.csv").write_text("t\n3\n")
    assert of(folder) != before


def test_it_changes_with_the_order_of_the_files(folder):
    before = of(folder)
    (folder / "a.csv").rename(folder / "z.csv")
    assert of(folder) != before


@pytest.mark.parametrize(
    ("settings", "before"),
    [
        ({"query": "FROM source"}, {}),
        ({"format": "jsonl"}, {}),
        ({"event_time": "t"}, {}),
        ({"event_time": "t", "since": "1970-01-01"}, {"event_time": "t"}),
        ({"event_time": "t", "until": "1970-01-01"}, {"event_time": "t"}),
        ({"event_time": "t", "event_time_unit": "ms"}, {"event_time": "t"}),
    ],
)
def test_it_changes_with_the_selection(folder, settings, before):
    assert of(folder / "a.csv", **settings) != of(folder / "a.csv", **before)


def test_bounds_of_the_same_moment_are_the_same(folder):
    spellings = ("2014-01-01", "2014-01-01T00:00:00Z", "2014-01-01T01:00:00+01:00")
    assert len({of(folder, event_time="t", since=since) for since in spellings}) == 1


def test_a_given_format_is_the_same_as_the_one_that_the_name_tells(folder):
    assert of(folder, format="csv") == of(folder)


def test_large_files_count_by_size_and_time(folder, monkeypatch):
    monkeypatch.setattr(module, "HASHED_UP_TO_BYTES", 1)
    before = of(folder)
    assert of(folder) == before
    os.utime(folder / "a.csv", (1, 1))
    assert of(folder) != before


def test_remote_files_count_by_size_and_time():
    filesystem = fsspec.filesystem("memory")
    try:
        filesystem.pipe("/bucket/a.csv", b"t\n1\n")
        before = of("memory://bucket/a.csv")
        assert of("memory://bucket/a.csv") == before
        filesystem.pipe("/bucket/a.csv", b"t\n2\n")
        assert of("memory://bucket/a.csv") != before
    finally:
        filesystem.store.clear()

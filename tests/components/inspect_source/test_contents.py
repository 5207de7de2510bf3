import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.inspect_source import contents
from penstock.components.inspect_source.contents import Contents, read_contents
from penstock.components.source_files.listing import find_source
from penstock.components.source_files.selection import make_selection


@pytest.fixture
def inspect(tmp_path):
    def run(name, content, event_time="", unit="s"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_contents(find_source(str(path)), make_selection("auto", "", event_time, unit, "", ""))

    return run


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_rows_and_latest_time_of_a_csv_file(inspect, pack):
    name = "a.csv" if pack(b"a") == b"a" else "a.csv.gz"
    assert inspect(name, pack(b't,v\n86400,"x\ny"\n\n,z\n172800,x\n'), "t") == Contents(
        3, "1970-01-03T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("values", "unit", "watermark"),
    [
        (["1500"], "ms", "1970-01-01T00:00:01.500000Z"),
        (["1.5"], "s", "1970-01-01T00:00:01.500000Z"),
        (["2014-01-01", "2014-01-01T02:00:00+01:00"], "s", "2014-01-01T01:00:00Z"),
        (["", ""], "s", ""),
    ],
)
def test_the_latest_time_is_read_in_its_unit(inspect, values, unit, watermark):
    assert inspect("a.csv", "t,v\n" + "".join(f"{v},1\n" for v in values), "t", unit).watermark == watermark


def test_rows_of_a_file_without_an_event_time(inspect):
    assert inspect("a.csv", "t\n1\n2\n") == Contents(2, "")


def test_rows_and_latest_time_of_json_lines(inspect):
    lines = [json.dumps({"t": t}) for t in (86400, None, 172800)]
    assert inspect("a.jsonl", "\n".join(lines) + "\n\n", "t") == Contents(3, "1970-01-03T00:00:00Z")


def test_rows_and_latest_time_of_parquet_come_from_its_footer(tmp_path):
    times = [datetime.datetime(2014, 1, 1), None, datetime.datetime(2014, 1, 2)]
    pq.write_table(pa.table({"v": [1, 2, 3], "t": times}), tmp_path / "a.parquet", row_group_size=2)
    selection = make_selection("auto", "", "t", "s", "", "")
    assert read_contents(find_source(str(tmp_path)), selection) == Contents(3, "2014-01-02T00:00:00Z")


def test_parquet_without_statistics_has_rows_but_no_latest_time(tmp_path):
    pq.write_table(pa.table({"t": [1, 2]}), tmp_path / "a.parquet", write_statistics=False)
    selection = make_selection("auto", "", "t", "s", "", "")
    assert read_contents(find_source(str(tmp_path)), selection) == Contents(2, "")


@pytest.mark.parametrize("content", [b"t\n\xe9\n", "t\nyesterday\n", "t,\n1,2\n"])
def test_what_cannot_be_understood_is_unknown(inspect, content):
    assert inspect("a.csv", content, "t").watermark == ""


def test_large_text_is_not_read(inspect, monkeypatch):
    monkeypatch.setattr(contents, "SCANNED_UP_TO_BYTES", 5)
    assert inspect("a.csv", "t\n1\n2\n3\n", "t") == Contents(-1, "")


def test_many_parquet_files_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "FOOTERS_UP_TO_FILES", 1)
    for name in ("a", "b"):
        pq.write_table(pa.table({"t": [1]}), tmp_path / f"{name}.parquet")
    selection = make_selection("auto", "", "t", "s", "", "")
    assert read_contents(find_source(str(tmp_path)), selection) == Contents(-1, "")

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DAYS = ["2014-01-01", "2014-01-02T12:00:00", "2014-01-03T01:00:00+02:00", "2014-01-04"]
SECONDS = [1388534400, 1388664000, 1388703600, 1388793600]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_the_window_is_half_open_on_numbers(read, write, unit, factor):
    path = write("a.csv", "t\n" + "".join(f"{s * factor}\n" for s in SECONDS))
    table = read(path, event_time="t", event_time_unit=unit, since="2014-01-02T12:00:00Z", until="2014-01-04")
    assert table["t"].to_pylist() == [s * factor for s in SECONDS[1:3]]


def test_the_window_is_half_open_on_text_which_becomes_seconds(read, write):
    path = write("a.csv", "t\n" + "".join(f"{d}\n" for d in DAYS))
    assert (
        read(path, event_time="t", since="2014-01-02T12:00:00Z", until="2014-01-04")["t"].to_pylist()
        == SECONDS[1:3]
    )


def test_the_window_is_half_open_on_timestamps(read, tmp_path):
    moments = [datetime.datetime.fromtimestamp(s, datetime.UTC) for s in SECONDS]
    pq.write_table(pa.table({"t": pa.array(moments, pa.timestamp("us", "UTC"))}), tmp_path / "a.parquet")
    table = read(
        str(tmp_path / "a.parquet"), event_time="t", since="2014-01-02T13:00:00+01:00", until="2014-01-04"
    )
    assert table["t"].to_pylist() == SECONDS[1:3]


def test_the_window_is_half_open_on_decimals(read, write):
    path = write("a.csv", "t\n0.25\n0.5\n0.75\n")
    window = {"since": "1970-01-01T00:00:00.5", "until": "1970-01-01T00:00:00.75"}
    assert read(path, event_time="t", **window)["t"].to_pylist() == [0.5]


def test_rows_without_an_event_time_lie_outside_a_window(read, write):
    path = write("a.csv", "t,v\n1,a\n,b\n")
    assert read(path, event_time="t", since="1970-01-01")["v"].to_pylist() == ["a"]
    assert read(path, event_time="t")["v"].to_pylist() == ["a", "b"]


def test_an_open_window_reads_to_the_end(read, write):
    path = write("a.csv", "t\n" + "".join(f"{s}\n" for s in SECONDS))
    assert read(path, event_time="t", since="2014-01-03")["t"].to_pylist() == SECONDS[3:]


def test_the_window_is_put_over_the_query(read, write):
    path = write("a.csv", "t\n" + "".join(f"{s}\n" for s in SECONDS))
    query = "SELECT t + 86400 AS next FROM source"
    assert read(path, query=query, event_time="next", since="2014-01-05")["next"].to_pylist() == [
        SECONDS[3] + 86400
    ]


@pytest.mark.parametrize(
    ("values", "unit", "watermark"),
    [
        (["1388534400", "1388664000", ""], "s", "2014-01-02T12:00:00Z"),
        (["1388534400250"], "ms", "2014-01-01T00:00:00.250000Z"),
        (["1.5", "NaN", "inf"], "s", "1970-01-01T00:00:01.500000Z"),
        (["2014-01-01", "2014-01-02 12:00:00.9"], "s", "2014-01-02T12:00:00Z"),
        (["2014-01-02"], "ms", "2014-01-02T00:00:00Z"),
        (["", ""], "s", ""),
    ],
)
def test_the_watermark_is_the_latest_event_time(run_extract, write, values, unit, watermark):
    path = write("a.csv", "t,v\n" + "".join(f"{v},1\n" for v in values))
    assert run_extract(path, event_time="t", event_time_unit=unit).watermark == watermark


def test_the_watermark_is_empty_without_an_event_time(run_extract, write):
    assert run_extract(write("a.csv", "t\n1\n")).watermark == ""


def test_window_without_rows(fault, write):
    path = write("a.csv", "t\n" + "".join(f"{s}\n" for s in SECONDS))
    assert fault(path, event_time="t", since="2015-01-01", until="2016-01-01") == (
        "no row of 'a.csv' lies in the window from 2015-01-01T00:00:00Z until 2016-01-01T00:00:00Z: "
        "t runs from 2014-01-01T00:00:00Z to 2014-01-04T00:00:00Z; change since or until"
    )


def test_window_over_missing_event_times(fault, write):
    assert fault(write("a.csv", "t,v\n,1\n"), event_time="t", since="2015-01-01") == (
        "no row of 'a.csv' has an event time in 't': check data.event_time"
    )


def test_event_time_that_is_no_column(fault, write):
    assert fault(write("a.csv", "start_time,v\n1,2\n"), event_time="starttime") == (
        "event_time 'starttime' is no column of 'a.csv'; did you mean 'start_time'?"
    )


@pytest.mark.parametrize("rows", [1, 300_000])
@pytest.mark.parametrize("window", [{}, {"since": "2014-01-01"}])
def test_event_time_that_is_no_time(fault, write, window, rows):
    path = write("a.csv", "t\n" + "2014-01-01\n" * rows + "yesterday\n")
    assert fault(path, event_time="t", **window) == (
        "event_time 't' of 'a.csv' holds text that is no ISO 8601 date or time: convert it with data.query"
    )


def test_event_time_that_is_a_boolean(fault, write):
    assert fault(write("a.csv", "t\ntrue\n"), event_time="t") == (
        "event_time 't' is of type BOOLEAN: expected a number, a date, a timestamp or a text in ISO 8601"
    )

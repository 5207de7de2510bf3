"""extract_data on BigQuery tables, against a server that speaks its APIs: types, windows, queries, consistency."""

import datetime
import decimal
import json
import time

import grpc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from penstock.components.extract_data.step import run as extract_step
from penstock.components.inspect_source.step import run as inspect_step
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

URI = "bq://shop.raw.trips"
NAME = "shop.raw.trips"
UTC = datetime.UTC


def numbered(count: int) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "kind": pa.array([f"k{i % 7}" for i in range(count)], pa.string()),
        }
    )


def test_all_types_and_missing_values_are_read(bigquery, read):
    moment = datetime.datetime(2026, 1, 31, 6, 0, 0, 500_000)
    columns = {
        "i": (pa.int64(), -(2**63), -(2**63)),
        "f": (pa.float64(), 0.1, 0.1),
        "n": (pa.decimal128(38, 9), decimal.Decimal("12345.000000001"), 12345.000000001),
        "big": (pa.decimal256(76, 38), decimal.Decimal("1" * 30 + ".5"), float("1" * 30 + ".5")),
        "b": (pa.bool_(), True, True),
        "s": (pa.string(), "Zürich", "Zürich"),
        "day": (pa.date32(), datetime.date(1970, 1, 2), 86_400),
        "ts": (pa.timestamp("us", "UTC"), moment.replace(tzinfo=UTC), 1_769_839_200),
        "dt": (pa.timestamp("us"), moment, 1_769_839_200),
        "t": (pa.time64("us"), datetime.time(6, 30), "06:30:00"),
        "bytes": (pa.binary(), b"ab\x00", "ab\\x00"),
    }
    table = pa.table({name: pa.array([value, None], type_) for name, (type_, value, _) in columns.items()})
    bigquery.add(NAME, table)
    found = read(URI)
    assert found.to_pydict() == {name: [expected, None] for name, (_, _, expected) in columns.items()}
    assert [str(field.type) for field in found.schema] == [
        *("int64", "double", "double", "double", "bool", "string"),
        *("int64", "int64", "int64", "string", "string"),
    ]


def test_json_and_geography_are_text(bigquery, read):
    text = pa.field("j", pa.string(), metadata={"ARROW:extension:name": "google:sqlType:json"})
    table = pa.table({"j": ['{"a": 1}'], "g": ["POINT(1 2)"]}, schema=pa.schema([text, ("g", pa.string())]))
    bigquery.add(NAME, table, fields=[{"name": "j", "type": "JSON"}, {"name": "g", "type": "GEOGRAPHY"}])
    assert read(URI).to_pydict() == {"j": ['{"a": 1}'], "g": ["POINT(1 2)"]}


def test_odd_column_names(bigquery, read):
    table = pa.table({"trip miles": [1.5], "a-b": ["x"], "größe": [1], "select": [2], "a'b": [3], "50%": [4]})
    bigquery.add("example.com:shop.raw.trips 2026", table)
    assert read("bq://example.com:shop.raw.trips 2026").to_pydict() == table.to_pydict()
    query = 'SELECT "trip miles" * 2 AS "x y", "a\'b" FROM source'
    assert read("bq://example.com:shop.raw.trips 2026", query=query).to_pydict() == {"x y": [3.0], "a'b": [3]}
    assert bigquery.sessions[-1].fields == ["trip miles", "a'b"]


def test_nested_columns_are_refused_before_anything_is_read(bigquery, fault, read):
    table = pa.table({"id": [1], "tags": [["a", "b"]], "at": [{"lat": 1.5, "where": {"x": 2}}]})
    bigquery.add(NAME, table)
    assert fault(URI) == (
        f"column 'tags' of '{URI}' holds nested values (VARCHAR[]): take them apart with data.query"
    )
    assert bigquery.sessions == []
    query = 'SELECT id, len(tags) AS tags, "at".lat, "at"."where".x FROM source'
    assert read(URI, query=query).to_pydict() == {"id": [1], "tags": [2], "lat": [1.5], "x": [2]}


def test_a_type_that_is_not_read_is_refused_unless_it_is_left_out(bigquery, fault, read):
    interval = pa.array([pa.MonthDayNano([1, 2, 3])], pa.month_day_nano_interval())
    bigquery.add(NAME, pa.table({"id": [1], "how long": interval}))
    assert fault(URI) == (
        f"column 'how long' of '{URI}' is of type INTERVAL, which is not read: select the other columns with data.query"
    )
    assert read(URI, query="SELECT id FROM source").to_pydict() == {"id": [1]}
    assert fault(URI, query='SELECT "how long" FROM source').startswith("column 'how long' of ")


def test_a_query_is_tried_before_anything_is_read(bigquery, fault):
    bigquery.add(NAME, numbered(3))
    assert fault(URI, query="SELECT nothing FROM source").startswith("data.query: Binder Error: ")
    assert (
        fault(URI, query="DROP TABLE source") == "data.query: expected exactly one SELECT, and nothing else"
    )
    assert fault(URI, event_time="idd") == f"event_time 'idd' is no column of '{URI}'; did you mean 'id'?"
    assert fault(URI, query="SELECT [id] AS ids FROM source").startswith(
        f"column 'ids' of '{URI}' holds nested values (BIGINT[])"
    )
    assert bigquery.sessions == []


def test_a_query_runs_over_the_columns_that_it_names(bigquery, read):
    bigquery.add(NAME, pa.table({"id": [1, 2, 3], "kind": ["a", "b", "a"], "long text": ["x", "y", "z"]}))
    query = "SELECT kind, count(*) AS n FROM source GROUP BY kind ORDER BY kind"
    assert read(URI, query=query).to_pydict() == {"kind": ["a", "b"], "n": [2, 1]}
    assert bigquery.sessions[-1].fields == ["kind"]
    assert read(URI, query="SELECT count(*) AS n FROM source").to_pydict() == {"n": [3]}
    assert bigquery.sessions[-1].fields == ["id"]
    assert read(URI, query="SELECT * EXCLUDE (kind) FROM source").num_columns == 2
    assert bigquery.sessions[-1].fields == ["id", "kind", "long text"]


DAY = 86_400
TIMES = {
    "INTEGER": (pa.int64(), [DAY * n for n in range(10)]),
    "FLOAT": (pa.float64(), [float(DAY * n) for n in range(10)]),
    "NUMERIC": (pa.decimal128(38, 9), [decimal.Decimal(DAY * n) for n in range(10)]),
    "DATE": (pa.date32(), [datetime.date(1970, 1, 1 + n) for n in range(10)]),
    "DATETIME": (pa.timestamp("us"), [datetime.datetime(1970, 1, 1 + n) for n in range(10)]),
    "TIMESTAMP": (
        pa.timestamp("us", "UTC"),
        [datetime.datetime(1970, 1, 1 + n, tzinfo=UTC) for n in range(10)],
    ),
}


@pytest.mark.parametrize("type_", TIMES)
@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("1970-01-03", "1970-01-05", [2, 3]),
        ("1970-01-03T00:00:00.000001", "", [3, 4, 5, 6, 7, 8, 9]),
        ("", "1970-01-03T12:00:00+06:00", [0, 1, 2]),
        ("P2D", "1970-01-03T00:00:00.5", [1, 2]),
    ],
)
def test_bigquery_gives_only_the_rows_of_the_window(bigquery, read, type_, since, until, days):
    arrow, values = TIMES[type_]
    stored = bigquery.add(NAME, pa.table({"when": pa.array([*values, None], arrow), "n": [*range(10), -1]}))
    found = read(URI, event_time="when", since=since, until=until)
    assert found.column("n").to_pylist() == days
    assert found.column("when").to_pylist() == [DAY * n for n in days]
    (session,) = bigquery.sessions
    assert session.rows.num_rows == len(days)
    assert session.rows.num_rows < stored.as_of(None).num_rows


def test_a_window_of_text_or_behind_a_query_is_left_to_this_side(bigquery, read):
    bigquery.add(NAME, pa.table({"when": ["1970-01-01", "1970-01-03"], "n": [1, 2]}))
    assert read(URI, event_time="when", since="1970-01-02").column("n").to_pylist() == [2]
    query = "SELECT n * 86400 AS n FROM source"
    assert read(URI, query=query, event_time="n", since="1970-01-03").to_pydict() == {"n": [2 * DAY]}
    assert [session.condition for session in bigquery.sessions] == ["", ""]


def test_a_window_without_rows(bigquery, fault):
    bigquery.add(NAME, pa.table({"when": [DAY]}))
    assert fault(URI, event_time="when", since="2026-01-01") == (
        f"no row of '{URI}' lies in the window from 2026-01-01T00:00:00Z until the end: change since or until"
    )


def test_a_required_partition_filter_is_met_by_the_window(bigquery, read, fault):
    bigquery.add(NAME, pa.table({"day": pa.array(TIMES["DATE"][1], pa.date32())}), needs_filter="day")
    assert read(URI, event_time="day", since="1970-01-09").num_rows == 2
    assert fault(URI) == (
        f"the table '{URI}' asks for a filter on its partitions (request failed: Cannot query over table '{NAME}' without "
        "a filter over column(s) 'day' that can be used for partition elimination): set data.event_time to that column, "
        "since or until, and leave data.query empty"
    )


def test_an_empty_table(bigquery, fault, tmp_path):
    bigquery.add(NAME, numbered(0))
    assert fault(URI) == f"the source '{URI}' holds no rows: nothing can be learned from it"
    task = tmp_path / "task"
    parameters = {"source": URI, "fingerprint": "", "allow_empty": True}
    outputs = {"dataset": "system.Dataset"}
    assert execute(extract_step, "extract_data", executor_input(task, parameters, outputs=outputs)) == 0
    results, _ = read_outputs(task)
    assert (results["rows"], results["columns"]) == (0, 2)


def test_a_table_that_changes_between_look_and_read_is_refused(bigquery, run_extract):
    stored = bigquery.add(NAME, numbered(3))
    seen = inspect_step(URI)
    assert run_extract(URI, expected=seen.fingerprint).rows == 3
    bigquery.after_session = lambda: stored.write(
        numbered(5)
    )  # after the session was made, before it was read
    with pytest.raises(
        StepError, match=f"^the source '{URI}' has changed since it was inspected: run again$"
    ):
        run_extract(URI, expected=seen.fingerprint)


def test_a_table_that_is_written_all_the_time_is_read_as_it_was_inspected(bigquery, run_extract):
    stored = bigquery.add(NAME, numbered(3))
    stored.write(numbered(4))
    seen = inspect_step(URI)
    assert seen.rows == 4
    stored.write(numbered(9), at_us=time.time_ns() // 1000 + 10_000_000)
    assert run_extract(URI, expected=seen.fingerprint, snapshot=seen.snapshot).rows == 4
    moment = datetime.datetime.fromisoformat(seen.snapshot)
    assert bigquery.sessions[-1].snapshot_us == int(moment.timestamp() * 10**6)


def test_a_moment_in_the_uri_is_what_is_read(bigquery, read, fault):
    stored = bigquery.add(NAME, numbered(3))
    hour_ago = time.time() - 3_600
    stored.write(numbered(9), at_us=int((hour_ago + 60) * 10**6))
    moment = datetime.datetime.fromtimestamp(hour_ago, UTC).isoformat()
    assert read(f"{URI}@{moment}").num_rows == 3
    assert read(URI).num_rows == 9
    assert (
        fault(f"{URI}@2020-01-01")
        == f"BigQuery refuses to read '{URI}': request failed: Invalid snapshot time"
    )


def test_refusals_name_the_roles_and_the_project(bigquery, fault, monkeypatch):
    bigquery.add(NAME, numbered(3))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "payer")
    text = "request failed: the user does not have 'bigquery.readsessions.create' permission for 'projects/payer'"
    bigquery.refuse_session = [(grpc.StatusCode.PERMISSION_DENIED, text)]
    assert fault(URI) == (
        f"no permission to read '{URI}' ({text}): give the account roles/bigquery.dataViewer on the table and "
        "roles/bigquery.readSessionUser on the project 'payer'"
    )


def test_the_session_is_made_in_the_accounts_project(bigquery, read, monkeypatch):
    bigquery.add(NAME, numbered(3))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "payer")
    read(URI)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    read(URI)
    assert [session.parent for session in bigquery.sessions] == ["projects/payer", "projects/shop"]


def test_taxi_trips_from_a_table_are_those_of_a_parquet_file(bigquery, tmp_path):
    """Both steps, as the pipeline calls them: the same rows, types, shards and hash, whatever the source is."""
    count = 2_500
    start = datetime.datetime(2014, 11, 1, tzinfo=UTC)
    trips = pa.table(
        {
            "trip id": pa.array(range(count), pa.int64()),
            "trip_start": pa.array(
                [start + datetime.timedelta(hours=n) for n in range(count)], pa.timestamp("us", "UTC")
            ),
            "fare": pa.array([None if n % 50 == 0 else n * 0.25 for n in range(count)], pa.float64()),
            "tips": pa.array([decimal.Decimal(n % 7) / 4 for n in range(count)], pa.decimal128(38, 9)),
            "payment_type": pa.array([("Cash", "Credit Card", None)[n % 3] for n in range(count)]),
        }
    )
    bigquery.add(NAME, trips, streams=3, batch_rows=97)
    pq.write_table(trips, tmp_path / "trips.parquet")
    settings = {
        "event_time": "trip_start",
        "since": "P60D",
        "until": "2015-01-01",
        "query": "",
    }
    found = {}
    for source in (URI, str(tmp_path / "trips.parquet")):
        name = "table" if source == URI else "file"
        task = tmp_path / f"inspect {name}"
        call = executor_input(task, {"source": source, **settings})
        assert execute(inspect_step, "inspect_source", call) == 0
        seen, _ = read_outputs(task)
        assert (seen["rows"], seen["window_start"]) == (count, "2014-11-02T00:00:00Z")
        window = {"since": seen["window_start"], "until": seen["window_end"]}
        rest = {key: seen[key] for key in ("fingerprint", "snapshot")}
        task = tmp_path / f"extract {name}"
        parameters = {"source": source, **settings, **window, **rest, "rows_per_shard": 1000}
        call = executor_input(task, parameters, outputs={"dataset": "system.Dataset"})
        assert execute(extract_step, "extract_data", call) == 0
        results, artifacts = read_outputs(task)
        shards = {path.name: path.read_bytes() for path in artifacts["dataset"].iterdir()}
        found[name] = (results, shards)
    assert found["table"] == found["file"]
    results, shards = found["table"]
    assert results["rows"] == 1440
    assert sorted(shards) == ["part-00000.parquet", "part-00001.parquet"]
    assert results["watermark"] == "2014-12-31T23:00:00Z"
    assert sum(session.rows.num_rows for session in bigquery.sessions) == 1440


def test_the_step_tells_a_fault_and_leaves_nothing(bigquery, tmp_path, capsys):
    task = tmp_path / "task"
    parameters = {"source": "bq://shop.raw.nothing", "fingerprint": ""}
    call = executor_input(task, parameters, outputs={"dataset": "system.Dataset"})
    assert execute(extract_step, "extract_data", call) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"] == (
        "there is no table 'bq://shop.raw.nothing' (Not found: Table shop:raw.nothing): check project, dataset and table"
    )
    assert list(task.iterdir()) == []


def test_rows_are_none_too_many_and_none_too_few(bigquery, read):
    bigquery.add(NAME, numbered(100_000), streams=4, batch_rows=777)
    found = read(URI, rows_per_shard=30_000)
    assert pc.unique(found.column("id")).sort().to_pylist() == list(range(100_000))
    assert found.num_rows == 100_000

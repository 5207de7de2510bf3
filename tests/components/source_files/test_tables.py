import time

import pytest

from penstock.components.source_files.tables import TableName, parse_table, sql_type, table_format
from penstock.components.step_io.errors import StepError


def test_a_uri_names_project_dataset_and_table():
    assert parse_table("bq://shop.raw.trips") == TableName("shop", "raw", "trips")
    assert parse_table("bq://shop-1.raw_data.trips 2026-é") == TableName("shop-1", "raw_data", "trips 2026-é")
    assert parse_table("bq://example.com:shop.raw.trips").path == (
        "projects/example.com:shop/datasets/raw/tables/trips"
    )


def test_a_moment_may_follow():
    name = parse_table("bq://shop.raw.trips@1970-01-02T00:00:00Z")
    assert name == TableName("shop", "raw", "trips", 86_400_000_000)
    assert str(name) == "bq://shop.raw.trips"


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("bq://trips", "the source 'bq://trips' names no table: write bq://project.dataset.table"),
        ("bq://raw.trips", "the source 'bq://raw.trips' names no table: write bq://project.dataset.table"),
        ("bq://", "the source 'bq://' names no table: write bq://project.dataset.table"),
        (
            "bq://shop.raw.trips_*",
            "the source 'bq://shop.raw.trips_*' names several tables: make one of them, and write "
            "bq://project.dataset.table",
        ),
        (
            "bq://shop.raw.trips$20260131",
            "the source 'bq://shop.raw.trips$20260131' names a partition: name the table, and take its part with "
            "data.since and data.until",
        ),
        (
            "bq://Shop/x.raw.trips",
            "the source 'bq://Shop/x.raw.trips' has no project of BigQuery, 'Shop/x': write bq://project.dataset.table",
        ),
        (
            "bq://shop.raw.trips@yesterday",
            "the source 'bq://shop.raw.trips@yesterday' ends in '@yesterday', expected @ and an ISO 8601 time, such as "
            "@2026-01-31T06:00:00Z",
        ),
        (
            "bq://shop.raw.trips@",
            "the source 'bq://shop.raw.trips@' ends in '@', expected @ and an ISO 8601 time, such as @2026-01-31T06:00:00Z",
        ),
        (
            "bq://shop.raw.trips@9000-01-01",
            "the source 'bq://shop.raw.trips@9000-01-01' is to be read as of 9000-01-01T00:00:00Z, which is yet to come",
        ),
    ],
)
def test_what_is_no_table_is_refused(uri, sentence):
    with pytest.raises(StepError) as caught:
        parse_table(uri)
    assert str(caught.value) == sentence


def test_a_table_takes_no_format():
    assert table_format("bq://shop.raw.trips", "auto") == "bigquery"
    with pytest.raises(StepError) as caught:
        table_format("bq://shop.raw.trips", "csv")
    assert str(caught.value) == (
        "format is 'csv', and the source 'bq://shop.raw.trips' is a BigQuery table: set format to auto"
    )


def test_nested_types_are_spelled_as_duckdb_does():
    inner = [{"name": 'a "b"', "type": "INTEGER"}, {"name": "c", "type": "STRING", "mode": "REPEATED"}]
    field = {"name": "x", "type": "RECORD", "mode": "REPEATED", "fields": inner}
    assert sql_type(field) == 'STRUCT("a ""b""" BIGINT, "c" VARCHAR[])[]'
    assert sql_type({"name": "x", "type": "INTERVAL"}) == ""
    assert sql_type({**field, "fields": [*inner, {"name": "d", "type": "INTERVAL"}]}) == ""


def test_the_clock_of_this_machine_is_no_reason_to_miss_the_last_change():
    from penstock.components.source_files.tables import Table

    now = time.time_ns() // 1000
    table = Table(TableName("shop", "raw", "trips"), (), 1, 1, now, now + 5_000_000, False, now)
    assert table.snapshot_us == now + 5_001_000

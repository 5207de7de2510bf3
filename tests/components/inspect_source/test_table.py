"""inspect_source on BigQuery tables, against a server that speaks its API."""

import datetime
import json
import time

import pyarrow as pa
import pytest

from penstock.components.inspect_source.step import Outputs, run
from penstock.components.step_io.errors import StepError

URI = "bq://shop.raw.trips"
NAME = "shop.raw.trips"
HOUR_US = 3_600 * 10**6


def rows(count: int = 3) -> pa.Table:
    return pa.table({"id": pa.array(range(count), pa.int64()), "kind": ["a"] * count})


def sentence(**settings) -> str:
    with pytest.raises(StepError) as caught:
        run(URI, **settings)
    return str(caught.value)


def test_a_table_at_rest_is_known_by_its_metadata_alone(bigquery):
    table = rows()
    bigquery.add(NAME, table)
    found = run(URI)
    assert found == Outputs(found.fingerprint, "", 0, table.nbytes, 3, "", "", "")
    assert len(found.fingerprint) == 32
    assert (bigquery.gets, bigquery.sessions) == (1, [])


def test_the_fingerprint_is_that_of_the_last_change(bigquery):
    stored = bigquery.add(NAME, rows())
    first = run(URI)
    assert run(URI) == first
    assert run(URI, query="SELECT id FROM source").fingerprint != first.fingerprint
    stored.write(rows(4), at_us=time.time_ns() // 1000 - 2 * HOUR_US)
    second = run(URI)
    assert (second.rows, second.snapshot) == (4, "")
    assert second.fingerprint != first.fingerprint
    # The same rows, written again: BigQuery does not tell, so it counts as changed.
    stored.write(rows(4), at_us=time.time_ns() // 1000 - HOUR_US - 1)
    assert run(URI).fingerprint != second.fingerprint


def test_a_table_written_lately_is_pinned_to_now_and_keeps_its_fingerprint(bigquery):
    bigquery.add(NAME, rows()).write(rows(5))
    first, second = run(URI), run(URI)
    assert datetime.datetime.fromisoformat(first.snapshot) < datetime.datetime.fromisoformat(second.snapshot)
    assert (first.fingerprint, first.rows) == (second.fingerprint, 5)


def test_rows_that_stream_in_make_each_look_another_state(bigquery):
    bigquery.add(NAME, rows(), streaming=True)
    first, second = run(URI), run(URI)
    assert first.rows == -1
    assert "" not in (first.snapshot, second.snapshot)
    assert first.fingerprint != second.fingerprint


def test_a_moment_in_the_uri_stands_for_the_state_then(bigquery):
    stored = bigquery.add(NAME, rows())
    at_rest = run(URI)
    day_ago = time.time_ns() // 1000 - 24 * HOUR_US
    moment = datetime.datetime.fromtimestamp(day_ago / 1e6, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    then = run(f"{URI}@{moment}")
    assert (then.fingerprint, then.snapshot, then.rows) == (at_rest.fingerprint, moment, 3)
    stored.write(rows(9))
    later = run(f"{URI}@{moment}")
    assert (later.snapshot, later.rows) == (moment, -1)
    assert later.fingerprint == run(f"{URI}@{moment}").fingerprint
    assert later.fingerprint != run(URI).fingerprint


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "VIEW",
            f"the source '{URI}' is a view, whose rows BigQuery gives to queries only: write them into a table (CREATE "
            "TABLE … AS SELECT, or a scheduled query) and name that, or name the table below it and put its SELECT into "
            "data.query",
        ),
        (
            "EXTERNAL",
            f"the source '{URI}' is an external table, whose rows lie outside BigQuery: name its files as the source, or "
            "load them into a table",
        ),
    ],
)
def test_what_the_storage_api_cannot_read_is_refused(bigquery, kind, expected):
    bigquery.add(NAME, rows(), kind=kind)
    assert sentence() == expected


def test_a_materialized_view_and_a_table_without_columns_are_refused(bigquery):
    bigquery.add(NAME, rows(), kind="MATERIALIZED_VIEW")
    assert sentence().startswith(f"the source '{URI}' is a materialized view, ")
    bigquery.add(NAME, pa.table({}), fields=[])
    assert sentence() == f"the table '{URI}' has no columns: load data into it"


def test_no_such_table(bigquery):
    assert sentence() == (
        f"there is no table '{URI}' (Not found: Table shop:raw.trips): check project, dataset and table"
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            (
                403,
                "accessDenied",
                "Access Denied: Permission bigquery.tables.get denied on table shop:raw.trips",
            ),
            "give the account roles/bigquery.dataViewer on the table and roles/bigquery.readSessionUser on the project "
            "of the account",
        ),
        (
            (
                403,
                "accessNotConfigured",
                "BigQuery API has not been used in project 1 before or it is disabled.",
            ),
            "enable bigquery.googleapis.com and bigquerystorage.googleapis.com",
        ),
        ((403, "quotaExceeded", "Quota exceeded: requests per day."), "run again later, or raise it"),
        (
            (401, "authError", "Invalid Credentials"),
            "run `gcloud auth application-default login` on a laptop, or give the step's service account one of Google "
            "Cloud (Workload Identity)",
        ),
        ((400, "invalid", "Bad thing"), f"BigQuery refuses to read '{URI}': Bad thing"),
    ],
)
def test_a_refusal_ends_at_once_with_what_to_do(bigquery, answer, expected):
    bigquery.refuse_get = [answer]
    found = sentence()
    assert found.endswith(expected)
    assert f"'{URI}'" in found
    assert answer[2].rstrip(".") in found or answer[0] == 401  # the client says then what it lacks
    assert bigquery.gets == 1


def test_what_passes_is_tried_again(bigquery, caplog):
    bigquery.add(NAME, rows())
    bigquery.refuse_get = [
        (503, "backendError", "Try again."),
        (403, "rateLimitExceeded", "Too many requests."),
        (429, "rateLimitExceeded", "Too many requests."),
        (500, "internalError", "An internal error."),
    ]
    assert run(URI).rows == 3
    assert bigquery.gets == 5
    assert caplog.messages[0].startswith(f"tables.get of {URI}: ")
    assert caplog.messages[0].endswith("Try again; attempt 2 of 6 follows")


def test_what_does_not_pass_is_told_after_some_attempts(bigquery):
    bigquery.refuse_get = [(503, "backendError", "Down.")] * 10
    assert sentence().startswith(f"BigQuery does not answer for '{URI}', 6 times (Down)")
    assert bigquery.gets == 6


def test_no_server(bigquery, monkeypatch):
    bigquery.close()
    assert sentence().startswith(f"BigQuery cannot be reached for '{URI}' (")


def test_no_credentials(tmp_path, monkeypatch):
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    key = tmp_path / "key.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    assert sentence().startswith(f"no credentials for '{URI}' (File {key} was not found")
    key.write_text(json.dumps({"type": "authorized_user"}))
    assert sentence().startswith(f"no credentials for '{URI}' (")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    assert sentence() == (
        f"no credentials for '{URI}' (Your default credentials were not found. To set up Application Default Credentials, "
        "see https://cloud.google.com/docs/authentication/external/set-up-adc for more information): run `gcloud auth "
        "application-default login` on a laptop, or give the step's service account one of Google Cloud (Workload Identity)"
    )


def test_a_format_of_files_is_refused(bigquery):
    assert sentence(format="parquet") == (
        f"format is 'parquet', and the source '{URI}' is a BigQuery table: set format to auto"
    )
    assert bigquery.gets == 0

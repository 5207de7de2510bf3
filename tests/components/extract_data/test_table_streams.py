"""Streams of the Storage Read API that break, and tables that are larger than the memory."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[3]
URI = "bq://shop.raw.trips"
NAME = "shop.raw.trips"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def numbered(count: int) -> pa.Table:
    return pa.table({"id": pa.array(range(count), pa.int64()), "text": [f"row {i}" for i in range(count)]})


@pytest.mark.parametrize(
    "code",
    [UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED],
)
def test_a_broken_stream_goes_on_at_its_offset(bigquery, read, code):
    bigquery.add(NAME, numbered(10_000), streams=2, batch_rows=100)
    bigquery.breaks = [(0, 0, code), (0, 1_250, code), (1, 4_900, code)]
    assert read(URI, rows_per_shard=4_000).to_pydict() == numbered(10_000).to_pydict()
    assert sorted(bigquery.reads) == [(0, 0), (0, 0), (0, 1_300), (1, 0), (1, 4_900)]


def test_a_stream_that_gets_on_may_break_often(bigquery, read):
    bigquery.add(NAME, numbered(5_000), batch_rows=100)
    bigquery.breaks = [(0, row, UNAVAILABLE) for row in range(200, 4_000, 200)]
    assert read(URI).column("id").to_pylist() == list(range(5_000))
    assert len(bigquery.reads) == 20


def test_a_stream_that_never_gets_on_is_given_up(bigquery, fault):
    bigquery.add(NAME, numbered(5_000), streams=2, batch_rows=100)
    bigquery.breaks = [(1, 500, UNAVAILABLE)] * 50
    assert fault(URI) == (
        f"BigQuery does not answer for '{URI}', 6 times (the stream was broken off): run again later"
    )
    assert [offset for stream, offset in bigquery.reads if stream == 1] == [0, 500, 500, 500, 500, 500]


def test_a_refused_stream_is_not_tried_again(bigquery, fault):
    bigquery.add(NAME, numbered(5_000), batch_rows=100)
    bigquery.breaks = [(0, 500, grpc.StatusCode.FAILED_PRECONDITION)]
    assert fault(URI) == f"BigQuery refuses to read '{URI}': the stream was broken off"
    assert bigquery.reads == [(0, 0)]


def test_a_session_is_asked_for_again(bigquery, read, fault):
    bigquery.add(NAME, numbered(10))
    bigquery.refuse_session = [(UNAVAILABLE, "not now")] * 3
    assert read(URI).num_rows == 10
    bigquery.refuse_session = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded")] * 9
    assert (
        fault(URI)
        == f"a quota of BigQuery is used up for '{URI}' (Quota exceeded): run again later, or raise it"
    )
    assert len(bigquery.refuse_session) == 3


def test_a_table_larger_than_the_memory_is_copied_in_several_streams(bigquery, tmp_path):
    """4 streams of 200 MB each: what copies them takes less than half of that beyond what it takes for a few rows."""
    text = pa.array(["x" * 1_000 + str(i) for i in range(10_000)])
    rows = pa.table({"id": pa.array(range(10_000), pa.int64()), "text": text})
    bigquery.add("shop.raw.large", rows, streams=4, batch_rows=1_000, repeat=20)
    bigquery.add("shop.raw.small", rows.slice(0, 1), streams=4, repeat=4)
    program = """
import resource, sys
from pathlib import Path
import pyarrow.parquet as pq
from penstock.components.extract_data.table_copy import copy_rows, open_session
from penstock.components.extract_data.table_part import Part
from penstock.components.source_files.tables import parse_table

with open_session(parse_table(sys.argv[1]), Part(("id", "text"), ""), None) as session:
    files = copy_rows(session, Path(sys.argv[2]))
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(sum(pq.read_metadata(file.path).num_rows for file in files), peak_mib)
"""
    environment = {**os.environ, **bigquery.environment, "PYTHONPATH": str(ROOT)}
    found = []
    for uri in ("bq://shop.raw.small", "bq://shop.raw.large"):
        done = subprocess.run(
            [sys.executable, "-c", program, uri, str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found.append(tuple(map(int, done.stdout.split())))
    (few, base_mib), (many, peak_mib) = found
    assert (few, many) == (16, 800_000)
    assert {stream for stream, _ in bigquery.reads} == {0, 1, 2, 3}
    assert peak_mib - base_mib < 400

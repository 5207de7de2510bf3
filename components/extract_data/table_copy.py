"""Copies a BigQuery table into Parquet files, as remote files are copied: by the Storage Read API, in several streams.

A read session is one state of the table, cut into streams; a stream that breaks goes on at its offset.
https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1
"""

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.extract_data.table_part import Part
from penstock.components.source_files.bigquery import (
    CALL_TIMEOUT_S,
    STORAGE_VARIABLE,
    account,
    attempts,
    table_errors,
)
from penstock.components.source_files.listing import SourceFile
from penstock.components.source_files.tables import TableName
from penstock.components.step_io.cores import cores

log = logging.getLogger(__name__)

MOST_STREAMS = 8
GROUP_BYTES = 16 * 2**20  # Arrow bytes that a stream gathers for a row group: what bounds the memory
GROUP_ROWS = 2**17


@dataclass(frozen=True)
class ReadSession:
    """An open session of the Storage Read API; `project` is the one that it is made in."""

    client: Any
    name: TableName
    project: str
    schema: pa.Schema
    streams: tuple[str, ...]


@contextmanager
def open_session(name: TableName, part: Part, snapshot_us: int | None) -> Iterator[ReadSession]:
    """Open a session over a part of a table, as of a moment (None: now).

    Raises:
        StepError: No permission, no credentials, a moment that BigQuery does not keep, or it does not answer.
    """
    from google.cloud.bigquery_storage_v1 import types

    with table_errors(name):
        credentials, project = account(STORAGE_VARIABLE)
        project = project or name.project
        client = _client(credentials)
    try:
        wanted = types.ReadSession(
            table=name.path,
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(
                selected_fields=part.columns,
                row_restriction=part.restriction,
                arrow_serialization_options=types.ArrowSerializationOptions(
                    buffer_compression=types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
                ),
            ),
        )
        if snapshot_us is not None:
            moment = {"seconds": snapshot_us // 1_000_000, "nanos": snapshot_us % 1_000_000 * 1000}
            wanted.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=moment)
        with table_errors(name, project):
            made = attempts(
                f"the read session of {name}",
                lambda: client.create_read_session(
                    parent=f"projects/{project}",
                    read_session=wanted,
                    max_stream_count=min(2 * cores(), MOST_STREAMS),
                    retry=None,
                    timeout=CALL_TIMEOUT_S,
                ),
            )
        schema = pa.ipc.read_schema(pa.py_buffer(made.arrow_schema.serialized_schema))
        log.info("read session of %s: %d streams, %d columns", name, len(made.streams), len(schema))
        yield ReadSession(client, name, project, schema, tuple(stream.name for stream in made.streams))
    finally:
        client.transport.close()


def _client(credentials: Any) -> Any:
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    host = os.environ.get(STORAGE_VARIABLE)
    if not host:
        return BigQueryReadClient(credentials=credentials)
    channel = grpc.insecure_channel(host, options=[("grpc.max_receive_message_length", -1)])
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


def copy_rows(session: ReadSession, scratch: Path) -> list[SourceFile]:
    """Write each stream of a session to a Parquet file; a part of a table without rows is one without rows.

    Raises:
        StepError: BigQuery refuses, or breaks the same stream off again and again.
    """
    paths = [scratch / f"stream-{number:03d}.parquet" for number in range(max(1, len(session.streams)))]
    is_over = threading.Event()
    if not session.streams:
        _Sink(paths[0], session.schema).close()
    with table_errors(session.name, session.project), ThreadPoolExecutor(len(paths)) as pool:
        reads = [
            pool.submit(_copy_stream, session, stream, path, is_over)
            for stream, path in zip(session.streams, paths, strict=False)
        ]
        try:
            for read in as_completed(reads):
                read.result()
        except BaseException:
            is_over.set()
            session.client.transport.close()  # ends the other streams' calls
            raise
    return [SourceFile(str(path), str(session.name), path.stat().st_size, "") for path in paths]


def _copy_stream(session: ReadSession, stream: str, path: Path, is_over: threading.Event) -> None:
    sink = _Sink(path, session.schema)

    def read() -> None:
        # The next call begins behind the rows that have come.
        for answer in session.client.read_rows(
            read_stream=stream, offset=sink.rows, retry=None, timeout=None
        ):
            data = pa.py_buffer(answer.arrow_record_batch.serialized_record_batch)
            sink.write(pa.ipc.read_record_batch(data, session.schema))
            if is_over.is_set():
                return

    try:
        attempts(f"a stream of {session.name}", read, is_over, lambda: sink.rows)
    finally:
        sink.close()


class _Sink:
    """A Parquet file that takes record batches, in row groups of some size; `rows` are those that it took."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._written = pa.schema([pa.field(field.name, _stored(field)) for field in schema])
        self._writer = pq.ParquetWriter(path, self._written, compression="lz4", version="2.6")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = self._waiting_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; it is on disk once a row group is full."""
        self._waiting.append(batch)
        self.rows += batch.num_rows
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= GROUP_BYTES or self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            columns = [
                column.cast(field.type) for column, field in zip(table.columns, self._written, strict=True)
            ]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._written))
        self._waiting, self._waiting_bytes, self._waiting_rows = [], 0, 0


def _stored(field: pa.Field) -> pa.DataType:
    """Return the type that a column is kept in: DuckDB has no decimals of more than 38 digits."""
    return pa.float64() if pa.types.is_decimal256(field.type) else field.type

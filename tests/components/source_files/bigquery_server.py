"""A server that speaks the two APIs of BigQuery that sources use: tables.get over HTTP, and BigQueryRead over gRPC.

Requests and answers are the vendor's own protos. Rules of the real service that matter are kept: a session reads one
state of the table, the fields come in the table's order, a condition is really applied (DuckDB evaluates it), states older
than a week are gone, a partition filter can be required, and a stream begins where it is told to.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

import duckdb
import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
DAY_US = 86_400 * 10**6
LONG_AGO_US = int(time.time() - 30 * 86_400) * 10**6


@dataclass
class Stored:
    """A table: its columns as tables.get tells them, and its states since when (microseconds)."""

    fields: list[dict[str, Any]]
    states: list[tuple[int, pa.Table]]
    streaming: bool = False
    kind: str = "TABLE"
    needs_filter: str = ""  # a column
    streams: int = 1
    batch_rows: int = 1000
    repeat: int = 1  # the rows count so often in each stream: for tables larger than the server

    def write(self, rows: pa.Table, at_us: int = 0) -> None:
        """Put new rows in place of the old ones."""
        self.states.append((at_us or time.time_ns() // 1000, rows))

    def as_of(self, moment_us: int | None) -> pa.Table:
        """Return the state at a moment; None is now."""
        return [rows for since, rows in self.states if moment_us is None or since <= moment_us][-1]


@dataclass
class Session:
    """What a read session reads."""

    parent: str
    fields: list[str]
    condition: str
    snapshot_us: int | None
    rows: pa.Table
    stored: Stored


@dataclass
class BigQuery:
    """The servers, and what they were asked."""

    tables: dict[str, Stored] = field(default_factory=dict)  # by project.dataset.table
    sessions: list[Session] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)  # stream, offset
    gets: int = 0
    refuse_get: list[tuple[int, str, str]] = field(default_factory=list)  # status, reason, message; once each
    refuse_session: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)  # once each
    breaks: list[tuple[int, int, grpc.StatusCode]] = field(
        default_factory=list
    )  # stream, from row, code; once each
    after_session: Any = None  # called when a session is made

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"bigquery": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.grpc = grpc.server(ThreadPoolExecutor(16))
        self.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._methods()),))
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the client here."""
        return {
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{self.http.server_port}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{self.grpc_port}",
        }

    def close(self) -> None:
        """Stop serving."""
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(None)

    def add(
        self, name: str, rows: pa.Table, fields: list[dict[str, Any]] | None = None, **more: Any
    ) -> Stored:
        """Add a table that was last written a month ago."""
        self.tables[name] = Stored(fields or fields_of(rows.schema), [(LONG_AGO_US, rows)], **more)
        return self.tables[name]

    def resource(self, name: str) -> dict[str, Any]:
        """Return a table as tables.get does."""
        stored = self.tables[name]
        project, dataset, table = name.rsplit(".", 2)
        rows = stored.as_of(None)
        found = {
            "kind": "bigquery#table",
            "etag": f"etag{stored.states[-1][0]}",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": stored.fields},
            "type": stored.kind,
            "numRows": str(rows.num_rows * stored.repeat * (stored.streams if stored.repeat > 1 else 1)),
            "numBytes": str(rows.nbytes),
            "creationTime": str(stored.states[0][0] // 1000),
            "lastModifiedTime": str(stored.states[-1][0] // 1000),
        }
        if stored.streaming:
            found["streamingBuffer"] = {"estimatedRows": "1", "estimatedBytes": "10", "oldestEntryTime": "1"}
        return found

    def _methods(self) -> dict[str, Any]:
        return {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                self._create,
                request_deserializer=types.CreateReadSessionRequest.deserialize,
                response_serializer=types.ReadSession.serialize,
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                self._read,
                request_deserializer=types.ReadRowsRequest.deserialize,
                response_serializer=types.ReadRowsResponse.serialize,
            ),
        }

    def _create(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.refuse_session:
            context.abort(*self.refuse_session.pop(0))
        wanted = request.read_session
        match = re.fullmatch(r"projects/(.+)/datasets/(.+)/tables/(.+)", wanted.table)
        assert match is not None
        stored = self.tables[".".join(match.groups())]
        options = wanted.read_options
        if stored.needs_filter and stored.needs_filter not in options.row_restriction:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"request failed: Cannot query over table '{'.'.join(match.groups())}' without a filter over column(s) "
                f"'{stored.needs_filter}' that can be used for partition elimination",
            )
        moment = None
        if "snapshot_time" in wanted.table_modifiers:
            moment = int(wanted.table_modifiers.snapshot_time.timestamp() * 10**6)
            if moment < time.time_ns() // 1000 - 7 * DAY_US:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "request failed: Invalid snapshot time.")
        rows = stored.as_of(moment)
        condition = options.row_restriction
        if condition:
            rows = _filtered(rows, condition)
        names = [name for name in rows.column_names if name in options.selected_fields]
        assert set(names) == set(options.selected_fields)
        rows = rows.select(names)
        session = Session(request.parent, names, condition, moment, rows, stored)
        self.sessions.append(session)
        if self.after_session:
            self.after_session()
        streams = min(stored.streams, request.max_stream_count or 100) if rows.num_rows else 0
        name = f"{request.parent}/locations/eu/sessions/{len(self.sessions) - 1}"
        return types.ReadSession(
            name=name,
            arrow_schema=types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes()),
            streams=[types.ReadStream(name=f"{name}/streams/{i}of{streams}") for i in range(streams)],
            estimated_row_count=rows.num_rows,
        )

    def _read(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        match = re.fullmatch(r".*/sessions/(\d+)/streams/(\d+)of(\d+)", request.read_stream)
        assert match is not None
        number, stream, streams = map(int, match.groups())
        session = self.sessions[number]
        self.reads.append((stream, request.offset))
        stored = session.stored
        total = session.rows.num_rows
        if stored.repeat > 1:
            first, last = 0, total * stored.repeat
        else:
            first, last = stream * total // streams, (stream + 1) * total // streams
        row = first + request.offset
        while row < last:
            for index, (of_stream, from_row, code) in enumerate(self.breaks):
                if of_stream == stream and row - first >= from_row:
                    del self.breaks[index]
                    context.abort(code, "the stream was broken off")
            batch = (
                session.rows.slice(row % total, min(stored.batch_rows, last - row))
                .combine_chunks()
                .to_batches()[0]
            )
            yield types.ReadRowsResponse(
                arrow_record_batch=types.ArrowRecordBatch(
                    serialized_record_batch=batch.serialize().to_pybytes(), row_count=batch.num_rows
                ),
                row_count=batch.num_rows,
            )
            row += batch.num_rows


class _Handler(BaseHTTPRequestHandler):
    bigquery: BigQuery

    def do_GET(self) -> None:
        """Answer tables.get."""
        path = unquote(urlparse(self.path).path)
        match = re.fullmatch(r"/bigquery/v2/projects/(.+)/datasets/(.+)/tables/(.+)", path)
        self.bigquery.gets += 1
        name = ".".join(match.groups()) if match else ""
        if self.bigquery.refuse_get:
            status, reason, message = self.bigquery.refuse_get.pop(0)
            body: dict[str, Any] = _error(status, reason, message)
        elif name in self.bigquery.tables:
            status, body = 200, self.bigquery.resource(name)
        else:
            found = ".".join(name.rsplit(".", 2)).replace(".", ":", 1)
            status, body = 404, _error(404, "notFound", f"Not found: Table {found}")
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _error(status: int, reason: str, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}


def _filtered(rows: pa.Table, condition: str) -> pa.Table:
    """Return the rows for which a condition in GoogleSQL holds; DuckDB knows the same literals but DATETIME."""
    sql = condition.replace("`", '"').replace("DATETIME '", "TIMESTAMP '")
    sql = re.sub(r"TIMESTAMP '([^']*\+00:00)'", r"TIMESTAMPTZ '\1'", sql)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        return connection.sql(f"SELECT * FROM rows WHERE {sql}").to_arrow_table().cast(rows.schema)


def fields_of(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return an Arrow schema as tables.get tells it."""
    return [_field(one) for one in schema]


def _field(one: pa.Field) -> dict[str, Any]:
    type_, mode = one.type, "NULLABLE"
    if pa.types.is_list(type_):
        type_, mode = type_.value_type, "REPEATED"
    if pa.types.is_struct(type_):
        fields = [_field(inner) for inner in type_]
        return {"name": one.name, "type": "RECORD", "mode": mode, "fields": fields}
    names = {
        pa.int64(): "INTEGER",
        pa.float64(): "FLOAT",
        pa.bool_(): "BOOLEAN",
        pa.string(): "STRING",
        pa.binary(): "BYTES",
        pa.date32(): "DATE",
        pa.time64("us"): "TIME",
        pa.timestamp("us"): "DATETIME",
        pa.timestamp("us", "UTC"): "TIMESTAMP",
        pa.decimal128(38, 9): "NUMERIC",
        pa.decimal256(76, 38): "BIGNUMERIC",
        pa.month_day_nano_interval(): "INTERVAL",
    }
    return {"name": one.name, "type": names[type_], "mode": mode}

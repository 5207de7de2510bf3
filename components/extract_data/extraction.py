"""Copies a window of a source into Parquet shards."""

import glob
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.duckdb_session.column_types import dataset_type, is_moment, to_dataset_sql
from penstock.components.duckdb_session.session import (
    check_select,
    connect,
    first_row,
    identifier,
    lock,
    one_line,
    query_errors,
    resource_sentence,
    stream,
)
from penstock.components.extract_data import event_times
from penstock.components.extract_data.columns import check_columns, describe, needed
from penstock.components.extract_data.csv_table import Group, csv_sentence, csv_view
from penstock.components.extract_data.json_table import json_sentence, json_view
from penstock.components.extract_data.parquet_table import parquet_view
from penstock.components.extract_data.table_copy import copy_rows, open_session
from penstock.components.extract_data.table_part import plan_part
from penstock.components.source_files.csv_layout import read_layout
from penstock.components.source_files.fingerprint import fingerprint
from penstock.components.source_files.listing import (
    Source,
    SourceFile,
    find_source,
    local_errors,
    remote_errors,
)
from penstock.components.source_files.selection import Selection, parse_bound, to_iso
from penstock.components.source_files.shards import ARROW_TYPES, BLOCK_ROWS, RowHash, ShardWriter, blocks
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

CHUNK = 4 * 2**20
VIEWS = {"csv": csv_view, "jsonl": json_view, "parquet": parquet_view}


@dataclass(frozen=True)
class Extract:
    """What was read and written."""

    rows: int
    columns: int
    watermark: str
    data_fingerprint: str


def extract(
    uri: str,
    selection: Selection,
    expected: str,
    folder: Path,
    rows_per_shard: int,
    allow_empty: bool = False,
    snapshot: str = "",
) -> Extract:
    """Read a window of the source at `uri` into shards under `folder`.

    Memory stays bounded whatever the size of the source: DuckDB streams it, and spills to the
    temporary folder what a query must hold. Remote files are copied there first, and so are tables.

    Args:
        uri: File, glob or directory, or a BigQuery table.
        selection: What to read of it.
        expected: Fingerprint of the source when it was inspected; empty is not compared.
        folder: Where the shards go.
        rows_per_shard: Rows in each shard.
        allow_empty: Whether no row at all is a result, and no error.
        snapshot: The moment as of which a table is read, in ISO 8601; empty is that of its URI, or now.

    Raises:
        StepError: The source cannot be read, is not what was inspected, or changed meanwhile.
    """
    if rows_per_shard < 1:
        raise StepError(f"rows_per_shard is {rows_per_shard}: expected at least 1")
    source = find_source(uri, selection.format)
    before = fingerprint(source, selection)
    with tempfile.TemporaryDirectory(prefix="penstock-") as name:
        scratch = Path(name)
        if source.table:
            readable = _copy_of_table(source, selection, expected, snapshot, scratch)
            return _read(readable, selection, scratch, folder, rows_per_shard, allow_empty)
        if expected and before != expected:
            raise StepError(_changed(uri))
        with query_errors("the copy of the source"):
            files = [local_copy(file, source.format, scratch, i) for i, file in enumerate(source.files)]
        readable = replace(source, files=tuple(files))
        result = _read(readable, selection, scratch, folder, rows_per_shard, allow_empty)
    if fingerprint(find_source(uri, selection.format), selection) != before:
        raise StepError(f"the source {uri!r} changed while it was being read: run again when it is at rest")
    return result


def _changed(uri: str) -> str:
    return f"the source {uri!r} has changed since it was inspected: run again"


def _copy_of_table(
    source: Source, selection: Selection, expected: str, snapshot: str, scratch: Path
) -> Source:
    """Return a table's part as Parquet files: in its state at `snapshot`, or in that which was expected."""
    assert source.table is not None
    part = plan_part(source.table, source.uri, selection, scratch)
    as_of = parse_bound("snapshot", snapshot) or source.table.name.snapshot_us
    with open_session(source.table.name, part, as_of) as session:
        # A session without a moment stays at that of its beginning: asked after it, the table is what it reads.
        if expected and as_of is None:
            now = find_source(source.uri, selection.format)
            if fingerprint(now, selection) != expected:
                raise StepError(_changed(source.uri))
        with query_errors("the copy of the source"):
            files = copy_rows(session, scratch)
    return replace(source, format="parquet", files=tuple(files))


def local_copy(file: SourceFile, format: str, scratch: Path, number: int) -> SourceFile:
    """Return the file as DuckDB can read it: a remote one is copied, and so is JSON behind a byte order mark."""
    marked = format == "jsonl" and _begins_with_mark(file)
    suffix = "" if marked else file.compression
    target = scratch / f"{number:06d}{suffix}"
    if file.is_local and not marked:
        if not glob.has_magic(file.path):
            return file
        target.symlink_to(Path(file.path).absolute())  # DuckDB would take its name for a pattern
        return replace(file, path=str(target))
    with local_errors(file.name) if file.is_local else remote_errors(file.name):
        stream = file.open() if marked else file.open_raw()
        with stream, target.open("wb") as copy:
            if marked:
                stream.read(3)
            shutil.copyfileobj(stream, copy, CHUNK)
    return SourceFile(str(target), file.name, target.stat().st_size, file.version)


def _begins_with_mark(file: SourceFile) -> bool:
    try:
        with file.open() as stream:
            return stream.read(3) == b"\xef\xbb\xbf"
    except (OSError, EOFError):
        return False  # the read tells what is wrong


def _read(
    source: Source,
    selection: Selection,
    scratch: Path,
    folder: Path,
    rows_per_shard: int,
    allow_empty: bool,
) -> Extract:
    # A query of any kind is deterministic on one thread only.
    connection = connect(scratch, threads=1 if selection.query else 0)
    try:
        with reading_errors(source, selection):
            columns = VIEWS[source.format](
                connection, source.files, lambda names: needed(names, source.uri, selection)
            )
            connection.execute(f"CREATE TEMP VIEW source AS {columns}")
        lock(connection, [file.path for file in source.files])
        relation = "source"
        if selection.query:
            check_select(connection, selection.query, "data.query")
            relation = f"({selection.query}\n)"
            connection.execute("SELECT setseed(0.5)")
        with reading_errors(source, selection):
            types = describe(connection, relation)
            check_columns(source.uri, selection, types)
            return _write(connection, relation, types, source, selection, folder, rows_per_shard, allow_empty)
    finally:
        connection.close()


def _write(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    types: dict[str, str],
    source: Source,
    selection: Selection,
    folder: Path,
    rows_per_shard: int,
    allow_empty: bool,
) -> Extract:
    schema = pa.schema(
        [(name, ARROW_TYPES[written_type(n, t, selection)]) for n, t in types.items() for name in [n]]
    )
    values = ", ".join(
        f"{_value(name, type_, selection)} AS {identifier(name)}" for name, type_ in types.items()
    )
    where = "true"
    if selection.has_window:
        where = event_times.in_window(selection, types[selection.event_time])
    batches = stream(connection, f"SELECT {values} FROM {relation} WHERE {where}", BLOCK_ROWS)
    hashed = RowHash(schema)
    latest: float | int | None = None
    with ShardWriter(folder, schema, rows_per_shard) as writer:
        for block in blocks(batches, schema):
            hashed.update(block)
            writer.write(block)
            latest = _later(latest, block, selection)
    if writer.rows == 0 and not allow_empty:
        raise StepError(_no_rows(connection, relation, types, source, selection))
    seconds = bool(selection.event_time) and not event_times.is_number(types[selection.event_time])
    us = event_times.watermark_us(latest, "s" if seconds else selection.unit)
    log.info(
        "read %d rows, %d columns; files: %d (%d bytes), shards: %d",
        writer.rows,
        len(schema),
        len(source.files),
        source.size_bytes,
        writer.shards,
    )
    return Extract(writer.rows, len(schema), "" if us is None else to_iso(us), hashed.hexdigest())


def written_type(name: str, duckdb_type: str, selection: Selection) -> str:
    """Return the Dataset type of a column; the event time is a number, also where the source has text."""
    if name == selection.event_time and not event_times.is_number(duckdb_type):
        return "int64"
    return dataset_type(duckdb_type)


def _value(name: str, duckdb_type: str, selection: Selection) -> str:
    if name == selection.event_time and not event_times.is_number(duckdb_type) and not is_moment(duckdb_type):
        return f"CAST(floor({event_times.moment_us(selection, duckdb_type)} / 1000000) AS BIGINT)"
    return to_dataset_sql(name, duckdb_type)


def _later(latest: float | int | None, block: pa.Table, selection: Selection) -> float | int | None:
    if not selection.event_time:
        return None
    column = block.column(selection.event_time)
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    here = pc.max(column).as_py()
    return latest if here is None else here if latest is None else max(latest, here)


def _no_rows(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    types: dict[str, str],
    source: Source,
    selection: Selection,
) -> str:
    """Say why nothing was read."""
    if selection.has_window:
        type_ = types[selection.event_time]
        value = _value(selection.event_time, type_, selection)
        row = first_row(connection, f"SELECT min(t), max(t) FROM (SELECT {value} AS t FROM {relation})")
        unit = selection.unit if event_times.is_number(type_) else "s"
        first, last = (event_times.watermark_us(v, unit) for v in row)
        if first is not None and last is not None:
            return (
                f"no row of {source.uri!r} lies in the window {selection.window()}: "
                f"{selection.event_time} runs from {to_iso(first)} to {to_iso(last)}; change since or until"
            )
        if source.table:  # only the window was asked for
            return f"no row of {source.uri!r} lies in the window {selection.window()}: change since or until"
        return (
            f"no row of {source.uri!r} has an event time in {selection.event_time!r}: check data.event_time"
        )
    if selection.query:
        return f"data.query gives no rows from {source.uri!r}: check its conditions"
    what = "has a header but no rows" if source.format == "csv" else "holds no rows"
    return f"the source {source.uri!r} {what}: nothing can be learned from it"


@contextmanager
def reading_errors(source: Source, selection: Selection) -> Iterator[None]:
    """Turn DuckDB's and the disk's errors while reading into a StepError."""
    try:
        with _disk_errors():
            yield
    except duckdb.Error as error:
        raise StepError(_sentence(source, selection, error)) from error


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if sentence := resource_sentence(error):
            raise StepError(sentence) from error
        raise


def _sentence(source: Source, selection: Selection, error: duckdb.Error) -> str:
    text = str(error)
    if event_times.NOT_A_TIME in text:
        return (
            f"event_time {selection.event_time!r} of {source.uri!r} holds text that is no ISO 8601 date or time: "
            "convert it with data.query"
        )
    if (source.format == "csv" and "CSV Error" in text) or "CSV Parser" in text:
        return csv_sentence([Group((file,), read_layout(file)) for file in source.files], error)
    if "Malformed JSON" in text or "JSON transform error" in text:
        return json_sentence(source.files, error)
    if selection.query:
        return f"data.query: {one_line(error)}"
    return f"the source {source.uri!r} cannot be read: {one_line(error)}"

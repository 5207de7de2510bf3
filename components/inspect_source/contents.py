"""Rows and latest event time of a source, where finding them is cheap."""

import csv
import datetime
import io
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from penstock.components.source_files.csv_layout import read_layout
from penstock.components.source_files.listing import Source, SourceFile
from penstock.components.source_files.selection import UNITS_PER_SECOND, Selection, to_iso, to_us
from penstock.components.step_io.errors import StepError

SCANNED_UP_TO_BYTES = 16 * 2**20  # stored size of all text files: about half a second
FOOTERS_UP_TO_FILES = 200
UNKNOWN = -1


class Contents(NamedTuple):
    """Rows of the whole source, before query and window; UNKNOWN and empty where that means a full read."""

    rows: int
    watermark: str


def read_contents(source: Source, selection: Selection) -> Contents:
    """Count rows and find the latest event time: from Parquet footers, or by a scan of small local text.

    Of a table the rows are known, unless some were streamed in lately.

    What cannot be understood is unknown here: extract_data reads it all and says what is wrong.
    """
    if source.table:
        return Contents(source.table.rows, "")
    try:
        if source.format == "parquet":
            if len(source.files) > FOOTERS_UP_TO_FILES:
                return Contents(UNKNOWN, "")
            rows, latest = _combine(_footer(file, selection) for file in source.files)
        else:
            if source.size_bytes > SCANNED_UP_TO_BYTES or not all(file.is_local for file in source.files):
                return Contents(UNKNOWN, "")
            scan = _scan_csv if source.format == "csv" else _scan_json
            rows, latest = _combine(scan(file, selection) for file in source.files)
    except (StepError, OSError, EOFError, ValueError, ArithmeticError, LookupError, csv.Error):
        return Contents(UNKNOWN, "")
    return Contents(rows, "" if latest is None else to_iso(latest))


def _combine(found: Iterable[tuple[int, int | None]]) -> tuple[int, int | None]:
    pairs = list(found)
    times = [latest for _, latest in pairs if latest is not None]
    # A file whose latest time is unknown makes the whole's unknown.
    complete = len(times) == len(pairs)
    return sum(rows for rows, _ in pairs), max(times) if complete and times else None


def _footer(file: SourceFile, selection: Selection) -> tuple[int, int | None]:
    import pyarrow.parquet as pq

    with file.open_raw() as stream, pq.ParquetFile(stream) as parquet:
        metadata = parquet.metadata
        rows = metadata.num_rows
        if selection.event_time not in parquet.schema_arrow.names:
            return rows, None
        index = metadata.schema.names.index(selection.event_time)
        latest = []
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(index).statistics
            if statistics is None or not statistics.has_min_max:
                return rows, None
            latest.append(time_us(statistics.max, selection.unit))
        return rows, max(latest, default=None)


def _scan_csv(file: SourceFile, selection: Selection) -> tuple[int, int | None]:
    layout = read_layout(file)
    with file.open() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        records = csv.reader(text, delimiter=layout.delimiter)
        for _ in range(layout.skip + 1):
            next(records)
        if selection.event_time not in layout.columns:
            return sum(1 for record in records if record), None
        index = layout.columns.index(selection.event_time)
        times = [record[index] for record in records if record]
        return len(times), _latest(times, selection.unit)


def _scan_json(file: SourceFile, selection: Selection) -> tuple[int, int | None]:
    with file.open() as stream:
        lines = [line for line in stream if line.strip()]
    if not selection.event_time:
        return len(lines), None
    times = [json.loads(line.decode("utf-8-sig")).get(selection.event_time) for line in lines]
    return len(lines), _latest(times, selection.unit)


def _latest(times: Iterable[Any], unit: str) -> int | None:
    """Return the latest of the event times that are not missing."""
    distinct = {value for value in times if value not in (None, "")}
    return max((time_us(value, unit) for value in distinct), default=None)


def time_us(value: Any, unit: str) -> int:
    """Return an event time (a number, a text of either kind, a date, a timestamp) as microseconds since 1970."""
    if isinstance(value, datetime.datetime):
        return to_us(value)
    if isinstance(value, datetime.date):
        return to_us(datetime.datetime.combine(value, datetime.time()))
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return to_us(datetime.datetime.fromisoformat(value))
    if isinstance(value, int):
        return value * 1_000_000 // UNITS_PER_SECOND[unit]
    if not math.isfinite(value):
        raise ValueError("the event time is not finite")
    return int(value * 1_000_000 / UNITS_PER_SECOND[unit])

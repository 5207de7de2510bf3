"""What is asked of a BigQuery table: the columns that the query needs, and the rows of the window of event time.

The query itself runs here, as for files, over what was asked for.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from penstock.components.duckdb_session.session import check_select, connect, identifier, query_errors
from penstock.components.extract_data.columns import check_columns, describe, of_query
from penstock.components.source_files.csv_layout import check_names
from penstock.components.source_files.selection import EPOCH, MICROSECOND, UNITS_PER_SECOND, Selection
from penstock.components.source_files.tables import Column, Table
from penstock.components.step_io.errors import StepError

US = 1_000_000
DAY_US = 86_400 * US
INT64 = 2**63


@dataclass(frozen=True)
class Part:
    """Columns, and a condition in GoogleSQL that keeps at least the rows of the window; empty keeps all."""

    columns: tuple[str, ...]
    restriction: str


def plan_part(table: Table, uri: str, selection: Selection, scratch: Path) -> Part:
    """Return what to ask for, after trying the query on a table without rows: what is wrong costs no read.

    Raises:
        StepError: The query fails, or selects what is not read: nested values, an unknown type, too many columns.
    """
    names = [column.name for column in table.columns]
    check_names(uri, tuple(names))
    known = [column for column in table.columns if column.sql_type]
    connection = connect(scratch, threads=1)
    try:
        if selection.query:
            check_select(connection, selection.query, "data.query")
            wanted = of_query(connection, selection.query, names)
            if len(wanted) == len(names):  # "all" may well mean all that can be read
                wanted = [column.name for column in known]
        else:
            wanted = names
        _check_types(uri, [column for column in table.columns if column.name in wanted])
        declared = ", ".join(f"{identifier(column.name)} {column.sql_type}" for column in known)
        with query_errors("data.query"):
            connection.execute(f"CREATE TEMP TABLE source ({declared})")
            relation = f"({selection.query}\n)" if selection.query else "source"
            check_columns(uri, selection, describe(connection, relation))
    finally:
        connection.close()
    if not wanted:  # it only counts rows
        wanted = [next((column.name for column in known if not column.is_nested), names[0])]
    return Part(tuple(wanted), "" if selection.query else restriction(table.columns, selection))


def _check_types(uri: str, columns: Sequence[Column]) -> None:
    for column in columns:
        if not column.sql_type:
            raise StepError(
                f"column {column.name!r} of {uri!r} is of type {column.type}, which is not read: "
                "select the other columns with data.query"
            )


def restriction(columns: Sequence[Column], selection: Selection) -> str:
    """Return the window of event time as a condition in GoogleSQL; empty where it is open or of a text's time.

    It keeps the rows of the window and perhaps a few beside it, which are left out later, by DuckDB.
    """
    types = {column.name: column.type for column in columns}
    type_ = types.get(selection.event_time, "")
    name = "`" + selection.event_time + "`"
    bounds = []
    for us, operator in ((selection.since_us, ">="), (selection.until_us, "<")):
        literal = "" if us is None else _literal(us, type_, selection.unit)
        if literal:
            bounds.append(f"{name} {operator} {literal}")
    return " AND ".join(bounds)


def _literal(us: int, type_: str, unit: str) -> str:
    """Return a bound, of a type that counts in whole steps the first value not before it; empty where there is none."""
    try:
        if type_ == "DATE":
            day = EPOCH.date() + datetime.timedelta(days=-(-us // DAY_US))
            return f"DATE '{day.isoformat()}'"
        moment = (EPOCH + us * MICROSECOND).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    except OverflowError:
        return ""
    if type_ == "DATETIME":
        return f"DATETIME '{moment}'"
    if type_ == "TIMESTAMP":
        return f"TIMESTAMP '{moment}+00:00'"
    scaled = us * UNITS_PER_SECOND[unit]
    if type_ in ("INTEGER", "INT64"):
        first = -(-scaled // US)
        return str(first) if -INT64 <= first < INT64 else ""
    if type_ in ("FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"):
        return f"{Decimal(scaled) / US:f}"
    return ""

"""The column with the time of the event: window, conversion to a number, and the latest one."""

from penstock.components.duckdb_session.column_types import epoch_us_sql, is_moment
from penstock.components.duckdb_session.session import identifier
from penstock.components.source_files.selection import UNITS_PER_SECOND, Selection
from penstock.components.step_io.errors import StepError

NOT_A_TIME = "penstock: a value is no time"
US = 1_000_000


def is_number(duckdb_type: str) -> bool:
    """Return whether an event time of this type counts units since 1970."""
    return (
        duckdb_type.endswith("INT")
        or duckdb_type in ("INTEGER", "DOUBLE", "FLOAT")
        or "DECIMAL" in duckdb_type
    )


def check_type(selection: Selection, duckdb_type: str) -> None:
    """Refuse an event time that is neither number, date, timestamp nor text."""
    if not (is_number(duckdb_type) or is_moment(duckdb_type) or duckdb_type == "VARCHAR"):
        raise StepError(
            f"event_time {selection.event_time!r} is of type {duckdb_type}: "
            "expected a number, a date, a timestamp or a text in ISO 8601"
        )


def moment_us(selection: Selection, duckdb_type: str) -> str:
    """Return the SQL expression for microseconds since 1970 of a date, a timestamp or a text in ISO 8601."""
    column = identifier(selection.event_time)
    if is_moment(duckdb_type):
        return epoch_us_sql(selection.event_time, duckdb_type)
    parsed = f"epoch_us(TRY_CAST({column} AS TIMESTAMP WITH TIME ZONE))"
    return f"CASE WHEN {column} IS NOT NULL THEN coalesce({parsed}, error('{NOT_A_TIME}')) END"


def in_window(selection: Selection, duckdb_type: str) -> str:
    """Return the SQL condition since <= event time < until; a missing event time lies outside."""
    if not selection.has_window:
        return "true"
    number = is_number(duckdb_type)
    value = identifier(selection.event_time) if number else moment_us(selection, duckdb_type)
    per_second = UNITS_PER_SECOND[selection.unit] if number else US
    bounds = []
    for us, operator in ((selection.since_us, ">="), (selection.until_us, "<")):
        if us is not None:
            bounds.append(f"{value} {operator} {_in_units(us, per_second)}")
    return " AND ".join(bounds)


def watermark_us(latest: float | int | None, unit: str) -> int | None:
    """Return an event time, counted in `unit`, as microseconds since 1970."""
    if latest is None:
        return None
    if isinstance(latest, int):
        return latest * US // UNITS_PER_SECOND[unit]
    return int(latest * US / UNITS_PER_SECOND[unit])


def _in_units(us: int, per_second: int) -> str:
    scaled = us * per_second
    if scaled % US == 0:
        return str(scaled // US)
    return f"CAST({scaled / US!r} AS DOUBLE)"

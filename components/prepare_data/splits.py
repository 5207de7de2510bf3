"""Which split a row belongs to, as an SQL expression: the same on every run and machine."""

from collections.abc import Mapping, Sequence

import duckdb

from penstock.components.duckdb_session.column_types import dataset_type, to_dataset_sql
from penstock.components.duckdb_session.session import first_row, identifier, literal
from penstock.components.prepare_data.relations import nearest
from penstock.components.prepare_data.settings import Split
from penstock.components.step_io.errors import StepError

HASH_DIGITS = 8  # of MD5, hexadecimal: shares are exact to 2^-32


def check_columns(split: Split, event_time: str, types: Mapping[str, str]) -> None:
    """Refuse columns that the split needs and the data do not have."""
    names = list(types)
    for column in split.key if split.by == "entity" else ():
        if column not in types:
            raise StepError(f"split.key {column!r} is no column of the data{nearest(column, names)}")
    if split.by == "time":
        if not event_time:
            raise StepError(
                "split.by is time but data.event_time is empty: name the column with the event time"
            )
        if event_time not in types:
            raise StepError(f"event_time {event_time!r} is no column of the data{nearest(event_time, names)}")
        if dataset_type(types[event_time]) not in ("int64", "double"):
            raise StepError(f"split.by is time but {event_time!r} is not a number: extract_data makes it one")


def by_entity(split: Split, types: Mapping[str, str]) -> str:
    """Return the SQL expression of the split by a hash of the key: equal keys are never apart.

    h = the first 32 bits of MD5(salt, key values as text, each with its length); test where
    h / 2^32 < test, validation where it is below test + validation, else train.
    """
    columns: Sequence[str] = split.key or list(types)
    parts = [f"{literal(split.salt)} || ':'"]
    for column in columns:
        text = f"CAST({to_dataset_sql(column, types[column])} AS VARCHAR)"
        parts.append(
            f"CASE WHEN {identifier(column)} IS NULL THEN '-' ELSE length({text}) || ':' || {text} END"
        )
    digits = f"left(md5({' || '.join(parts)}), {HASH_DIGITS})"
    test, validation = (_threshold(share) for share in (split.test, split.test + split.validation))
    return f"CASE WHEN {digits} < '{test}' THEN 'test' WHEN {digits} < '{validation}' THEN 'validation' ELSE 'train' END"


def by_time(connection: duckdb.DuckDBPyConnection, split: Split, event_time: str, usable: str) -> str:
    """Return the SQL expression of the split by time: the oldest rows train, the newest test.

    With n rows sorted by time t, validation begins at t[n - round(n (validation + test))] and test at
    t[n - round(n test)]; rows of the same time stay together, on the later side.

    Args:
        connection: Where the view `labelled` is.
        split: The shares.
        event_time: Column with the time, a number.
        usable: SQL condition of the rows that count.
    """
    time = identifier(event_time)
    row = first_row(connection, f"SELECT count(*) FROM labelled WHERE {usable}")
    n = row[0]
    starts = [n - round(n * (split.validation + split.test)), n - round(n * split.test)]
    bounds = first_row(
        connection,
        f"SELECT {', '.join(f'min(t) FILTER (up_to > {start})' for start in starts)} FROM ("
        f"SELECT t, sum(c) OVER (ORDER BY t) AS up_to FROM ("
        f"SELECT {time} AS t, count(*) AS c FROM labelled WHERE {usable} GROUP BY t))",
    )
    first, second = bounds
    # A bound is missing when nothing lies behind it.
    conditions = [
        f"WHEN {time} >= {_exact(bound)} THEN '{name}'"
        for name, bound in (("test", second), ("validation", first))
        if bound is not None
    ]
    return f"CASE {' '.join(conditions)} ELSE 'train' END" if conditions else "'train'"


def has_time(event_time: str, types: Mapping[str, str]) -> str:
    """Return the SQL condition of the rows that have a time."""
    time = identifier(event_time)
    return f"isfinite({time})" if dataset_type(types[event_time]) == "double" else f"{time} IS NOT NULL"


def _threshold(share: float) -> str:
    return f"{min(round(share * 16**HASH_DIGITS), 16**HASH_DIGITS - 1):0{HASH_DIGITS}x}"


def _exact(bound: int | float) -> str:
    return str(bound) if isinstance(bound, int) else f"CAST('{bound!r}' AS DOUBLE)"

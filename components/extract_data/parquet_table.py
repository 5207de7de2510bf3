"""Parquet files as a DuckDB relation."""

from collections.abc import Callable, Sequence
from itertools import groupby

import duckdb

from penstock.components.duckdb_session.column_types import SQL_TYPES, dataset_type, to_dataset_sql
from penstock.components.duckdb_session.session import identifier, literal, one_line
from penstock.components.source_files.csv_layout import check_names
from penstock.components.source_files.listing import SourceFile
from penstock.components.step_io.errors import StepError


def parquet_view(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    wanted: Callable[[Sequence[str]], set[str]],
) -> str:
    """Return the SELECT that reads the files, in their order, with columns united by name.

    A column keeps its own type where all files agree; else int64 and double become double, and
    anything else text.

    Raises:
        StepError: A file is no Parquet, or column names are twice there.
    """
    described = [(file, _describe(connection, file)) for file in files]
    groups = [
        ([file for file, _ in pairs], dict(columns))
        for columns, pairs in (
            (key, list(found)) for key, found in groupby(described, key=lambda pair: tuple(pair[1].items()))
        )
    ]
    spelling: dict[str, str] = {}
    types: dict[str, set[str]] = {}
    for _, columns in groups:
        for name, type_ in columns.items():
            spelling.setdefault(name.lower(), name)
            types.setdefault(name.lower(), set()).add(type_)
    names = [name for name in spelling.values() if name in wanted(list(spelling.values()))]
    selects = []
    for members, columns in groups:
        own = {name.lower(): (name, type_) for name, type_ in columns.items()}
        values = ", ".join(
            f"{_value(name, own, types[name.lower()])} AS {identifier(name)}" for name in names
        )
        paths = ", ".join(literal(file.path) for file in members)
        selects.append(f"SELECT {values} FROM read_parquet([{paths}], hive_partitioning = false)")
    return " UNION ALL ".join(selects)


def _value(name: str, own: dict[str, tuple[str, str]], types: set[str]) -> str:
    if len(types) == 1:
        (type_,) = types
        return identifier(own[name.lower()][0]) if name.lower() in own else f"CAST(NULL AS {type_})"
    flat = {dataset_type(type_) for type_ in types}
    wanted = flat.pop() if len(flat) == 1 else "double" if flat == {"int64", "double"} else "string"
    sql_type = SQL_TYPES[wanted or "string"]
    if name.lower() not in own:
        return f"CAST(NULL AS {sql_type})"
    column, type_ = own[name.lower()]
    if not dataset_type(type_):
        return identifier(column)  # nested: the result's check names it
    return f"CAST({to_dataset_sql(column, type_)} AS {sql_type})"


def _describe(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> dict[str, str]:
    """Return the column names of a file and their DuckDB types."""
    import pyarrow.parquet as pq

    try:
        check_names(file.name, tuple(pq.read_schema(file.path).names))
        rows = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet([{literal(file.path)}], hive_partitioning = false)"
        ).fetchall()
    except duckdb.Error as error:
        raise StepError(
            f"{file.name} is no readable Parquet file ({one_line(error)}): write it again"
        ) from error
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise StepError(f"{file.name} is no readable Parquet file ({reason}): write it again") from error
    return {str(row[0]): str(row[1]) for row in rows}

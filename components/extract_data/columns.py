"""The columns of a source: which of them to read, and which cannot be."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from penstock.components.duckdb_session.column_types import dataset_type
from penstock.components.extract_data import event_times
from penstock.components.source_files.selection import Selection
from penstock.components.step_io.errors import StepError

MOST_COLUMNS = 2_000
# What speaks of columns without their names, in DuckDB's own account of a statement.
NAMELESS = ("STAR", "POSITIONAL_REFERENCE", "PIVOT")


def needed(names: Sequence[str], uri: str, selection: Selection) -> set[str]:
    """Return the columns to read: all, or of a very wide source those that the query names.

    Raises:
        StepError: There are more columns than are read, and no query that selects some.
    """
    if len(names) <= MOST_COLUMNS:
        return set(names)
    if not selection.query:
        raise StepError(_too_wide(uri, len(names)))
    query = selection.query.lower()
    if "*" in query.replace("count(*)", "") or "columns(" in query or "select" not in query:
        return set(names)
    return {name for name in names if name.lower() in query or name == selection.event_time}


def of_query(connection: duckdb.DuckDBPyConnection, query: str, names: Sequence[str]) -> list[str]:
    """Return the columns that a query over the table `source` may read; all of them where it does not name them.

    A column counts when anything in the statement has its name, so it may be one too many, never one too few.
    """
    tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    nodes = list(_nodes(tree))
    tables = {
        str(node[key]).lower() for node in nodes if "table_name" in node for key in ("table_name", "alias")
    }
    rows = [
        node
        for node in nodes
        if node.get("class") == "COLUMN_REF"
        and len(node["column_names"]) == 1
        and node["column_names"][0].lower() in tables
    ]
    nameless = any(
        node.get("class") in NAMELESS or node.get("type") in NAMELESS or node.get("ref_type") == "NATURAL"
        for node in nodes
    )
    if tree.get("error") or rows or nameless:
        return list(names)
    words = {word.lower() for word in _words(tree)}
    return [name for name in names if name.lower() in words]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(part)


def _words(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _words(part)


def describe(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation and their DuckDB types."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def check_columns(uri: str, selection: Selection, types: dict[str, str]) -> None:
    """Refuse too many columns, nested ones, and an event time that is not there.

    Raises:
        StepError: One of these.
    """
    if len(types) > MOST_COLUMNS:
        raise StepError(_too_wide(uri, len(types)))
    for name, type_ in types.items():
        if not dataset_type(type_):
            raise StepError(
                f"column {name!r} of {uri!r} holds nested values ({type_[:60]}): take them apart with data.query"
            )
    if selection.event_time and selection.event_time not in types:
        near = difflib.get_close_matches(selection.event_time, types, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise StepError(f"event_time {selection.event_time!r} is no column of {uri!r}{hint}")
    if selection.event_time:
        event_times.check_type(selection, types[selection.event_time])


def _too_wide(uri: str, columns: int) -> str:
    return (
        f"the source {uri!r} has {columns} columns, more than {MOST_COLUMNS}: "
        "select those that you need with data.query"
    )

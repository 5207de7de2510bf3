"""What the SQL of app.yaml is put into, as views of DuckDB, each over the one before.

The rule that dropped a row stands in the column RULE, so that one scan counts what each rule drops, and
no expression is computed on rows that an earlier rule has dropped.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from penstock.components.duckdb_session.column_types import dataset_type
from penstock.components.duckdb_session.session import (
    check_select,
    first_row,
    identifier,
    one_line,
    resource_sentence,
)
from penstock.components.prepare_data.settings import Label, Rule
from penstock.components.step_io.errors import StepError

RULE = "__penstock_rule"
LABEL = "__penstock_label"
CHANGED = "__penstock_changed_"


@dataclass(frozen=True)
class Cleaned:
    """The view after the last rule, with its columns' DuckDB types, and the view after each rule."""

    view: str
    types: dict[str, str]
    stages: tuple[str, ...]


def clean(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> Cleaned:
    """Put the cleaning rules over the view `data`.

    Raises:
        StepError: A rule's SQL is wrong, or sets a column that is not there.
    """
    types = _types(connection, "data")
    connection.execute(f"CREATE TEMP VIEW stage_0 AS SELECT *, 0 AS {RULE} FROM data")
    view = "stage_0"
    stages = []
    for rule in rules:
        select = _rule_select(rule, types, view)
        where = f"{rule.name}, {'drop' if rule.drop else 'sql'}"
        _check_expression(connection, rule.drop or rule.sql, view, where)
        view = f"stage_{rule.number}"
        try:
            connection.execute(f"CREATE TEMP VIEW {view} AS {select}")
            types = {n: t for n, t in _types(connection, view).items() if not n.startswith("__penstock")}
        except duckdb.Error as error:
            raise StepError(f"{where}: {one_line(error)}") from error
        if rule.column and not dataset_type(types[rule.column]):
            raise StepError(f"{where}: the value is nested ({types[rule.column]}), expected a plain one")
        stages.append(view)
    return Cleaned(view, types, tuple(stages))


def add_label(connection: duckdb.DuckDBPyConnection, label: Label, cleaned: Cleaned) -> str:
    """Make the view `labelled`: the rows that no rule dropped, with the label; return the label's DuckDB type.

    Raises:
        StepError: The label's column is not there, its SQL is wrong, or its name is taken.
    """
    names = list(cleaned.types)
    if label.column:
        if label.column not in names:
            raise StepError(
                f"label.column {label.column!r} is no column of the data{nearest(label.column, names)}"
            )
        expression = identifier(label.column)
    else:
        _check_expression(connection, label.sql, cleaned.view, "label.sql")
        expression = f"({label.sql}\n)"
    own = label.column or label.sql.strip().strip('"')
    taken = {name.lower(): name for name in names}.get(label.name.lower())
    if taken is not None and taken != own:
        raise StepError(
            f"label.name {label.name!r} is the name of a column of the data: give the label another"
        )
    try:
        connection.execute(
            f"CREATE TEMP VIEW labelled AS SELECT * EXCLUDE ({RULE}), {expression} AS {LABEL} "
            f"FROM {cleaned.view} WHERE {RULE} = 0"
        )
        return _types(connection, "labelled")[LABEL]
    except duckdb.Error as error:
        raise StepError(f"label.sql: {one_line(error)}") from error


def count_rules(
    connection: duckdb.DuckDBPyConnection, cleaned: Cleaned, rules: Sequence[Rule]
) -> tuple[int, dict[int, int]]:
    """Return the number of rows read, and by rule the rows that it dropped or changed."""
    setting = [rule.number for rule in rules if rule.column]
    counts = [f"count(*) FILTER ({RULE} = {rule.number})" for rule in rules if rule.drop]
    changed = [f"count(*) FILTER ({CHANGED}{number})" for number in setting]
    try:
        row = first_row(
            connection, f"SELECT {', '.join(['count(*)', *counts, *changed])} FROM {cleaned.view}"
        )
    except duckdb.Error as error:
        raise StepError(blame(connection, cleaned, rules, error)) from error
    numbers = [rule.number for rule in rules if rule.drop] + setting
    return row[0], dict(zip(numbers, row[1:], strict=True))


def blame(
    connection: duckdb.DuckDBPyConnection, cleaned: Cleaned, rules: Sequence[Rule], error: duckdb.Error
) -> str:
    """Return the sentence for an error while rows went through the rules: it names the first that fails."""
    if full := resource_sentence(error):
        return full
    for rule, view in zip(rules, cleaned.stages, strict=True):
        column = RULE if rule.drop else identifier(rule.column)
        try:
            first_row(connection, f"SELECT count({column}), min({column}) FROM {view}")
        except duckdb.Error as failure:
            return f"{rule.name}, {'drop' if rule.drop else 'sql'}: {one_line(failure)}"
    return f"label.sql: {one_line(error)}"


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a hint at the name that was meant, or an empty text."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _rule_select(rule: Rule, types: dict[str, str], view: str) -> str:
    if rule.drop:
        dropped = f"CASE WHEN {RULE} <> 0 THEN {RULE} WHEN ({rule.drop}\n) THEN {rule.number} ELSE 0 END"
        return f"SELECT * REPLACE ({dropped} AS {RULE}) FROM {view}"
    if rule.column not in types:
        raise StepError(
            f"{rule.name}: set {rule.column!r} is no column of the data{nearest(rule.column, list(types))}"
        )
    column = identifier(rule.column)
    changed = f"CAST(({rule.sql}\n) AS VARCHAR) IS DISTINCT FROM CAST({column} AS VARCHAR)"
    return (
        f"SELECT * REPLACE (CASE WHEN {RULE} = 0 THEN ({rule.sql}\n) END AS {column}), "
        f"CASE WHEN {RULE} = 0 THEN {changed} ELSE false END AS {CHANGED}{rule.number} FROM {view}"
    )


def _check_expression(connection: duckdb.DuckDBPyConnection, expression: str, view: str, where: str) -> None:
    """Refuse an expression that does not bind, or that closes the parenthesis and goes on."""
    statement = f"SELECT ({expression}\n) FROM {view}"
    check_select(connection, statement, where)
    try:
        connection.execute(f"DESCRIBE {statement}").fetchall()
    except duckdb.Error as error:
        raise StepError(f"{where}: {one_line(error)}") from error


def _types(connection: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {view}").fetchall()}

"""Task, classes and positive class of the label."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

from penstock.components.duckdb_session.column_types import dataset_type
from penstock.components.duckdb_session.session import first_row
from penstock.components.prepare_data.relations import LABEL, nearest
from penstock.components.prepare_data.settings import Label
from penstock.components.step_io.errors import StepError

MOST_CLASSES = 1_000
MOST_CLASSES_TEXT = 60_000  # characters of all class names: they travel in a parameter
AUTO_TEXT_CLASSES = 50
AUTO_INTEGER_CLASSES = 20
POSITIVES = ("true", "1", "yes", "y", "t")


@dataclass(frozen=True)
class LabelSpec:
    """What the label is; the rows of each class are of all splits together."""

    name: str
    task: str
    classes: tuple[str, ...] = ()
    positive: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)

    def parameter(self) -> dict[str, object]:
        """Return the label_spec that later steps read."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "positive": self.positive,
        }


def as_class(duckdb_type: str) -> str:
    """Return the SQL expression of the class as text; a whole number has no decimals, empty text is missing."""
    type_ = dataset_type(duckdb_type)
    if type_ == "double":
        value = f"CAST({LABEL} AS DOUBLE)"
        whole = f"{value} = trunc({value}) AND abs({value}) < 1e15"
        return (
            f"CASE WHEN isfinite({value}) THEN (CASE WHEN {whole} THEN CAST(CAST({value} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({value} AS VARCHAR) END) END"
        )
    return f"nullif(CAST({LABEL} AS VARCHAR), '')"


def as_number(duckdb_type: str) -> str:
    """Return the SQL expression of the label as a number; NaN and infinity are missing."""
    value = f"CAST({LABEL} AS DOUBLE)"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def decide(connection: duckdb.DuckDBPyConnection, label: Label, duckdb_type: str) -> LabelSpec:
    """Find out what the label in the view `labelled` is.

    task auto: booleans and what has two values is binary; text with up to 50 values and integers with up
    to 20 are multiclass; other numbers are regression.

    Raises:
        StepError: The task does not fit the values, there are too many classes, or the positive class is
            none of them.
    """
    type_ = dataset_type(duckdb_type)
    if not type_:
        raise StepError(f"the label {label.name!r} holds nested values ({duckdb_type}): expected a plain one")
    if label.task == "regression" and type_ not in ("int64", "double"):
        raise StepError(
            f"label.task is regression but the label {label.name!r} is {_words(type_)}, not a number"
        )
    if label.task == "regression":
        return LabelSpec(label.name, "regression")
    many, whole = _survey(connection, duckdb_type, type_)
    if type_ == "bool":
        rows = {"false": 0, "true": 0} | ({} if many else _classes(connection, duckdb_type))
    else:
        rows = {} if many else _classes(connection, duckdb_type)
    task = label.task if label.task != "auto" else _auto(type_, len(rows), many, whole)
    if task == "regression":
        return LabelSpec(label.name, "regression")
    if label.task == "auto" and task == "":
        raise StepError(
            f"the label {label.name!r} is text with more than {AUTO_TEXT_CLASSES} values: "
            "group them with label.sql, or set label.task to multiclass"
        )
    return _classification(label, task, rows, many)


def _survey(connection: duckdb.DuckDBPyConnection, duckdb_type: str, type_: str) -> tuple[bool, bool]:
    """Return whether there are far too many values for classes, and whether all numbers are whole."""
    whole = (
        f"bool_and({LABEL} = trunc({LABEL}))"
        if type_ in ("int64", "double") and "TIME" not in duckdb_type
        else "true"
    )
    row = first_row(
        connection,
        f"SELECT approx_count_distinct({as_class(duckdb_type)}), coalesce({whole}, true) FROM labelled",
    )
    return row[0] > 5 * MOST_CLASSES, bool(row[1])


def _classes(connection: duckdb.DuckDBPyConnection, duckdb_type: str) -> dict[str, int]:
    rows = connection.execute(
        f"SELECT {as_class(duckdb_type)} AS class, count(*) FROM labelled GROUP BY class "
        "HAVING class IS NOT NULL ORDER BY class"
    ).fetchall()
    return {str(name): int(count) for name, count in rows}


def _auto(type_: str, distinct: int, many: bool, whole: bool) -> str:
    if type_ == "bool":
        return "binary"
    if not many and distinct <= 2 and whole:
        return "binary"
    if type_ == "string":
        return "multiclass" if not many and distinct <= AUTO_TEXT_CLASSES else ""
    return (
        "multiclass" if type_ == "int64" and not many and distinct <= AUTO_INTEGER_CLASSES else "regression"
    )


def _classification(label: Label, task: str, rows: dict[str, int], many: bool) -> LabelSpec:
    classes = tuple(sorted(rows))
    if many or len(classes) > MOST_CLASSES or sum(map(len, classes)) > MOST_CLASSES_TEXT:
        raise StepError(
            f"the label {label.name!r} has more than {MOST_CLASSES} classes: group them with label.sql, "
            "or use a number and task regression"
        )
    if task == "multiclass":
        return LabelSpec(label.name, task, classes, "", rows)
    if len(classes) > 2:
        shown = ", ".join(map(repr, classes[:5])) + (", ..." if len(classes) > 5 else "")
        raise StepError(
            f"label.task is binary but the label {label.name!r} has {len(classes)} classes ({shown}): "
            "use multiclass, or a condition in label.sql"
        )
    if label.positive and len(classes) == 2 and label.positive not in classes:
        shown = " and ".join(map(repr, classes))
        raise StepError(
            f"label.positive is {label.positive!r}, the classes of {label.name!r} are {shown}"
            f"{nearest(label.positive, classes)}"
        )
    return LabelSpec(label.name, task, classes, label.positive or _positive(rows), rows)


def _positive(rows: Mapping[str, int]) -> str:
    """Return the class that says yes, else the rarer one (of two equal ones the later by name)."""
    for word in POSITIVES:
        for name in sorted(rows):
            if name.lower() == word:
                return name
    return min(sorted(rows, reverse=True), key=lambda name: rows[name], default="")


def _words(type_: str) -> str:
    return {"bool": "a boolean", "string": "text"}[type_]

"""Rows as JSON gives them, checked against the model's inputs and turned into columns.

Missing (null, or no such key) is NaN for a number and "" for a text, as in training.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from penstock.components.serving_model.folder import Input

LONGEST_VALUE = 60  # characters of a value that a message shows
EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "": "a number",
}


class BadRow(ValueError):
    """A row that the model cannot take.

    Attributes:
        field: The feature; empty when the row as a whole is wrong.
        row: Its place, from 0.
        reason: What is wrong with it.
    """

    def __init__(self, field: str, row: int, reason: str) -> None:
        where = f"row {row}, field {field!r}" if field else f"row {row}"
        super().__init__(f"{where}: {reason}")
        self.field, self.row, self.reason = field, row, reason


def columns_of(instances: Sequence[Mapping[str, Any]], inputs: Sequence[Input]) -> dict[str, np.ndarray]:
    """Return one array of shape (n,) per input: float64, or objects (str).

    A whole number is taken for a float and a float without fraction for an int, as JSON writers give
    one for the other; a bool is taken as 0 or 1 where the schema says bool or nothing.

    Raises:
        BadRow: A feature is unknown, a required one is missing, or a value has the wrong type.
    """
    known = {found.name for found in inputs}
    for row, instance in enumerate(instances):
        if not isinstance(instance, Mapping):
            raise BadRow("", row, f"is {shown(instance)}, expected an object of features by name")
        if not instance.keys() <= known:
            name = str(next(name for name in instance if name not in known))
            raise BadRow(name, row, unknown_field(name, known))
    return {found.name: _column([row.get(found.name) for row in instances], found) for found in inputs}


def check_column(values: np.ndarray, found: Input) -> np.ndarray:
    """Return a column that came as an array (V2 tensors, Parquet) in the model's dtype.

    Args:
        values: Shape (n,): numbers, booleans, str, bytes or None.
        found: The input that it is for.

    Raises:
        BadRow: A required value is missing, or a value has the wrong type.
    """
    if values.dtype.kind in "fiu" and found.dtype == "float64" and found.type in ("float", ""):
        column = values.astype(np.float64)
        if found.required and len(empty := np.flatnonzero(np.isnan(column))):
            raise _missing(found, int(empty[0]))
        return column
    return _column([_plain(value, found, row) for row, value in enumerate(values.tolist())], found)


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return what is wrong with a name that no input has."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return "is no input of the model" + (f"; did you mean {near[0]!r}?" if near else "")


def shown(value: Any) -> str:
    """Return a value for a message: short, with its kind."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    text = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
    kinds: dict[type, str] = {str: "the text ", list: "the list ", dict: "the object "}
    return f"{kinds.get(type(value), '')}{text}"


def _column(values: list[Any], found: Input) -> np.ndarray:
    if found.dtype == "string":
        texts = np.empty(len(values), object)
        for row, value in enumerate(values):
            texts[row] = _text(value, found, row)
        return texts
    numbers = np.empty(len(values), np.float64)
    for row, value in enumerate(values):
        numbers[row] = _number(value, found, row)
    return numbers


def _number(value: Any, found: Input, row: int) -> float:
    if value is None or (type(value) is float and math.isnan(value)):
        if found.required:
            raise _missing(found, row)
        return math.nan
    kind = type(value)
    if kind is float:
        if found.type == "int" and not value.is_integer():
            raise _wrong(value, found, row)
        if found.type == "bool" and value not in (0.0, 1.0):
            raise _wrong(value, found, row)
        return float(value)
    if kind is int:
        if found.type == "bool" and value not in (0, 1):
            raise _wrong(value, found, row)
        try:
            return float(value)
        except OverflowError:
            raise BadRow(found.name, row, f"is {shown(value)}, too large for a number of 64 bits") from None
    if kind is bool and found.type in ("bool", ""):
        return float(value)
    raise _wrong(value, found, row)


def _text(value: Any, found: Input, row: int) -> str:
    if value is None:
        if found.required:
            raise _missing(found, row)
        return ""
    if type(value) is bool and found.type in ("bool", ""):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise _wrong(value, found, row)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRow(found.name, row, f"is {shown(value)}, which is no valid Unicode text") from None
    return value


def _plain(value: Any, found: Input, row: int) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRow(found.name, row, f"is {shown(value)}, which is no UTF-8 text") from None
    if type(value) is float and math.isnan(value):
        return None
    return value


def _missing(found: Input, row: int) -> BadRow:
    return BadRow(found.name, row, "is required by the schema, and missing or null")


def _wrong(value: Any, found: Input, row: int) -> BadRow:
    expected = "a text" if found.dtype == "string" else EXPECTED[found.type]
    return BadRow(found.name, row, f"is {shown(value)}, expected {expected}")

"""Reads an app's schema, a TFDV schema as text proto."""

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.app_yaml import AppError, Fault

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


def read_schema(path: Path, name: str, app: str) -> "Schema":
    """Return the schema in a file; `name` is what errors call it.

    Raises:
        AppError: The file is missing or empty, or it is no schema: with line and column.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        advice = f"there is no schema: draft one with `penstock schema infer --app {app}`, then review it"
        raise AppError([Fault(name, (), advice)]) from None
    except UnicodeDecodeError as error:
        raise AppError(
            [Fault(name, (), f"byte {error.start} is not UTF-8: save the file as UTF-8")]
        ) from error
    try:
        schema: Schema = text_format.Parse(text, Schema())
    except text_format.ParseError as error:
        where = ":".join(str(part) for part in (name, error.GetLine(), error.GetColumn()) if part is not None)
        reason = str(error).removeprefix(f"{error.GetLine()}:{error.GetColumn()} : ")
        raise AppError([Fault(where, (), f"this is no TFDV schema: {' '.join(reason.split())}")]) from error
    if not schema.feature:
        advice = f"the schema names no feature: draft one with `penstock schema infer --app {app}`"
        raise AppError([Fault(name, (), advice)])
    names = [feature.name for feature in schema.feature]
    twice = sorted({feature for feature in names if names.count(feature) > 1})
    if twice:
        raise AppError([Fault(name, (), f"the schema names a feature twice: {', '.join(map(repr, twice))}")])
    return schema

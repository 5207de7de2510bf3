"""Reads and writes schemas: TFDV's proto as text, one `feature { ... }` for each column."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.step_io.errors import StepError

SCHEMA_FILE = "schema.pbtxt"
FIRST = ("name", "type", "presence", "shape", "value_count")  # of a feature's fields, as people read them
ONE_LINE = 90
NAME = re.compile(r"""\bname\s*:\s*["']([^"']+)""")


def read_schema(path: Path, name: str = "") -> schema_pb2.Schema:
    """Return the schema in a file that may be wrong in what it says, but not in how.

    Args:
        path: The file.
        name: What messages call it; default: its path.

    Raises:
        StepError: The file is missing or empty, or it is no schema: with line and column.
    """
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StepError(f"{name}: there is no such schema: draft one with `penstock schema infer`") from None
    except UnicodeDecodeError as error:
        raise StepError(f"{name}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    try:
        schema = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        place = [str(part) for part in (error.GetLine(), error.GetColumn()) if part is not None]
        reason = " ".join(str(error).split()).removeprefix(f"{':'.join(place)} : ")
        raise StepError(f"{':'.join([name, *place])}: this is no TFDV schema: {reason}") from error
    if not schema.feature:
        raise StepError(f"{name}: the schema names no feature: draft one with `penstock schema infer`")
    return schema


def lines_of_features(path: Path) -> dict[str, int]:
    """Return the line on which each feature's name stands (the first, where one stands twice)."""
    lines: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for name in NAME.findall(line.partition("#")[0]):
            lines.setdefault(name, number)
    return lines


def schema_text(
    schema: schema_pb2.Schema, head: Sequence[str] = (), comments: Mapping[str, Sequence[str]] = {}
) -> str:
    """Return a schema as text.

    Args:
        schema: The schema.
        head: Lines of comment at the top.
        comments: Lines of comment by feature.
    """
    parts = ["".join(f"# {line}".rstrip() + "\n" for line in head)] if head else []
    for feature in schema.feature:
        above = "".join(f"# {line}\n" for line in comments.get(feature.name, ()))
        parts.append(f"{above}feature {{\n{_feature_text(feature)}}}\n")
    rest = schema_pb2.Schema()
    rest.CopyFrom(schema)
    rest.ClearField("feature")
    if rest.ByteSize():
        parts.append(text_format.MessageToString(rest, as_utf8=True))
    return "\n".join(parts)


def _feature_text(feature: schema_pb2.Feature) -> str:
    """Return the fields of a feature, each on one line where it fits."""
    fields = [field.name for field, _ in feature.ListFields()]
    lines = []
    for name in sorted(fields, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        part = schema_pb2.Feature()
        part.CopyFrom(feature)
        for other in fields:
            if other != name:
                part.ClearField(other)
        line = text_format.MessageToString(part, as_utf8=True, as_one_line=True).strip()
        if len(line) <= ONE_LINE:
            lines.append(f"  {line}\n")
        else:
            lines.append(text_format.MessageToString(part, as_utf8=True, indent=2))
    return "".join(lines)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

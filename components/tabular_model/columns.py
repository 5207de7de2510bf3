"""The raw inputs of a model: which columns of the schema they are, and of which type and kind."""

import difflib
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.settings import KINDS

log = logging.getLogger(__name__)

NO_INPUT_STAGES = (schema_pb2.DEPRECATED, schema_pb2.DISABLED, schema_pb2.DEBUG_ONLY)


@dataclass(frozen=True)
class RawInput:
    """A column that the model takes: dtype float64 (NaN is missing) or string ("" is missing)."""

    name: str
    dtype: str
    kind: str  # numeric, categorical or text; drop: taken, but not used
    type: str = ""  # int, float, bool or string: how the schema has it
    required: bool = False  # the schema demands a value in every row


def read_inputs(
    schema_folder: Path, excluded: Collection[str], kinds: Mapping[str, str] = {}
) -> list[RawInput]:
    """Return the model's inputs in the order of the schema.

    A text column is categorical (text when its domain is natural language), an integer with
    `int_domain.is_categorical` categorical, every other number numeric. `kinds` overrides that.

    Raises:
        StepError: The schema cannot be read, or names no column that could be an input.
    """
    path = schema_folder / "schema.pbtxt"
    try:
        schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    except FileNotFoundError:
        raise StepError(f"the schema artifact {schema_folder} holds no schema.pbtxt") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise StepError(f"schema.pbtxt is no TFDV schema: {error}") from error
    inputs = []
    for feature in schema.feature:
        if feature.name in excluded or feature.lifecycle_stage in NO_INPUT_STAGES:
            continue
        if feature.type == schema_pb2.STRUCT:
            log.warning("the column %r is nested and no input of the model", feature.name)
            continue
        inputs.append(_raw_input(feature))
    known = {found.name for found in inputs}
    unknown = [f"model.kinds: {name!r} is no input of the model{_near(name, known)}" for name in kinds]
    unknown = [fault for fault, name in zip(unknown, kinds, strict=True) if name not in known]
    wrong = [
        f"model.kinds: {name!r} is {kind!r}, allowed are {', '.join(KINDS)}"
        for name, kind in kinds.items()
        if kind not in KINDS
    ]
    if unknown or wrong:
        raise StepError("; ".join(unknown + wrong))
    _check_names(known)
    if not inputs:
        raise StepError("the schema has no column that the model could take as an input")
    return [replace(found, kind=kinds.get(found.name, found.kind)) for found in inputs]


def _check_names(names: Collection[str]) -> None:
    """Refuse what TensorFlow cannot take as the arguments of one function."""
    by_identifier: dict[str, str] = {}
    for name in sorted(names):
        identifier = re.sub(r"\W", "_", name)
        other = by_identifier.setdefault(identifier, name)
        if name == "self" or other != name:
            what = "the column 'self'" if name == "self" else f"the columns {other!r} and {name!r}"
            raise StepError(
                f"{what} cannot be inputs of one TensorFlow function; rename or exclude one (features.exclude)"
            )


def _raw_input(feature: schema_pb2.Feature) -> RawInput:
    domain, required = feature.WhichOneof("domain_info"), feature.presence.min_fraction >= 1
    if feature.type == schema_pb2.BYTES:
        kind = "text" if domain == "natural_language_domain" else "categorical"
        return RawInput(feature.name, "string", kind, "string", required)
    kind = "categorical" if feature.int_domain.is_categorical else "numeric"
    type_ = "float" if feature.type == schema_pb2.FLOAT else "int"
    return RawInput(feature.name, "float64", kind, "bool" if domain == "bool_domain" else type_, required)


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

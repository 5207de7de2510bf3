"""Tables of the keys of a settings file, from the pydantic models that validate it."""

import json
import types
import typing
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def section(path: str, model: type[BaseModel], of_list: bool = False) -> list[str]:
    """Return a section's text, and that of the sections inside it."""
    heading = f"## {path}" + (" (a list)" if of_list else "")
    parts = [f"{heading}\n\n{_doc(model)}\n\n{table(model)}"]
    for name, inside in sections_of(model).items():
        mapping = typing.get_origin(model.model_fields[name].annotation) is dict
        parts += section(f"{path}.{name}" + (".<name>" if mapping else ""), inside)
    return parts


def table(model: type[BaseModel], without: Collection[str] = ()) -> str:
    """Return a row for each key, but for those in `without`."""
    lines = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in without:
            continue
        lines.append(
            f"| `{field.alias or name}` | {_type(field.annotation)}{_range(field.metadata)} | {_default(field)} "
            f"| {cell(field.description or '')} |"
        )
    return "\n".join(lines)


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the models of those keys that hold a section, or a list or mapping of sections."""
    found = {name: model_of(field.annotation) for name, field in model.model_fields.items()}
    return {name: inside for name, inside in found.items() if inside}


def is_list(model: type[BaseModel], key: str) -> bool:
    """Tell whether a key holds a list."""
    return typing.get_origin(model.model_fields[key].annotation) is list


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that an annotation holds, also inside a list or mapping."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _type(annotation: Any) -> str:
    """Return a type in words."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inside[0]) + _range(list(getattr(inside[1], "metadata", ())))
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" if value else "empty" for value in inside)
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_type(part) for part in inside if part is not type(None))
    if origin is list:
        return "list" if _is_open(inside[0]) else f"list of {_type(inside[0])}"
    if origin is dict:
        return "mapping"
    if model_of(annotation):
        return "section"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "value")


def _is_open(annotation: Any) -> bool:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation is Any


def _range(metadata: list[Any]) -> str:
    words = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
    bounds = [
        words[key].format(number(getattr(item, key)))
        for item in metadata
        for key in words
        if getattr(item, key, None) is not None
    ]
    return ", " + ", ".join(bounds) if bounds else ""


def number(value: float | None) -> str:
    """Return a bound as app.yaml may write it: 250_000, 0.9, 1e-07."""
    if value is None:
        return "any"
    return f"{int(value):_}" if float(value).is_integer() else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    return "see below" if isinstance(value, BaseModel) else f"`{json.dumps(value)}`"


def cell(text: str) -> str:
    """Return a text as it may stand in a cell."""
    return text.replace("|", "\\|")

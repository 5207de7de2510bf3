"""Holds a document against the typed models and says in sentences, with lines, what does not fit."""

from pathlib import PurePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from penstock.app_yaml import Document, Fault, KeyPath
from penstock.nearest import did_you_mean

EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a section of keys",
    "model_attributes_type": "a section of keys",
    "string_too_short": "text that is not empty",
}
BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}
Model = TypeVar("Model", bound=BaseModel)
SHOWN = 60  # characters of a value in an error


def model_faults(document: Document, model: type[Model]) -> tuple[Model | None, list[Fault]]:
    """Return the typed configuration, or what does not fit the model."""
    try:
        return model.model_validate(document.value), []
    except ValidationError as error:
        faults = [_fault(document, details, model) for details in error.errors(include_url=False)]  # type: ignore[arg-type]
        return None, faults


def without_nulls(value: Any) -> Any:
    """Leave out keys that are written without a value."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def section_keys(path: KeyPath, model: type[BaseModel]) -> list[str]:
    """Return the keys that the section at a path allows; [] when any word is a key there."""
    for key in path:
        if isinstance(key, int):
            continue  # an item of a list of sections
        inside = _model_inside(model, key)
        if inside is None:
            return []
        model = inside
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_inside(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the model of a section inside a section, also of a list's items or a mapping's values."""
    for name, field in model.model_fields.items():
        if key == (field.alias or name):
            candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
            for candidate in candidates:
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    return candidate
    return None


def _fault(document: Document, details: dict[str, Any], model: type[BaseModel]) -> Fault:
    path: KeyPath = tuple(details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        return document.fault(path, "this key is required and not there")
    if kind == "extra_forbidden":
        return document.fault(path, _unknown_key(document, path, model))
    shown = repr(details["input"])
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
    if kind == "literal_error":
        value = details["input"]
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        near = did_you_mean(value, allowed) if isinstance(value, str) else ""
        return document.fault(path, f"{shown} is not allowed, expected {context['expected']}{near}")
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        return document.fault(path, f"{shown} does not fit, expected {words.format(f'{context[key]:g}')}")
    if kind == "string_pattern_mismatch":
        advice = "a name of letters, digits, _ and -, starting with a letter, at most 63 characters"
        return document.fault(path, f"{shown} does not fit, expected {advice}")
    if kind in EXPECTED:
        quoted = (
            "; put it in quotes"
            if kind == "string_type" and not isinstance(details["input"], (list, dict))
            else ""
        )
        return document.fault(path, f"{shown} does not fit, expected {EXPECTED[kind]}{quoted}")
    return document.fault(path, f"{shown} does not fit: {details['msg']}")


def _unknown_key(document: Document, path: KeyPath, model: type[BaseModel]) -> str:
    allowed = section_keys(path[:-1], model)
    section = next((str(key) for key in reversed(path[:-1]) if isinstance(key, str)), "")
    owner = section or PurePath(document.file).name
    near = did_you_mean(str(path[-1]), allowed) or f"; allowed are {', '.join(allowed)}"
    return f"{owner} has no key {path[-1]!r}{near}"

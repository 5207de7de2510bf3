"""Reads settings, a dataclass of plain values, from a section of an environment file."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar, get_origin, get_type_hints

from penstock.components.step_io.errors import StepError

Settings = TypeVar("Settings")
# A value as it is given → the setting, and what is wrong with it.
Reader = Callable[[Any], tuple[Any, list[str]]]

# What a value is given as, and in words.
GIVEN_AS: dict[Any, tuple[Any, str]] = {
    str: (str, "text"),
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    tuple: (list, "a list"),
    Mapping: (Mapping, "a mapping"),
}


def read_plain(
    kind: str,
    where: Mapping[str, Any],
    settings: type[Settings],
    readers: Mapping[str, Reader] = MappingProxyType({}),
) -> Settings:
    """Return the settings of a kind of serving target.

    Args:
        kind: The target, for the sentence.
        where: The section: `kind`, and fields of the dataclass.
        settings: The dataclass.
        readers: For keys whose values are more than plain.

    Raises:
        StepError: A key is unknown or missing, or a value is of another type; all faults at once.
    """
    hints = get_type_hints(settings)
    known = {one.name: one for one in fields(settings)}  # type: ignore[arg-type]
    required = [
        name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING
    ]
    faults = [f"`{name}` is missing" for name in required if where.get(name) in (None, "")]
    values: dict[str, Any] = {}
    for key, value in where.items():
        if key == "kind":
            continue
        if key not in known:
            near = get_close_matches(key, known, 1)
            faults.append(f"`{key}` is no setting" + (f"; did you mean `{near[0]}`?" if near else ""))
            continue
        if key in readers:
            values[key], wrong = readers[key](value)
            faults += wrong
            continue
        expected, words = GIVEN_AS[get_origin(hints[key]) or hints[key]]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            faults.append(f"`{key}` is {value!r}, expected {words}")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    if faults:
        raise StepError(f"serving target {kind}: {'; '.join(faults)}")
    return settings(**values)

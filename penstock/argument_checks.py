"""Checks a run's arguments against the IR before anything is sent: backends let much through, or half run."""

import json
import math
from collections.abc import Mapping
from typing import Any

from penstock.errors import UserError
from penstock.nearest import did_you_mean

LARGEST = 100_000  # bytes: a step gets its parameters in one argument, of which Linux takes 131,072
EXPECTED = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}


def check_arguments(ir: Mapping[str, Any], arguments: Mapping[str, Any], pipeline: str) -> None:
    """Refuse arguments that the pipeline does not take, or that are not of the declared type.

    No type is converted: '3' is no whole number, and 1 not true.

    Raises:
        UserError: A parameter is unknown, missing or of another type; all faults at once.
    """
    declared = ir["root"].get("inputDefinitions", {}).get("parameters", {})
    faults = [
        f"{name!r} is no parameter of it{did_you_mean(name, declared)}"
        for name in sorted(set(arguments) - set(declared))
    ]
    for name, spec in sorted(declared.items()):
        if name not in arguments:
            if "defaultValue" not in spec and not spec.get("isOptional"):
                faults.append(f"{name!r} has no value: give it in app.yaml or with --set")
        elif not _fits(arguments[name], spec["parameterType"]):
            expected = EXPECTED.get(spec["parameterType"], spec["parameterType"])
            faults.append(f"{name!r} is {_shown(arguments[name])}, expected {expected}")
    if faults:
        raise UserError(f"the pipeline {pipeline!r} cannot be given these arguments: {'; '.join(faults)}")
    size = len(json.dumps(dict(arguments)).encode())
    if size > LARGEST:
        largest = max(arguments, key=lambda name: len(json.dumps(arguments[name])))
        raise UserError(
            f"the arguments of {pipeline!r} are {size:,} bytes long, more than the {LARGEST:,} that fit: "
            f"shorten {largest!r}, or put it into a file of the app"
        )


def _fits(value: Any, kind: str) -> bool:
    """Tell whether a value is of a parameter type of the IR, and JSON can carry it."""
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind == "NUMBER_INTEGER":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "NUMBER_DOUBLE":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "STRING":
        return isinstance(value, str)
    types = {"LIST": list, "STRUCT": dict}
    if kind not in types or not isinstance(value, types[kind]):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"

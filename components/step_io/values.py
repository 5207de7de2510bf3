"""Parameter values as backends deliver them, turned back into the types that a step declares."""

import json
import math
from typing import Any


def coerce(name: str, value: Any, declared: type) -> Any:
    """Return `value` as `declared` (str, int, float, bool, list or dict).

    Backends lose number types on the way: 1.0 arrives as 1 on KFP, 1 inside a dict as 1.0 locally,
    3 as 3.0 on Vertex. Whole numbers inside lists and dicts become int, so that a step sees the
    same value everywhere.

    Raises:
        TypeError: The value cannot be read as the declared type.
    """
    if declared in (list, dict):
        if isinstance(value, str):
            value = json.loads(value)
        value = _whole_numbers_as_int(value)
    elif declared is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    elif declared is bool and value in (0, 1):
        value = bool(value)
    elif declared is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif declared is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, declared) or (declared is int and isinstance(value, bool)):
        raise TypeError(f"parameter {name!r} is {value!r}, expected {declared.__name__}")
    return value


def _whole_numbers_as_int(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers_as_int(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_numbers_as_int(item) for key, item in value.items()}
    return value


def storable_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata without what the KFP launcher fails on: null, NaN and infinity."""
    return {
        key: value
        for key, value in metadata.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }

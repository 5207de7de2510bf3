"""What the sections of the project's YAML files are made of: typed values with clear errors."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from penstock.app_dates import check_duration, to_time_us
from penstock.components.source_files.durations import is_duration

Share = Annotated[float, Field(ge=0, le=1)]


def _check_time(value: object) -> object:
    """Let ISO 8601 text through; '' is an open end."""
    if isinstance(value, str) and value:
        try:
            to_time_us(value)
        except ValueError:
            raise PydanticCustomError(
                "iso_time", "expected a date or time in ISO 8601, such as 2015-01-01 or 2015-01-01T06:00:00Z"
            ) from None
    return value


def _check_start(value: object) -> object:
    """Let ISO 8601 text through, also a duration; '' is an open end."""
    if not isinstance(value, str) or not is_duration(value):
        return _check_time(value)
    try:
        check_duration(value)
    except ValueError:
        raise PydanticCustomError(
            "iso_duration", "expected a duration in ISO 8601, such as P365D, P1Y, P2W or PT6H"
        ) from None
    return value


def _check_slice(value: object) -> object:
    """Let a column or a list of columns through (a cross)."""
    if isinstance(value, list) and value and all(isinstance(column, str) for column in value):
        if len(set(value)) < len(value):
            raise PydanticCustomError("slice_twice", "expected each column of a cross once")
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("slice", "expected a column, or a list of columns for a cross")
    return value


Time = Annotated[str, BeforeValidator(_check_time)]
Start = Annotated[str, BeforeValidator(_check_start)]
Slice = Annotated[Any, BeforeValidator(_check_slice)]
Column = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


class Section(BaseModel):
    """What all sections share: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

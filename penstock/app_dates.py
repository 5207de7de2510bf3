"""Windows as app.yaml and schedules write them, by the rules of the steps that read them."""

import datetime

from penstock.components.source_files.durations import before, is_duration
from penstock.components.source_files.selection import parse_bound, to_us
from penstock.components.step_io.errors import StepError


def to_time_us(text: str) -> int:
    """Return a date or time in ISO 8601 as microseconds since 1970; without an offset it is UTC.

    Raises:
        ValueError: The text is no ISO 8601.
    """
    try:
        found = parse_bound("", text)
    except StepError as error:
        raise ValueError(str(error)) from None
    if found is None:
        raise ValueError("empty")
    return found


def check_duration(text: str) -> None:
    """Check an ISO 8601 duration.

    Raises:
        ValueError: It is none, or no time at all.
    """
    before(text, datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC))


def start_us(since: str, until_us: int) -> int:
    """Return a window's start in microseconds since 1970, a time or a duration before its end.

    Raises:
        ValueError: It is neither.
    """
    if not is_duration(since):
        return to_time_us(since)
    return to_us(before(since, datetime.datetime.fromtimestamp(until_us / 1e6, datetime.UTC)))

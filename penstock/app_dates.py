"""Windows as app.yaml and schedules write them, by the rules of the steps that read them."""

import datetime

from penstock.components.source_files.durations import before
from penstock.components.source_files.selection import parse_bound, parse_window
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


def is_empty_window(since: str, until: str) -> bool:
    """Tell whether a window ends before it begins; one that is open, or cannot be read, does not."""
    try:
        start, end = parse_window(since, until)
    except StepError:
        return False
    return start is not None and end is not None and start >= end

"""ISO 8601 durations, such as P30D: how long before its end a window begins."""

import calendar
import datetime
import re

PARTS = re.compile(
    r"P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
EXAMPLES = "such as P365D, P1Y, P2W or PT6H"


def is_duration(text: str) -> bool:
    """Return whether a text begins as a duration does; no date or time does."""
    return text.startswith("P")


def before(text: str, end: datetime.datetime) -> datetime.datetime:
    """Return the moment that lies a duration before `end`.

    Years and months go by the calendar, in `end`'s own zone: a month before 31 March is the last of February.

    Raises:
        ValueError: The text is no duration longer than nothing, or leads before the year 1.
    """
    match = PARTS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ISO 8601 duration, {EXAMPLES}")
    part = {name: int(digits or 0) for name, digits in match.groupdict().items()}
    if not any(part.values()):
        raise ValueError(f"{text!r} is no time at all, expected a duration {EXAMPLES}")
    try:
        years, month = divmod(end.year * 12 + end.month - 1 - part.pop("years") * 12 - part.pop("months"), 12)
        day = min(end.day, calendar.monthrange(years, month + 1)[1]) if years >= 1 else 0
        return end.replace(year=years, month=month + 1, day=day) - datetime.timedelta(**part)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} leads before the year 1") from None

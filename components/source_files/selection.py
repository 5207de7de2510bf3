"""What is read of a source: its format, the query over it and the window of event time."""

import datetime
import re
from dataclasses import dataclass

from penstock.components.source_files.durations import before, is_duration
from penstock.components.step_io.errors import StepError

FORMATS = ("auto", "csv", "jsonl", "parquet")
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True)
class Selection:
    """A checked selection; `since_us` and `until_us` are microseconds since 1970 in UTC, None is open."""

    format: str = "auto"
    query: str = ""
    event_time: str = ""
    unit: str = "s"
    since_us: int | None = None
    until_us: int | None = None

    @property
    def has_window(self) -> bool:
        """Whether the event time is bounded on a side."""
        return self.since_us is not None or self.until_us is not None

    def window(self) -> str:
        """Return the window in words."""
        since = "the beginning" if self.since_us is None else to_iso(self.since_us)
        until = "the end" if self.until_us is None else to_iso(self.until_us)
        return f"from {since} until {until}"


def make_selection(
    format: str, query: str, event_time: str, event_time_unit: str, since: str, until: str
) -> Selection:
    """Check the settings of a selection, as steps get them.

    Raises:
        StepError: An unknown format or unit, a bound that is no time, a duration without an end, an empty
            window, a window without an event time.
    """
    if format not in FORMATS:
        raise StepError(f"format is {format!r}: expected one of {', '.join(FORMATS)}")
    if event_time_unit not in UNITS_PER_SECOND:
        raise StepError(
            f"event_time_unit is {event_time_unit!r}: expected one of {', '.join(UNITS_PER_SECOND)}"
        )
    bounds = {"since": since.strip(), "until": until.strip()}
    for name, text in bounds.items():
        if text and not event_time:
            raise StepError(
                f"{name} is {text!r} but event_time is empty: name the column with the event time"
            )
    start, end = parse_window(bounds["since"], bounds["until"])
    if start is not None and end is not None and start >= end:
        raise StepError(f"since ({since}) is not before until ({until}): the window holds no time at all")
    query = query.strip().rstrip(";").rstrip()
    return Selection(format, query, event_time, event_time_unit, start, end)


def parse_window(since: str, until: str) -> tuple[int | None, int | None]:
    """Return both bounds as microseconds since 1970, None where the window is open.

    `since` may be an ISO 8601 duration: that long before `until`.

    Raises:
        StepError: A bound is no time, or `since` is a duration and `until` is empty.
    """
    end = parse_bound("until", until)
    if not is_duration(since):
        return parse_bound("since", since), end
    if end is None:
        raise StepError(
            f"since is {since!r}, a duration before until, but until is empty: set until, "
            "or write since as a date or time"
        )
    try:
        return to_us(before(since, EPOCH + end * MICROSECOND)), end
    except ValueError as error:
        raise StepError(f"since: {error}") from None


def parse_bound(name: str, text: str) -> int | None:
    """Return a bound as microseconds since 1970; None for an empty text.

    A date or time in ISO 8601, without a zone in UTC, or @ and seconds since 1970 (a schedule's time on KFP).
    """
    if not text:
        return None
    if re.fullmatch(r"@[0-9]{1,11}", text):
        return int(text[1:]) * 1_000_000
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise StepError(
            f"{name} is {text!r}, which is no ISO 8601 date or time: "
            "write for instance 2015-01-31 or 2015-01-31T06:00:00Z"
        ) from None
    return to_us(moment)


def fixed(text: str, us: int | None) -> str:
    """Return a bound that means the same without the other one and on every day: ISO 8601, or empty.

    A date or time stays as it was written.
    """
    moves = is_duration(text.strip()) or text.strip().startswith("@")
    return to_iso(us) if moves and us is not None else text.strip()


def to_us(moment: datetime.datetime) -> int:
    """Return microseconds since 1970; a time without a zone is in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - EPOCH) // MICROSECOND


def to_iso(us: int) -> str:
    """Return ISO 8601 in UTC, with a fraction only where there is one."""
    try:
        moment = EPOCH + us * MICROSECOND
    except OverflowError:
        return f"{us / 1e6:.0f} s since 1970"
    return moment.replace(tzinfo=None).isoformat() + "Z"

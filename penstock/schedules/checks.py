"""What can be wrong with a schedule of an environment file, by key."""

import datetime
import re
from collections.abc import Iterator

from penstock.app_dates import check_duration
from penstock.environment_models import Environment, Schedule
from penstock.schedules.cron import parse_cron
from penstock.schedules.zones import find_zone, translate

WINDOW = ("since", "until")
# KFP puts a schedule's time in place of these in pipelines of its first version only, nowhere else.
MACRO = re.compile(r"\[\[(RunUUID|ScheduledTime|CurrentTime|Index)\b.*?\]\]|\{\{.*?\}\}")

Found = tuple[tuple[str, ...], str]  # key and sentence


def schedule_faults(schedule: Schedule, environment: Environment) -> Iterator[Found]:
    """Yield the faults of a schedule whose types are right."""
    try:
        zone = find_zone(schedule.time_zone)
    except ValueError as error:
        yield ("time_zone",), str(error)
        zone = None
    try:
        line = parse_cron(schedule.cron)
    except ValueError as error:
        yield ("cron",), str(error)
        line = None
    if line and zone and environment.backend == "kfp":
        try:
            translate(
                line, schedule.time_zone, environment.cron_time_zone, datetime.datetime.now(datetime.UTC)
            )
        except ValueError as error:
            yield ("time_zone",), str(error)
    yield from _times(schedule, zone)
    yield from _window(schedule)
    for name, value in schedule.parameters.items():
        if match := MACRO.search(str(value)):
            yield (
                ("parameters", name),
                f"nothing is put in place of {match[0]!r}: `window` makes since and until follow the schedule's time",
            )


def to_moment(text: str, zone: datetime.tzinfo | None) -> datetime.datetime:
    """Return a time of ISO 8601; one without an offset is in `zone`.

    Raises:
        ValueError: It is none.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no ISO 8601 date or time, such as 2026-01-31T06:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone or datetime.UTC)


def _times(schedule: Schedule, zone: datetime.tzinfo | None) -> Iterator[Found]:
    moments = {}
    for key in ("start", "end"):
        text = getattr(schedule, key)
        try:
            if text:
                moments[key] = to_moment(text, zone)
        except ValueError as error:
            yield (key,), str(error)
    if len(moments) == 2 and moments["start"] >= moments["end"]:
        yield ("end",), f"{schedule.end!r} is not after start {schedule.start!r}: nothing would ever fire"


def _window(schedule: Schedule) -> Iterator[Found]:
    if not schedule.window:
        return
    try:
        check_duration(schedule.window)
    except ValueError as error:
        yield ("window",), str(error)
    both = [name for name in WINDOW if name in schedule.parameters]
    if both:
        yield ("window",), f"it sets since and until, and so does `parameters` ({', '.join(both)}): keep one"

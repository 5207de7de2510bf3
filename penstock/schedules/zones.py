"""Time zones, and a cron line of one zone as a line of another.

KFP has one zone for all its cron lines: that of its schedule controller (CRON_SCHEDULE_TIMEZONE, else that of its
machine); 2.14 and 2.15 know no zone in the line itself. So a line is rewritten for that zone. Where this cannot be,
because the distance of the two zones changes with the time of year or because the date would change, it is refused:
nothing fires at another hour than its file says.
"""

import datetime
import zoneinfo
from dataclasses import replace

from penstock.nearest import did_you_mean
from penstock.schedules.cron import KINDS, Cron, Field, Kind, make_field

YEARS = 3  # for which two zones must keep their distance
MINUTE, HOUR, _, _, WEEKDAY = KINDS


def find_zone(name: str) -> datetime.tzinfo:
    """Return the zone of an IANA name; UTC is known everywhere.

    Raises:
        ValueError: There is none, or this machine knows no zones at all.
    """
    if name == "UTC":
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(
            f"{name!r} cannot be looked up, this machine has no time zones: install the package tzdata"
        )
    raise ValueError(f"{name!r} is no IANA time zone, such as America/Chicago{did_you_mean(name, known)}")


def translate(line: Cron, zone: str, into: str, now: datetime.datetime) -> Cron:
    """Return the line that fires in the zone `into` at the moments at which `line` fires in `zone`.

    Args:
        line: What was declared.
        zone: The zone it is meant in.
        into: The zone in which it will be read.
        now: From when on they must agree.

    Raises:
        ValueError: There is no such line.
    """
    if zone == into:
        return line
    distances = _distances(find_zone(zone), find_zone(into), now)
    if distances == {datetime.timedelta()}:
        return line
    if len(distances) > 1:
        raise ValueError(
            f"cron lines are read in {into} (`cron_time_zone`), and the distance of {zone} from it changes with the "
            f"time of year: run KFP's schedule controller with CRON_SCHEDULE_TIMEZONE={zone} and say so in "
            f"`cron_time_zone`, or declare the schedule in {into}"
        )
    minutes = round(distances.pop() / datetime.timedelta(minutes=1))
    return _shifted(line, minutes, zone, into)


def _distances(
    zone: datetime.tzinfo, into: datetime.tzinfo, now: datetime.datetime
) -> set[datetime.timedelta]:
    """Return how far the clocks of `into` are ahead of those of `zone`, at any hour of the coming years."""
    first = now.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    hours = (first + datetime.timedelta(hours=hour) for hour in range(YEARS * 366 * 24))
    return {_offset(hour, into) - _offset(hour, zone) for hour in hours}


def _offset(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.timedelta:
    return moment.astimezone(zone).utcoffset() or datetime.timedelta()


def _shifted(line: Cron, minutes: int, zone: str, into: str) -> Cron:
    times = {
        (hour, minute): divmod(hour * 60 + minute + minutes, 24 * 60)
        for hour in line.hour.values
        for minute in line.minute.values
    }
    days = {day for day, _ in times.values()}
    clock = {divmod(time, 60) for _, time in times.values()}
    hours, minute_values = ({part[index] for part in clock} for index in (0, 1))
    every_day = all(field.text == "*" for field in (line.day, line.month, line.weekday))
    every_date = all(field.text == "*" for field in (line.day, line.month))
    whole = clock == {(hour, minute) for hour in hours for minute in minute_values}
    if not whole or not (days == {0} or every_day or (every_date and len(days) == 1)):
        raise ValueError(
            f"cron lines are read in {into} (`cron_time_zone`), and no line there fires when {line.text!r} does in "
            f"{zone}: declare the schedule in {into}"
        )
    moved = replace(
        line, minute=_as_before(line.minute, minute_values, MINUTE), hour=_as_before(line.hour, hours, HOUR)
    )
    if days == {0} or every_day:
        return moved
    shift = days.pop()
    weekdays = frozenset((weekday + shift) % 7 for weekday in line.weekday.values)
    return replace(moved, weekday=make_field(weekdays, WEEKDAY))


def _as_before(field: Field, values: set[int], kind: Kind) -> Field:
    return field if field.values == values else make_field(frozenset(values), kind)

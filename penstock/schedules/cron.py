"""Cron lines: read from five fields, written for KFP (six fields) and Vertex AI (five, with a zone), and their firings.

    line = parse_cron("30 6 * * mon-fri")
    line.for_kfp()                       # "0 30 6 * * 1-5"
    line.for_vertex("America/Chicago")   # "TZ=America/Chicago 30 6 * * 1-5"
    line.after(moment, zone)             # the next firing

Names, the 7 for Sunday and `5/15` are written out, since not every reader knows them. Where both days are
restricted, either fires (`0 6 1 * mon`: the first of each month, and each Monday); this is how KFP's and most other
crons read it. A field that begins with a star counts as unrestricted, `*/2` too: then both must agree.
By local time, as KFP does it: a time that a change of the clocks leaves out does not fire, one that comes twice
fires twice.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAMES = {"month": ("", *MONTHS), "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat")}
ELEMENT = re.compile(r"(?P<first>\*|[0-9]+|[a-z]+)(?:-(?P<last>[0-9]+|[a-z]+))?(?:/(?P<step>[0-9]+))?")
FOREIGN = re.compile(r"[?#lw]", re.IGNORECASE)  # of Quartz and others
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
SOUGHT_DAYS = 5 * 366  # KFP looks no further for a firing
DAY = datetime.timedelta(days=1)


class Kind(NamedTuple):
    """A field: its name, and the numbers that it takes."""

    name: str
    low: int
    high: int


KINDS = (
    Kind("minute", 0, 59),
    Kind("hour", 0, 23),
    Kind("day of month", 1, 31),
    Kind("month", 1, 12),
    Kind("day of week", 0, 6),
)


@dataclass(frozen=True)
class Field:
    """One field: how it is written, the numbers it stands for, and whether it begins with a star."""

    text: str
    values: frozenset[int]
    is_free: bool


@dataclass(frozen=True)
class Cron:
    """A line of five fields."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        """The five fields, in numbers."""
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    def for_kfp(self) -> str:
        """Return six fields, seconds first; KFP takes no zone here."""
        return f"0 {self.text}"

    def for_vertex(self, zone: str) -> str:
        """Return five fields after the zone that they are meant in."""
        return f"TZ={zone} {self.text}"

    def is_on(self, date: datetime.date) -> bool:
        """Tell whether it fires on a day, at some time of it."""
        if date.month not in self.month.values:
            return False
        of_month, of_week = date.day in self.day.values, date.isoweekday() % 7 in self.weekday.values
        return of_month and of_week if self.day.is_free or self.weekday.is_free else of_month or of_week

    def firings_of(self, date: datetime.date, zone: datetime.tzinfo) -> list[datetime.datetime]:
        """Return the firings of a local day, in UTC and in order."""
        if not self.is_on(date):
            return []
        found = set()
        for hour in self.hour.values:
            for minute in self.minute.values:
                naive = datetime.datetime(date.year, date.month, date.day, hour, minute)
                for fold in (0, 1):
                    moment = naive.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC)
                    if moment.astimezone(zone).replace(tzinfo=None) == naive:
                        found.add(moment)
        return sorted(found)

    def after(self, moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime | None:
        """Return the first firing after a moment, in UTC; None when there is none in five years."""
        for day in _days(moment.astimezone(zone).date(), DAY):
            for firing in self.firings_of(day, zone):
                if firing > moment:
                    return firing
        return None

    def before(self, moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime | None:
        """Return the last firing at or before a moment, in UTC; None when there was none in five years."""
        for day in _days(moment.astimezone(zone).date(), -DAY):
            for firing in reversed(self.firings_of(day, zone)):
                if firing <= moment:
                    return firing
        return None


def parse_cron(text: str) -> Cron:
    """Return the line that five fields stand for.

    Raises:
        ValueError: They are no such line; the sentence says which field, and what to write instead.
    """
    words = text.split()
    if words and words[0].startswith("@"):
        known = MACROS.get(words[0].lower())
        raise ValueError(
            f"{text!r} is no cron line, expected five fields"
            + (f": write {known!r}" if known else " such as '0 6 * * mon'")
        )
    if words and words[0].upper().startswith(("TZ=", "CRON_TZ=")):
        raise ValueError(f"{text!r} holds a zone: put it under `time_zone`, and five fields here")
    if len(words) == 6:
        raise ValueError(
            f"{text!r} has six fields, expected five (minute, hour, day of month, month, day of week): "
            "there are no seconds"
        )
    if len(words) != 5:
        raise ValueError(
            f"{text!r} has {len(words)} fields, expected five: minute, hour, day of month, month, day of week"
        )
    line = Cron(*(_field(word, kind) for word, kind in zip(words, KINDS, strict=True)))
    if line.after(datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC), datetime.UTC) is None:
        raise ValueError(f"{text!r} never fires: no month of it has such a day")
    return line


def make_field(values: frozenset[int], kind: Kind, is_free: bool = False) -> Field:
    """Return a field for numbers: a star for all of them, else a list."""
    every = set(range(kind.low, kind.high + 1))
    return (
        Field("*", frozenset(every), True)
        if values == every
        else Field(",".join(map(str, sorted(values))), values, is_free)
    )


def _field(word: str, kind: Kind) -> Field:
    values: set[int] = set()
    texts = []
    for element in word.lower().split(","):
        text, numbers = _element(element, kind)
        texts.append(text)
        values |= numbers
    if kind.name == "day of week" and 7 in values:
        return make_field(frozenset(value % 7 for value in values), kind)
    return Field(",".join(texts), frozenset(values), any(text.startswith("*") for text in texts))


def _element(element: str, kind: Kind) -> tuple[str, set[int]]:
    """Return an element of a field's list in numbers, and what it stands for; Sunday may still be 7."""
    match = ELEMENT.fullmatch(element)
    if match is None or (match["first"] == "*" and match["last"]):
        why = "is a word of other crons" if FOREIGN.search(element) else "cannot be read"
        raise ValueError(
            f"{element!r} {why} as {kind.name}: expected a number, a range 1-5, a list 1,3 or a step */2"
        )
    high = 7 if kind.name == "day of week" else kind.high
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"{element!r} steps by 0 as {kind.name}: expected 1 or more")
    if match["first"] == "*":
        return element, set(range(kind.low, kind.high + 1, step))
    first = _number(match["first"], element, kind, high)
    if match["last"]:
        last = _number(match["last"], element, kind, high)
        if last == 0 and kind.name == "day of week" and first > 0:
            last = 7  # mon-sun
    else:
        last = kind.high if match["step"] else first
    if first > last:
        raise ValueError(
            f"{element!r} runs backwards as {kind.name}: write two ranges, such as {first}-{kind.high},"
            f"{kind.low}-{last}"
        )
    text = str(first) if first == last else f"{first}-{last}"
    return (f"{text}/{step}" if match["step"] else text), set(range(first, last + 1, step))


def _number(word: str, element: str, kind: Kind, high: int) -> int:
    if word.isdecimal():
        if kind.low <= int(word) <= high:
            return int(word)
        raise ValueError(f"{element!r} is out of range as {kind.name}: expected {kind.low} to {high}")
    names = NAMES.get(kind.name, ())
    if word and word in names:
        return names.index(word)
    known = f": expected {', '.join(name for name in names if name)} or a number" if names else ""
    raise ValueError(f"{word!r} is no {kind.name}{known or ': expected a number'}")


def _days(first: datetime.date, step: datetime.timedelta) -> Iterator[datetime.date]:
    """Yield days, from one day against the direction on: zones are up to a day apart from each other."""
    day = first - step
    for _ in range(SOUGHT_DAYS):
        yield day
        day += step

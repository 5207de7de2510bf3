"""Guesses what a column is from its name; only ever a hint, beside what its values say."""

import re

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
CODES = frozenset(
    [
        "area",
        "block",
        "branch",
        "category",
        "channel",
        "class",
        "code",
        "cluster",
        "color",
        "country",
        "day",
        "department",
        "district",
        "dow",
        "grade",
        "group",
        "hour",
        "id",
        "kind",
        "level",
        "line",
        "machine",
        "month",
        "plan",
        "port",
        "quarter",
        "rank",
        "region",
        "route",
        "rule",
        "season",
        "section",
        "sector",
        "segment",
        "series",
        "shop",
        "site",
        "state",
        "status",
        "store",
        "team",
        "tier",
        "tract",
        "type",
        "version",
        "ward",
        "weekday",
        "zip",
        "zone",
    ]
)
QUANTITIES = frozenset(
    [
        "age",
        "amount",
        "average",
        "avg",
        "balance",
        "bill",
        "charge",
        "charges",
        "children",
        "cost",
        "count",
        "distance",
        "duration",
        "fare",
        "height",
        "income",
        "length",
        "mean",
        "miles",
        "minutes",
        "month",
        "months",
        "num",
        "number",
        "of",
        "price",
        "qty",
        "quantity",
        "rate",
        "ratio",
        "score",
        "seconds",
        "size",
        "sum",
        "tenure",
        "times",
        "total",
        "value",
        "weight",
        "years",
    ]
) - {"month"}
TIMES = frozenset(["time", "timestamp", "ts", "date", "datetime", "created", "updated", "at"])


def words_of(name: str) -> set[str]:
    """Return the words of a column's name: pickup_area and pickupArea are pickup, area."""
    return {word.lower() for word in WORDS.findall(name)}


def is_code(name: str) -> bool:
    """Tell whether a number of this name is likely a name itself, as that of an area."""
    words = words_of(name)
    return bool(words & CODES) and not words & QUANTITIES


def is_quantity(name: str) -> bool:
    """Tell whether a number of this name likely counts or measures something."""
    return bool(words_of(name) & QUANTITIES)


def is_time(name: str) -> bool:
    """Tell whether a number of this name is likely a point in time."""
    return bool(words_of(name) & TIMES)

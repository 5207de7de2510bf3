"""Charts of one column: its distribution small and large, its most frequent values."""

import itertools
import math

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number
from penstock.components.html_report.page import Html, escape
from penstock.components.tfdv_library.summary import LARGE_TEXT, Feature

RARE = 5  # a value of fewer rows is not named
BINS = 20
SPARK_BINS = 16
TOP = 12
MOST_BARS = 24  # different numbers drawn one by one


def top_values(feature: Feature, most: int) -> list[tuple[str, float]]:
    """Return the most frequent values with their share of the rows that have one; rare ones are left out."""
    named = [(shown(value), count) for value, count in feature.top if count >= RARE]
    return [(value, count / feature.present) for value, count in named[:most]]


def shown(value: str) -> str:
    """Return a value as it stands on a page."""
    if value == LARGE_TEXT:
        return "(text of more than 1 kB)"
    if not value.strip():
        return "(empty)"
    return value if len(value) <= 40 else value[:39] + "…"


def column_name(name: str) -> Html:
    """Return a column's name that breaks between its words where the table is narrow."""
    return Html(escape(name).replace("_", "_<wbr>"))


def spark(feature: Feature) -> Html:
    """Draw a column's distribution for a table cell, as one small path."""
    if feature.is_text:
        values = [part for _, part in top_values(feature, SPARK_BINS)]
        what = f"shares of the {len(values)} most frequent values"
    elif 1 < len(feature.counts) <= MOST_BARS:  # few numbers: one bar each, in their own order
        values = [feature.counts[value] for value in sorted(feature.counts, key=float)]
        what = f"rows of each of {len(values)} values"
    else:
        edges, values = bins(feature, SPARK_BINS)
        what = f"from {number(edges[0])} to {number(edges[-1])}" if edges else "no values"
    return Html(charts.spark_bars(values, what, SPARK_BINS))


def bins(feature: Feature, count: int) -> tuple[list[float], list[float]]:
    """Return edges of equal width from the 1st to the 99th percentile, and the rows between them.

    What lies outside is added to the first and to the last bin, so that the sum is all finite values.
    """
    found = feature.distribution
    if found is None:
        return [], []
    low, high = found.quantile(0.01), found.quantile(0.99)
    if low >= high:
        low, high = found.edges[0], found.edges[-1]
    if low >= high:
        pad = abs(low) * 0.05 or 0.5
        return [low - pad, low + pad], [float(feature.finite)]
    width = (high - low) / count
    if not math.isfinite(width) or width <= 0:
        return [], []
    edges = [low + i * width for i in range(count)] + [high]
    upto = [0.0, *(found.at(edge) for edge in edges[1:-1]), 1.0]
    return edges, [max(b - a, 0.0) * feature.finite for a, b in itertools.pairwise(upto)]


def histogram(feature: Feature) -> str:
    """Draw a number column."""
    edges, counts = bins(feature, BINS)
    return charts.histogram(edges, [round(count) for count in counts], feature.name, feature.name)


def bar_chart(feature: Feature) -> str:
    """Draw the most frequent values of a column; rare values and what is left are 'other'."""
    named = [(shown(value), count) for value, count in feature.top if count >= RARE][:TOP]
    if not feature.is_text and len(feature.counts) <= MOST_BARS:  # few numbers: in their own order
        common = {value: count for value, count in feature.top if count >= RARE}
        named = [(value, common[value]) for value in sorted(common, key=float)]
    other = (feature.present if feature.is_text else feature.finite) - sum(count for _, count in named)
    if other > 0:
        named.append(("other", other))
    return charts.bars(
        [value for value, _ in named], [count for _, count in named], feature.name, unit="rows"
    )

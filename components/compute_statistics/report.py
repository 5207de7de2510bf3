"""The statistics page: what is in the data, a line for each column, details of the first ones, slices.

One file of well under 1 MB up to 1,000 columns. Values of fewer than RARE rows are never named.
"""

from collections.abc import Sequence
from pathlib import Path

from penstock.components.compute_statistics.drawings import (
    MOST_BARS,
    bar_chart,
    column_name,
    histogram,
    spark,
    top_values,
)
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Column, Html, Page, badge, escape
from penstock.components.tfdv_library.summary import Dataset, Feature

MOST_LISTED = 1_000  # columns in the tables
MOST_DETAILED = 50  # columns with a chart of their own
MOST_SLICES = 12  # slices of a column compared beside each other
MOST_COMPARED = 40  # columns compared by slice

Row = list[str | int | float | None]


def write_report(datasets: Sequence[Dataset], path: Path) -> None:
    """Write the page of a dataset and its slices."""
    everything, slices = datasets[0], datasets[1:]
    features = list(everything.features.values())
    remarks = _remarks(features)
    page = Page("Data statistics", f"{everything.rows:,} rows, {len(features):,} columns")
    page.verdict("info", _headline(everything, remarks))
    page.facts(_facts(everything, slices))
    if remarks:
        page.heading("Worth a look")
        page.list([sentence for _, sentence in remarks[:12]])
        if len(remarks) > 12:
            page.note(f"and {len(remarks) - 12} more columns: see the tables")
    shown = features[:MOST_LISTED]
    _numbers(page, [feature for feature in shown if not feature.is_text and not feature.is_bool])
    _texts(page, [feature for feature in shown if feature.is_text])
    _booleans(page, [feature for feature in shown if feature.is_bool])
    if len(features) > MOST_LISTED:
        page.note(f"The first {MOST_LISTED:,} of {len(features):,} columns; statistics.pb holds all of them.")
    _by_slice(page, everything, slices)
    _details(page, features)
    page.note(
        "Each row was counted once. Values of fewer than 5 rows are shown as “other”. Medians and "
        "distributions are exact to 0.5 % of the rows; the number of distinct values is exact up to 16,384."
    )
    page.write(path)


def _headline(everything: Dataset, remarks: Sequence[tuple[str, str]]) -> str:
    features = everything.features.values()
    if not everything.rows:
        return "the data have no rows"
    whole = sum(1 for feature in features if not feature.missing)
    text = f"{whole:,} of {len(features):,} columns have a value in every row"
    return f"{text}; {len(remarks)} are worth a look" if remarks else text


def _facts(everything: Dataset, slices: Sequence[Dataset]) -> dict[str, str]:
    features = everything.features.values()
    texts = sum(feature.is_text for feature in features)
    booleans = sum(feature.is_bool for feature in features)
    cells = everything.rows * len(features)
    facts = {
        "Rows": f"{everything.rows:,}",
        "Number columns": f"{len(features) - texts - booleans:,}",
        "Text columns": f"{texts:,}",
        "Yes/no columns": f"{booleans:,}",
        "Cells missing": share(sum(feature.missing for feature in features) / cells if cells else 0.0),
    }
    if slices:
        facts["Slices"] = f"{len(slices):,}"
    return facts


def _remarks(features: Sequence[Feature]) -> list[tuple[str, str]]:
    """Return what a person should know of some columns, one sentence each, the worst first."""
    found: list[tuple[int, str, str]] = []
    for feature in features:
        name = feature.name
        if not feature.rows:
            continue
        if not feature.present:
            found.append((0, name, f"{name} holds no value at all"))
        elif feature.nan or feature.infinite:
            found.append(
                (1, name, f"{name} holds {feature.nan:,} NaN and {feature.infinite:,} infinite values")
            )
        elif feature.missing_share > 0.99:
            rows = f"{feature.present:,} of {feature.rows:,} rows"
            found.append((2, name, f"{name} has a value in {rows} only"))
        elif feature.missing_share > 0.5:
            found.append((2, name, f"{name} is missing in {share(feature.missing_share)} of the rows"))
        elif feature.unique == 1:
            found.append((3, name, f"{name} has the same value in every row that has one"))
        elif feature.is_text and feature.unique > 1_000:
            found.append(
                (4, name, f"{name} has {feature.unique:,} different texts: free text or an identifier")
            )
    return [(name, sentence) for _, name, sentence in sorted(found, key=lambda one: one[0])]


def _missing(feature: Feature) -> Html:
    text = share(feature.missing_share)
    return badge("warn", text) if feature.missing_share > 0.5 else escape(text)


def _numbers(page: Page, features: Sequence[Feature]) -> None:
    if not features:
        return
    page.heading("Numbers")
    titles = ["Missing", "Unique", "Zeros", "Min", "Mean", "Median", "Max", "Std"]
    columns = [Column("Column"), Column("Distribution"), *(Column(title, numeric=True) for title in titles)]
    rows: list[Row] = [
        [
            column_name(feature.name),
            spark(feature),
            _missing(feature),
            feature.unique,
            share(feature.zeros / feature.present if feature.present else None),
            feature.minimum,
            feature.mean,
            feature.median,
            feature.maximum,
            feature.deviation,
        ]
        for feature in features
    ]
    page.table(columns, rows, caption="Number columns, from their 1st to their 99th percentile")


def _texts(page: Page, features: Sequence[Feature]) -> None:
    if not features:
        return
    page.heading("Texts")
    columns = [
        Column("Column"),
        Column("By frequency"),
        Column("Missing", numeric=True),
        Column("Unique", numeric=True),
        Column("Bytes", numeric=True),
        Column("Most frequent values"),
    ]
    rows: list[Row] = [
        [
            column_name(feature.name),
            spark(feature),
            _missing(feature),
            feature.unique,
            feature.average_length if feature.present else None,
            ", ".join(f"{value} {share(part, 0)}" for value, part in top_values(feature, 3)),
        ]
        for feature in features
    ]
    page.table(columns, rows, caption="Text columns; bytes: average length")


def _booleans(page: Page, features: Sequence[Feature]) -> None:
    if not features:
        return
    page.heading("Yes and no")
    columns = [Column("Column"), Column("True", numeric=True), Column("Missing", numeric=True)]
    rows: list[Row] = [
        [column_name(feature.name), share(feature.mean if feature.present else None), _missing(feature)]
        for feature in features
    ]
    page.table(columns, rows, caption="Yes/no columns; true: share of the rows that have a value")


def _by_slice(page: Page, everything: Dataset, slices: Sequence[Dataset]) -> None:
    """Compare the slices of each column: rows, then the mean of numbers and the top value of texts."""
    groups: dict[str, list[Dataset]] = {}
    for found in slices:
        groups.setdefault(_column_of(found.name), []).append(found)
    for column, group in groups.items():
        page.heading(f"By {column}")
        ordered = sorted(group, key=lambda found: -found.rows)
        shown = [found for found in ordered if found.rows >= 5][:MOST_SLICES]
        names = [_value_of(found.name) for found in shown]
        head = [Column("Column"), *(Column(name, numeric=True) for name in names)]
        rows: list[Row] = [
            ["Rows", *(found.rows for found in shown)],
            ["Share of the rows", *(share(found.rows / everything.rows) for found in shown)],
        ]
        compared = [feature for feature in everything.features.values() if feature.name != column]
        for feature in compared[:MOST_COMPARED]:
            rows.append(
                [column_name(feature.name), *(_typical(found.features.get(feature.name)) for found in shown)]
            )
        page.table(head, rows, caption="Mean of numbers, share of true, most frequent text")
        if len(shown) < len(group):
            page.note(
                f"{len(shown)} of {len(group)} slices; the others are smaller or hold fewer than 5 rows"
            )


def _typical(feature: Feature | None) -> str | float | None:
    if feature is None or not feature.present:
        return None
    if feature.is_bool:
        return share(feature.mean)
    if not feature.is_text:
        return feature.mean
    top = top_values(feature, 1)
    return f"{top[0][0]} {share(top[0][1], 0)}" if top else None


def _details(page: Page, features: Sequence[Feature]) -> None:
    drawn = [feature for feature in features if feature.present and not feature.is_bool][:MOST_DETAILED]
    if not drawn:
        return
    left = len(features) - len(drawn)
    title = f"{len(drawn)} columns in detail" if left else f"All {len(drawn)} columns in detail"
    with page.details(title):
        for feature in drawn:
            listed = feature.is_text or 1 <= len(feature.counts) <= MOST_BARS
            page.figure(
                bar_chart(feature) if listed else histogram(feature),
                f"{number(feature.present)} values, {number(feature.unique)} different, "
                f"{share(feature.missing_share)} missing",
            )


def _column_of(slice_name: str) -> str:
    column = slice_name.removesuffix(" is missing") if "=" not in slice_name else slice_name.split("=", 1)[0]
    return column.replace("%3D", "=").replace("%25", "%")


def _value_of(slice_name: str) -> str:
    return slice_name.split("=", 1)[1] if "=" in slice_name else "(missing)"

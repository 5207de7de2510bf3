"""The explanation as a page for people: what matters, in which direction, where, and for single rows."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.explain_model import drawings
from penstock.components.explain_model.summary import Explained
from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Column, Html, Page, escape
from penstock.components.metric_words.estimates import estimate_text

MOST_DRAWN = 15
MOST_LISTED = 200
MOST_BY_VALUE = 6
SLICE_COLUMNS = 6
EXAMPLE_BARS = 8
WORDS = {
    "raises": "higher raises it",
    "lowers": "higher lowers it",
    "mixed": "no one direction",
    "constant": "–",
}
Content = Mapping[str, Any]


def write_report(summary: Content, explained: Explained, path: Path) -> None:
    """Write the page."""
    page = Page(
        "What moves the model",
        subtitle=f"label {summary['label']}: {summary['explained']}, {number(summary['rows'])} rows explained",
    )
    _head(page, summary)
    _overall(page, summary, explained)
    _values(page, summary)
    _classes(page, summary)
    _slices(page, summary)
    _examples(page, summary)
    _method(page, summary)
    page.write(path)


def _head(page: Page, summary: Content) -> None:
    first, *rest = summary["features"][:3]
    rest = [one for one in rest if one["mean_abs"]["value"]]
    if first["mean_abs"]["value"]:
        text = f"{first['name']} moves the {summary['explained']} most, by {_size(first)} in the mean"
        text += f"; then {' and '.join(one['name'] + ', by ' + _size(one) for one in rest)}." if rest else "."
    else:
        text = f"No input moves the {summary['explained']}: it is the same for all rows."
    page.verdict("info", text)
    few = sum(one["share"] >= 0.01 for one in summary["features"])
    page.facts(
        {
            "Baseline": summary["mean_baseline"],
            "Mean output of the explained rows": summary["mean_output"],
            "Rows explained": f"{number(summary['rows'])} of {number(summary['data_rows'])}",
            "Background rows": summary["background_rows"],
            "Inputs": len(summary["features"]),
            "Inputs with 1 % or more of all": few,
        }
    )
    page.text(
        "The baseline is the mean output for the background rows, which stand for an ordinary row. A row's "
        "attributions say by how much each input moved its output away from there: baseline and attributions "
        "add up to the output. They describe the model, not the world: what is moved together in the data is "
        "not told apart from cause and effect."
    )


def _size(one: Content) -> str:
    return number(one["mean_abs"]["value"], 3)


def _overall(page: Page, summary: Content, explained: Explained) -> None:
    drawn = summary["features"][:MOST_DRAWN]
    left = summary["features"][MOST_DRAWN:]
    page.heading("All rows")
    page.figure(
        charts.bars(
            [one["name"] for one in drawn],
            [one["mean_abs"]["value"] for one in drawn],
            "Mean absolute attribution",
            show=lambda value: number(value, 3),
        ),
        caption="By how much an input moves the output, up or down, in the mean over the explained rows."
        + (f" {len(left)} more inputs have {share(sum(o['share'] for o in left))} of all." if left else ""),
    )
    at = [explained.found.features.index(one["name"]) for one in drawn]
    names = [one["name"] for one in drawn]
    page.figure(
        drawings.beeswarm(
            names,
            [explained.values[:, i] for i in at],
            [explained.columns[name] for name in names],
            "Attributions of single rows",
            "attribution: lowers the output ← → raises it",
        ),
        caption=f"Each dot is a row (at most {drawings.DOTS}). Colours of one kind on one side: the input has a direction.",
    )
    one_target = len(summary["targets"]) == 1
    columns = [Column("Input"), Column("Mean absolute", numeric=True), Column("Share", numeric=True)]
    columns += [Column("Direction")] if one_target else []
    columns += [Column(title, numeric=True) for title in ("Mean", "Missing", "Sampling error")]
    rows: list[list[Any]] = []
    for one in summary["features"][:MOST_LISTED]:
        row = [one["name"], estimate_text(one["mean_abs"]), share(one["share"])]
        if one_target:
            row.append(_direction(one))
        row += [
            estimate_text(one["mean"], signed=True),
            share(one["missing"]),
            number(one["sampling_error"], 2),
        ]
        rows.append(row)
    level = share(summary["confidence"], 0 if summary["confidence"] * 100 % 1 < 1e-9 else 1)
    page.table(columns, rows, caption="All inputs")
    ranks = " ρ: rank correlation." if one_target else ""
    page.note(f"In brackets: {level} confidence intervals over the explained rows.{ranks}")
    if len(summary["features"]) > MOST_LISTED:
        page.note(f"{MOST_LISTED} of {len(summary['features'])} inputs; all are in explanation.json.")


def _direction(one: Content) -> Html:
    if one["direction"] is None:
        return Html("by value")
    word = WORDS[one["direction"]["word"]]
    rho = one["direction"]["spearman"]["value"]
    text = word if rho is None else f"{word} (ρ {rho:+.2f})"
    return Html(f'<span style="white-space:nowrap">{escape(text)}</span>')


def _values(page: Page, summary: Content) -> None:
    shown = [one for one in summary["features"][:MOST_BY_VALUE] if len(one["by_value"]) > 1]
    if not shown:
        return
    page.heading("By value")
    for one in shown:
        page.figure(
            charts.intervals(
                [
                    charts.Interval(
                        v["value"], v["mean"]["value"], v["mean"]["low"], v["mean"]["high"], v["rows"]
                    )
                    for v in one["by_value"]
                ],
                one["name"],
                "mean attribution (dashed: none)",
                reference=0.0,
            )
        )
    page.note("Values of fewer than 10 explained rows are left out.")


def _classes(page: Page, summary: Content) -> None:
    if not summary["classes"]:
        return
    page.heading("Classes")
    page.text("All other parts of this page explain the class that is predicted for a row.")
    rows = []
    for part in summary["classes"][:MOST_LISTED]:
        first = [f"{one['name']} ({number(one['mean_abs']['value'], 3)})" for one in part["features"][:4]]
        rows.append([part["class"], part["predicted_rows"], part["baseline"], ", ".join(first)])
    page.table(
        [
            Column("Class"),
            Column("Rows predicted", numeric=True),
            Column("Baseline", numeric=True),
            Column("What moves its probability most (mean absolute attribution, all explained rows)"),
        ],
        rows,
        caption="All classes",
    )


def _slices(page: Page, summary: Content) -> None:
    if not summary["slices"]:
        return
    page.heading("Slices")
    inputs = summary["features"][:SLICE_COLUMNS]
    parts = [part for part in summary["slices"] if part["features"]]
    few = len(summary["slices"]) - len(parts)
    page.text(
        "Mean absolute attributions of the inputs that matter most. Orange: the input matters more in the slice "
        "than for all rows; blue: less. ↑ and ↓: in the mean it raises or lowers the output in this slice, "
        "with its interval on one side of 0."
    )
    columns = [Column("Slice"), Column("Rows", numeric=True), Column("Mean output", numeric=True)]
    columns += [Column(one["name"], numeric=True) for one in inputs]
    whole = {one["name"]: one for one in summary["features"]}
    everything = ["All rows", summary["rows"], number(summary["mean_output"], 3)]
    everything += [_slice_cell(one, one["mean_abs"]["value"]) for one in inputs]
    for number_of, by in enumerate(dict.fromkeys(tuple(part["by"]) for part in parts)):
        inside = [part for part in parts if tuple(part["by"]) == by]
        rows = [
            [
                " × ".join(part["value"].values()),
                part["rows"],
                number(part["mean_output"], 3),
                *(
                    _slice_cell(part["features"][one["name"]], whole[one["name"]]["mean_abs"]["value"])
                    for one in inputs
                ),
            ]
            for part in inside[:MOST_LISTED]
        ]
        with page.details(f"{' × '.join(by)}: {len(inside)} slices", open_=number_of == 0):
            page.table(columns, [everything, *rows], caption=f"By {' × '.join(by)}")
    if few:
        page.note(f"{few} more slices have fewer than 10 explained rows; more `rows` would show them.")


def _slice_cell(one: Content, whole: float) -> Html:
    size, mean = one["mean_abs"]["value"], one["mean"]
    arrow, said = ("↑", "raises") if mean["low"] > 0 else ("↓", "lowers") if mean["high"] < 0 else ("", "")
    mark = f' <span role="img" aria-label="{said}">{arrow}</span>' if arrow else ""
    doubled = math.log2(max(size, 1e-300) / whole) if whole else 0.0
    return drawings.shaded(Html(f"{escape(number(size, 3))}{mark}"), doubled / 2)


def _examples(page: Page, summary: Content) -> None:
    if not summary["examples"]:
        return
    page.heading("Single rows")
    for part in summary["examples"]:
        first, rest = part["features"][:EXAMPLE_BARS], part["features"][EXAMPLE_BARS:]
        labels = [f"{one['name']} = {_value(one['value'])}" for one in first]
        values = [one["attribution"] for one in first]
        if rest:
            labels.append(f"{len(rest)} more inputs")
            values.append(sum(one["attribution"] for one in rest))
        what = f"probability of {part['class']}" if part["output"] == "probabilities" else part["output"]
        title = f"Row {part['row']}: {what} {number(part['value'])}"
        page.figure(
            drawings.signed_bars(labels, values, title),
            caption=f"From the baseline {number(part['baseline'])} to {number(part['value'])}.",
        )


def _value(value: Any) -> str:
    if value is None:
        return "(missing)"
    return value if isinstance(value, str) else number(value)


def _method(page: Page, summary: Content) -> None:
    with page.details("How this is computed"):
        page.text(
            f"{summary['method'].capitalize()}. From each of {number(summary['background_rows'])} background rows, "
            f"{number(2 * summary['pairs'])} walks lead to each explained row: one input after another takes "
            "over the row's value, and is given the change of the output at its step. The model was asked "
            f"for {number(summary['model_rows'])} rows. The sampling error says how much one row's attribution would "
            "change with other background rows (root mean square); more of them make it smaller. Greatest difference "
            "between an output and "
            f"its baseline with attributions: {summary['additivity_error']:.0e}. Seed {summary['seed']}."
        )

"""The explanation as a page for people: what matters, in which direction, where, and for single rows."""

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
MOST_SLICES = 120
SLICE_COLUMNS = 8
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
    text = f"{first['name']} moves the {summary['explained']} most: by {estimate_text(first['mean_abs'])} in the mean"
    if rest:
        text += "; then " + " and ".join(f"{one['name']} ({estimate_text(one['mean_abs'])})" for one in rest)
    page.verdict("info", text + ".")
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
    page.table(columns, rows, caption=f"In brackets: {level} confidence intervals over the explained rows.")
    if len(summary["features"]) > MOST_LISTED:
        page.note(f"{MOST_LISTED} of {len(summary['features'])} inputs; all are in explanation.json.")


def _direction(one: Content) -> str:
    if one["direction"] is None:
        return "by value, below" if one["by_value"] else "by value"
    word = WORDS[one["direction"]["word"]]
    rho = one["direction"]["spearman"]["value"]
    return word if rho is None else f"{word} (ρ = {rho:+.2f})"


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
        caption="All other parts of this page explain the class that is predicted for a row.",
    )


def _slices(page: Page, summary: Content) -> None:
    if not summary["slices"]:
        return
    page.heading("Slices")
    names = [one["name"] for one in summary["features"][:SLICE_COLUMNS]]
    parts = [part for part in summary["slices"] if part["features"]]
    few = len(summary["slices"]) - len(parts)
    top = max((part["features"][name]["mean_abs"]["value"] for part in parts for name in names), default=0.0)
    rows: list[list[Any]] = []
    for part in parts[:MOST_SLICES]:
        cells = []
        for name in names:
            one = part["features"][name]
            size, mean = one["mean_abs"]["value"], one["mean"]
            arrow = "↑" if mean["low"] > 0 else "↓" if mean["high"] < 0 else ""
            said = {"↑": "raises", "↓": "lowers", "": ""}[arrow]
            mark = f' <span aria-label="{said}">{arrow}</span>' if arrow else ""
            cells.append(
                drawings.shaded(Html(f"{escape(number(size, 3))}{mark}"), size / top if top else 0.0)
            )
        rows.append([part["name"], part["rows"], number(part["mean_output"], 3), *cells])
    page.table(
        [
            Column("Slice"),
            Column("Rows", numeric=True),
            Column("Mean output", numeric=True),
            *(Column(name, numeric=True) for name in names),
        ],
        rows,
        caption="Mean absolute attribution of the inputs that matter most, the darker the more. ↑ and ↓: in the mean "
        "the input raises or lowers the output in this slice, with its interval on one side of 0.",
    )
    if few:
        page.note(f"{few} more slices have fewer than 10 explained rows; more `rows` would show them.")
    if len(parts) > MOST_SLICES:
        page.note(f"{MOST_SLICES} of {len(parts)} slices; all, with intervals, are in explanation.json.")


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
        about = f"class {part['class']}, " if len(summary["targets"]) > 1 else ""
        title = f"Row {part['row']}: {about}{part['output'].removesuffix('ies') + 'y' if part['output'] == 'probabilities' else part['output']} {number(part['value'])}"
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
            f"for {number(summary['model_rows'])} rows. The sampling error is that of one row's attribution (root "
            "mean square); more background rows make it smaller. Greatest difference between an output and "
            f"its baseline with attributions: {summary['additivity_error']:.0e}. Seed {summary['seed']}."
        )

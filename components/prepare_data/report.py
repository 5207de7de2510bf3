"""The page that shows what cleaning dropped, how the label is spread and how large the splits are."""

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number
from penstock.components.html_report.numbers import share as percent
from penstock.components.html_report.page import Column, Html, Page, badge, escape
from penstock.components.prepare_data.preparation import QUANTILES, Prepared
from penstock.components.prepare_data.settings import SPLITS

MOST_CLASSES_DRAWN = 15


def make_page(prepared: Prepared) -> Page:
    """Return the page."""
    spec, counts, findings = prepared.spec, prepared.counts, prepared.findings
    page = Page(
        "Prepared data", f"label {spec.name} ({spec.task}), {number(counts.kept)} rows in three splits"
    )
    ready = f"{number(counts.kept)} of {number(counts.read)} rows are ready to train and to measure a model"
    page.verdict(findings.verdict, findings.reasons[0] if findings.reasons else ready)
    dropped = counts.dropped_by_rules(prepared.rules)
    page.facts(
        {
            "Rows read": counts.read,
            "Dropped by cleaning": dropped,
            "Label missing": counts.label_missing,
            **({"Event time missing": counts.time_missing} if counts.time_missing else {}),
            "Rows kept": counts.kept,
            **{name.capitalize(): counts.split_rows[name] for name in SPLITS},
            **({"Positive class": spec.positive} if spec.task == "binary" else {}),
        }
    )
    if len(findings.reasons) > 1:
        page.heading("Findings")
        page.table(
            ["Finding", "Level"],
            [[sentence, badge("block")] for sentence in findings.blocks]
            + [[sentence, badge("warn")] for sentence in findings.warnings],
        )
    if prepared.leaks:
        page.heading("Columns that may give the label away")
        page.table(["Column", "Level"], [[sentence, badge("warn")] for sentence in prepared.leaks])
        page.note(
            "Measured on the first 20,000 rows. It does not change the verdict: a column that is excluded is fine."
        )
    page.heading("Label")
    if spec.task == "regression":
        _numbers(page, prepared)
    else:
        _classes(page, prepared)
    page.heading("Splits")
    page.text(split_sentence(prepared))
    total = counts.kept or 1
    page.table(
        ["Split", Column("Rows", numeric=True), Column("Share", numeric=True)],
        [[name, counts.split_rows[name], percent(counts.split_rows[name] / total)] for name in SPLITS],
    )
    page.heading("Cleaning rules")
    _rules(page, prepared)
    return page


def split_sentence(prepared: Prepared) -> str:
    """Say how rows were divided."""
    split = prepared.split
    if split.by == "time":
        return (
            f"By time: the newest {percent(split.test)} test, the {percent(split.validation)} before them validate, "
            "the oldest train; rows of the same time stay together."
        )
    of = "the whole row" if not split.key else " and ".join(split.key)
    return (
        f"By a hash of {of}: equal keys are always in the same split, in every run. "
        f"Aimed at: {percent(split.test)} test, {percent(split.validation)} validation."
    )


def _classes(page: Page, prepared: Prepared) -> None:
    spec, counts = prepared.spec, prepared.counts
    totals = {c: sum(counts.split_classes[s].get(c, 0) for s in SPLITS) for c in spec.classes}
    order = sorted(spec.classes, key=lambda c: (-totals[c], c))
    shown = order[:MOST_CLASSES_DRAWN]
    for name in SPLITS:
        rows = counts.split_rows[name]
        if rows and shown:
            page.figure(
                charts.bars(
                    shown,
                    [counts.split_classes[name].get(c, 0) / rows for c in shown],
                    f"{name.capitalize()}: share of each class, {number(rows)} rows",
                    show=percent,
                )
            )
    columns: list[Column | str] = ["Class"]
    for name in SPLITS:
        columns += [Column(name.capitalize(), numeric=True), Column("Share", numeric=True)]
    table = []
    for c in order:
        line: list[str | int | float | None] = [c]
        for name in SPLITS:
            count, rows = counts.split_classes[name].get(c, 0), counts.split_rows[name]
            line += [count, percent(count / rows) if rows else "–"]
        table.append(line)
    if len(order) > MOST_CLASSES_DRAWN:
        with page.details(f"All {len(order)} classes"):
            page.table(columns, table, caption="Rows of each class by split")
    else:
        page.table(columns, table, caption="Rows of each class by split")


def _numbers(page: Page, prepared: Prepared) -> None:
    if prepared.histogram is not None:
        edges, bins = prepared.histogram
        for name in SPLITS:
            if prepared.counts.split_rows[name]:
                title = f"{name.capitalize()}, {number(prepared.counts.split_rows[name])} rows"
                page.figure(charts.histogram(edges, bins[name], title, prepared.spec.name))
    heads = ["Smallest", "25 %", "Median", "75 %", "Largest"]
    assert len(heads) == len(QUANTILES)
    page.table(
        ["Split", Column("Rows", numeric=True), *(Column(head, numeric=True) for head in heads)],
        [
            [s, prepared.counts.split_rows[s], *prepared.quantiles[s]]
            for s in SPLITS
            if s in prepared.quantiles
        ],
        caption=f"Values of {prepared.spec.name} by split",
    )


def _rules(page: Page, prepared: Prepared) -> None:
    if not prepared.rules:
        page.text("None: all rows with a label are kept.")
        return
    read = prepared.counts.read or 1
    page.table(
        [
            Column("Rule", numeric=False),
            "Because",
            "Effect",
            Column("Rows", numeric=True),
            Column("Share of rows read", numeric=True),
        ],
        [
            [
                Html(f"{rule.number}. <code>{escape(rule.text)}</code>"),
                rule.because,
                "dropped" if rule.drop else "changed",
                prepared.counts.by_rule[rule.number],
                percent(prepared.counts.by_rule[rule.number] / read),
            ]
            for rule in prepared.rules
        ],
        caption="In their order: a row that a rule drops does not reach the next",
    )

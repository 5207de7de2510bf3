"""The page that says in ten seconds whether the data are as expected, and if not, where and how."""

from collections.abc import Sequence
from pathlib import Path

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Cell, Column, Html, Page, badge, escape
from penstock.components.validate_data.findings import Finding
from penstock.components.validate_data.schema_rules import validated_features
from penstock.components.validate_data.validation import BLOCK, OFF, Judgement
from penstock.components.validate_data.value_skew import CATEGORICAL, Comparison, Drift

MOST_FINDINGS = 500
MOST_SENTENCES = 5
MOST_DRAWN = 6  # features whose change is drawn
MOST_COMPARED = 500

CHECKS = {
    "too_few_rows": "too few rows",
    "missing_column": "missing column",
    "new_column": "new column",
    "all_missing": "no value at all",
    "missing_values": "missing values",
    "shape": "shape",
    "wrong_type": "wrong type",
    "out_of_domain": "outside the domain",
    "nan": "NaN",
    "infinite": "infinite values",
    "too_small": "too small",
    "too_large": "too large",
    "not_unique": "not unique",
    "unique_values": "number of values",
    "tfdv": "other (TFDV)",
}


def write_report(found: Judgement, path: Path) -> None:
    """Write the page."""
    page = Page("Data validation", f"{found.data.rows:,} rows, {len(found.data.features):,} columns")
    page.verdict(found.verdict, _headline(found))
    page.facts(_facts(found))
    _schema(page, found)
    if found.comparison is not None:
        _drift(page, found, found.comparison)
    page.write(path)


def _headline(found: Judgement) -> str:
    parts = []
    if found.findings:
        first = found.findings[0].sentence
        count = len(found.findings)
        breaches = "1 breach of the schema" if count == 1 else f"{count:,} breaches of the schema"
        parts.append(f"{breaches}: {first}")
    elif found.modes.schema_skew == OFF:
        parts.append("the data were not held against the schema (schema_skew: off)")
    else:
        parts.append("the data are as the schema says")
    if found.comparison is not None:
        drifted = len(found.comparison.drifted)
        if drifted:
            features = "1 feature has" if drifted == 1 else f"{drifted} features have"
            parts.append(f"{features} drifted from {found.baseline_name}")
        else:
            parts.append(f"no feature has drifted from {found.baseline_name}")
    return "; ".join(parts)


def _facts(found: Judgement) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "Rows": f"{found.data.rows:,}",
        "Features in the schema": len(found.schema.feature),
        "Schema skew leads to": found.modes.schema_skew,
        "Breaches": len(found.findings),
    }
    if found.comparison is not None:
        facts["Baseline"] = f"{found.baseline_name}, {found.baseline_rows:,} rows"
        facts["Drifted"] = f"{len(found.comparison.drifted)} of {len(found.comparison.drifts)} compared"
    else:
        facts["Baseline"] = "not compared" if found.modes.value_skew == OFF else "none yet"
    return facts


def _schema(page: Page, found: Judgement) -> None:
    if found.modes.schema_skew == OFF:
        return
    page.heading("Against the schema")
    checked = sum(1 for _ in validated_features(found.schema))
    if not found.findings:
        page.text(
            f"{checked} features hold what the schema says: the columns, their types, the share of missing "
            "values, the allowed values and ranges."
        )
        return
    page.list(one.sentence for one in found.findings[:MOST_SENTENCES])
    if len(found.findings) > MOST_SENTENCES:
        page.note(f"and {len(found.findings) - MOST_SENTENCES:,} more in the table")
    columns = [
        Column("Feature"),
        Column("What"),
        Column("Expected"),
        Column("Came"),
        Column("Rows", numeric=True),
        Column("Share", numeric=True),
        Column("Examples"),
    ]
    rows = [_finding(one, found) for one in found.findings[:MOST_FINDINGS]]
    page.table(columns, rows, caption="Breaches of the schema, worst first")
    if len(found.findings) > MOST_FINDINGS:
        page.note(f"The first {MOST_FINDINGS} of {len(found.findings):,}; anomalies.json holds all of them.")
    page.text("If the data are right and the schema is too narrow, change schema.pbtxt and run again.")


def _finding(one: Finding, found: Judgement) -> Sequence[Cell]:
    blocks = found.modes.schema_skew == BLOCK and one.severity == BLOCK
    what = CHECKS.get(one.check, one.check.replace("_", " "))
    counted = one.rows is not None and one.check != "too_few_rows"
    return [
        _name(one.feature) if one.feature else "(all)",
        badge("block" if blocks else "warn", what),
        one.expected,
        one.came,
        one.rows if counted else None,
        share(one.rows / found.data.rows) if counted and one.rows is not None and found.data.rows else None,
        ", ".join(one.examples),
    ]


def _name(feature: str) -> Html:
    """Return a feature's name that breaks between its words where the table is narrow."""
    return Html(escape(feature).replace("_", "_<wbr>"))


def _drift(page: Page, found: Judgement, comparison: Comparison) -> None:
    page.heading("Against earlier data")
    if comparison.drifted:
        page.text(
            f"Compared with {found.baseline_name}. Changed distributions do not stop a run: retraining is the "
            "answer to them."
        )
        for drift in comparison.drifted[:MOST_DRAWN]:
            page.figure(_chart(drift, found.baseline_name), drift.sentence)
    columns = [
        Column("Feature"),
        Column("Verdict"),
        Column("Distance", numeric=True),
        Column("Limit", numeric=True),
        Column("Threshold", numeric=True),
        Column("Measure"),
        Column("What changed most"),
    ]
    rows: list[Sequence[Cell]] = [
        [
            _name(drift.feature),
            badge("warn", "drifted") if drift.drifted else badge("pass", "no"),
            drift.distance,
            drift.limit,
            drift.threshold,
            "L-infinity" if drift.kind == CATEGORICAL else "Jensen-Shannon",
            drift.sentence.partition(": ")[2],
        ]
        for drift in comparison.drifts[:MOST_COMPARED]
    ]
    if rows:
        page.table(columns, rows, caption="All features compared, the most drifted first")
    page.note(
        "L-infinity: largest change of a value's share of the rows. Jensen-Shannon: divergence over the "
        "baseline's deciles, 0 equal, 1 disjoint. The limit is the threshold plus what chance alone explains "
        f"with {found.data.rows:,} and {found.baseline_rows:,} rows."
    )
    if comparison.skipped:
        with page.details(f"{len(comparison.skipped)} features were not compared"):
            page.list(f"{name}: {reason}" for name, reason in comparison.skipped.items())


def _chart(drift: Drift, baseline_name: str) -> str:
    return charts.bars(
        drift.labels,
        drift.now,
        drift.feature,
        compare=drift.before,
        names=("these data", baseline_name),
        show=lambda value: share(value) if value else number(0),
    )

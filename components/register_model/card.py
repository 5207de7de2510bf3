"""The model card: what a colleague should know before relying on the model, from what really happened."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Cell
from penstock.components.metric_words.estimates import difference_words, estimate_text
from penstock.components.register_model.facts import Facts
from penstock.components.register_model.limitations import limitations, worst_first
from penstock.components.register_model.registration import Registered

MOST_SLICES = 15  # shown at once; the others are folded away
SHORT = 12  # digits of a hash that people compare


@dataclass(frozen=True)
class Table:
    """A table; numeric columns stand right."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the card under one heading."""

    heading: str
    text: str = ""
    bullets: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figure: str = ""  # SVG
    folded: bool = False


@dataclass(frozen=True)
class Card:
    """A model card, before it is HTML or Markdown."""

    title: str
    subtitle: str
    level: str  # pass, warn or info
    headline: str
    facts: dict[str, str]
    sections: list[Section]


def make_card(facts: Facts, registered: Registered) -> Card:
    """Return the card of a registered model."""
    number_ = registered.version.number
    if registered.promoted:
        level = "warn" if facts.verdict == "warn" else "pass"
        headline = f"version {number_} is the champion"
    else:
        level, headline = "info", f"version {number_} is registered, not the champion: {registered.note}"
    overall = facts.evaluation["overall"]
    return Card(
        title=f"{facts.model_name}, version {number_}",
        subtitle=str(facts.app.get("description") or _task(facts)),
        level=level,
        headline=headline,
        facts={
            facts.primary: estimate_text(overall["challenger"][facts.primary]),
            f"Against champion {facts.champion_version}".strip()
            if facts.champion_version
            else "Champion": _against(facts),
            "Test rows": number(facts.evaluation["rows"]),
            "Training rows": number(_rows(facts, "train")),
            "Data": facts.data.window,
            "Verdict": facts.verdict,
            "Drift of the data": facts.data.drift or "not measured",
            "Registered": _date(registered.version.created_ms),
        },
        sections=[
            Section("What it predicts", _task(facts)),
            _quality(facts),
            *_slices(facts),
            Section("Limitations", bullets=limitations(facts)),
            Section(
                "Rules that it was judged by",
                tables=[
                    Table(
                        ("Rule", "Verdict", "What was found"),
                        [
                            [rule["name"], rule["verdict"], rule["sentence"]]
                            for rule in facts.rules.get("rules", [])
                        ],
                    )
                ],
            ),
            _data(facts),
            _inputs(facts),
            _made_of(facts),
            _lineage(facts, registered),
        ],
    )


def _task(facts: Facts) -> str:
    label = facts.label.get("name") or facts.model["label"]
    task = facts.model["task"]
    if task == "binary":
        return f"The probability that {label} is {facts.model['positive']!r}, and the likelier of the two classes."
    if task == "multiclass":
        classes = facts.model["classes"]
        shown = ", ".join(map(repr, classes[:10])) + (", …" if len(classes) > 10 else "")
        return (
            f"The probability of each of the {len(classes)} classes of {label} ({shown}), and the likeliest."
        )
    return f"The number {label}."


def _against(facts: Facts) -> str:
    difference = facts.evaluation["overall"].get("difference")
    if not difference:
        return "none to compare with"
    better = facts.evaluation["metrics"][facts.primary]["higher_is_better"]
    return difference_words(difference[facts.primary], better, short=True)


def _quality(facts: Facts) -> Section:
    evaluation, overall = facts.evaluation, facts.evaluation["overall"]
    champion, difference = overall.get("champion") or {}, overall.get("difference") or {}
    names = sorted(overall["challenger"], key=lambda name: (name != facts.primary, name))
    columns: tuple[str, ...] = ("Metric", "Better is", "This version")
    if champion:
        columns += (f"Champion, version {facts.champion_version}", "Difference, paired")
    rows: list[list[Cell]] = []
    for name in names:
        better = evaluation["metrics"][name]["higher_is_better"]
        row: list[Cell] = [
            name,
            "higher" if better else "lower",
            estimate_text(overall["challenger"][name]),
        ]
        if champion:
            row += [estimate_text(champion[name]), difference_words(difference[name], better)]
        rows.append(row)
    return Section(
        "How good it is",
        f"On {number(evaluation['rows'])} test rows that it was not trained on. In brackets: the "
        f"{100 * evaluation['confidence']:g} % interval from {number(evaluation['resamples'])} bootstrap resamples.",
        tables=[Table(columns, rows)],
    )


def _slices(facts: Facts) -> list[Section]:
    ordered = worst_first(facts)
    if not ordered:
        return []
    primary, overall = facts.primary, facts.evaluation["overall"]["challenger"][facts.primary]
    judged = [group for group in ordered if group["rows"] >= facts.min_slice_rows]
    small = [group for group in ordered if group["rows"] < facts.min_slice_rows]
    ordered = [*judged, *small]
    shown = judged[:MOST_SLICES]
    figure = charts.intervals(
        [
            charts.Interval("all rows", overall["value"], overall["low"], overall["high"]),
            *(
                charts.Interval(group["name"], *_values(group["challenger"][primary]), rows=group["rows"])
                for group in shown
            ),
        ],
        f"{primary} by slice, worst first",
        primary,
        reference=overall["value"],
    )
    columns: tuple[str, ...] = ("Slice", "Rows", primary)
    rows: list[list[Cell]] = [
        [
            group["name"],
            group["rows"],
            estimate_text(group["challenger"][primary], extra=group.get("note") or ""),
        ]
        for group in ordered
    ]
    if facts.evaluation["overall"].get("difference"):
        better = facts.evaluation["metrics"][primary]["higher_is_better"]
        columns += (f"Against champion {facts.champion_version}",)
        for row, group in zip(rows, ordered, strict=True):
            difference = (group.get("difference") or {}).get(primary)
            row.append(difference_words(difference, better, short=True) if difference else "–")
    numeric = frozenset({1})
    sections = []
    if judged:
        named = "1 slice" if len(judged) == 1 else f"{len(judged)} slices"
        text = f"{named} with at least {facts.min_slice_rows} test rows, the worst first."
        shown_rows = rows[: min(len(judged), MOST_SLICES)]
        sections.append(
            Section("Where it is weakest", text, tables=[Table(columns, shown_rows, numeric)], figure=figure)
        )
    if len(judged) > MOST_SLICES:
        more = f"{len(judged) - MOST_SLICES} better slices"
        table = Table(columns, rows[MOST_SLICES : len(judged)], numeric)
        sections.append(Section(more, tables=[table], folded=True))
    if small:
        more = f"{len(small)} slices with fewer than {facts.min_slice_rows} test rows, too few to judge"
        table = Table(columns, rows[len(judged) :], numeric)
        sections.append(Section(more, tables=[table], folded=True))
    return sections


def _data(facts: Facts) -> Section:
    data = facts.data
    rows: list[list[Cell]] = [
        ["Source", data.source],
        ["Window of event time", data.window],
        ["Newest event", data.watermark or "unknown"],
        ["Rows read", data.rows],
    ]
    if data.query:
        rows.insert(1, ["Query", data.query])
    total = sum(data.split_rows.values()) or 1
    splits: list[list[Cell]] = [
        [name, data.split_rows[name], share(data.split_rows[name] / total)]
        for name in ("train", "validation", "test")
        if name in data.split_rows
    ]
    cleaning: list[list[Cell]] = [
        [
            f"drop rows with {rule['drop']}"
            if "drop" in rule
            else f"set {rule.get('set')} to {rule.get('sql')}",
            rule.get("because", ""),
        ]
        for rule in facts.app.get("cleaning") or []
    ]
    tables = [Table(("Data", ""), rows), Table(("Split", "Rows", "Share"), splits, frozenset({1, 2}))]
    if cleaning:
        tables.append(Table(("Cleaning", "Because"), cleaning))
    return Section("What it learned from", tables=tables)


def _inputs(facts: Facts) -> Section:
    rows: list[list[Cell]] = [
        [put["name"], "text" if put["dtype"] == "string" else "number"] for put in facts.model["inputs"]
    ]
    return Section(
        "What it takes",
        f"{len(rows)} raw features by name; preprocessing is inside the model. Missing: empty text, or NaN.",
        tables=[Table(("Feature", "Type"), rows)],
        folded=len(rows) > MOST_SLICES,
    )


def _made_of(facts: Facts) -> Section:
    versions = [[name, text] for name, text in sorted(facts.model["versions"].items())]
    parameters = [[name, _shown(value)] for name, value in sorted(facts.model["parameters"].items())]
    return Section(
        "How it was trained",
        f"Seed {facts.model['seed']}; {number(facts.model['train_rows'])} rows to train on, "
        f"{number(facts.model['validation_rows'])} to know when to stop.",
        tables=[Table(("Setting", "Value"), parameters), Table(("Software", "Version"), versions)],
        folded=True,
    )


def _lineage(facts: Facts, registered: Registered) -> Section:
    data = facts.data
    rows: list[list[Cell]] = [
        ["Pipeline run", facts.run_id],
        ["Compared with", f"version {facts.champion_version}" if facts.champion_version else "nothing"],
        ["App", facts.app_version[:SHORT]],
        ["Steps' code", facts.code_version[:SHORT] or "unknown"],
        ["Schema", facts.schema_hash[:SHORT] or "unknown"],
        ["Data at the source", data.fingerprint[:SHORT]],
        ["Data that were read", data.data_fingerprint[:SHORT]],
        ["Artifacts", registered.version.source],
    ]
    return Section("Where it comes from", tables=[Table(("What", "Which"), rows)])


def _values(estimate: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return estimate["value"], estimate["low"], estimate["high"]


def _rows(facts: Facts, split: str) -> int:
    return int(facts.data.split_rows.get(split, facts.model.get(f"{split}_rows", 0)))


def _shown(value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, (int, float)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _date(milliseconds: int) -> str:
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC"

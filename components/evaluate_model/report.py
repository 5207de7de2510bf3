"""The evaluation as a page for people: no verdict, which is validate_model's, but the comparison in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Column, Page
from penstock.components.metric_words.estimates import difference_words, estimate_text

TITLES = {
    "auc": "AUC",
    "pr_auc": "PR AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "f1": "F1",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
MOST_SLICES_DRAWN = 25
MOST_SLICES_LISTED = 200
Content = Mapping[str, Any]


def write_report(evaluation: Content, path: Path) -> None:
    """Write the page."""
    page = Page("Model evaluation", subtitle=_subtitle(evaluation))
    _summary(page, evaluation)
    _metrics(page, evaluation)
    _slices(page, evaluation)
    if evaluation["task"] == "regression":
        _regression(page, evaluation["details"])
    else:
        _classification(page, evaluation)
    page.write(path)


def title(metric: str) -> str:
    """Return a metric's name for people."""
    return TITLES.get(metric, metric)


def _subtitle(evaluation: Content) -> str:
    text = f"label {evaluation['label']}, {number(evaluation['rows'])} test rows"
    if evaluation["weight"]:
        text += f", weighted by {evaluation['weight']}"
    return text


def _summary(page: Page, evaluation: Content) -> None:
    metric = evaluation["primary_metric"]
    overall, version = evaluation["overall"], evaluation["champion_version"]
    challenger = overall["challenger"][metric]
    facts: dict[str, str] = {f"Challenger, {title(metric)}": estimate_text(challenger)}
    if overall["difference"]:
        words = difference_words(
            overall["difference"][metric], evaluation["metrics"][metric]["higher_is_better"]
        )
        page.verdict(
            "info", f"Challenger against champion {version}, {title(metric)} on the same rows: {words}."
        )
        facts |= {
            f"Champion {version}, {title(metric)}": estimate_text(overall["champion"][metric]),
            "Difference": estimate_text(overall["difference"][metric], signed=True),
        }
    elif evaluation["champion_note"]:
        page.verdict("warn", f"No comparison: {evaluation['champion_note']}.")
    else:
        page.verdict(
            "info", f"{title(metric)} {estimate_text(challenger)}; there is no champion to compare with."
        )
    facts |= {"Test rows": number(evaluation["rows"])}
    if evaluation["task"] == "binary":
        counts = evaluation["details"]["challenger"]["confusion"]
        at = counts["classes"].index(evaluation["positive"])
        facts[f"Rows of class {evaluation['positive']}"] = share(
            sum(counts["matrix"][at]) / evaluation["rows"]
        )
    page.facts(facts)
    if overall["note"]:
        page.text(f"Note: {overall['note']}.")


def _metrics(page: Page, evaluation: Content) -> None:
    overall = evaluation["overall"]
    compared = overall["difference"] is not None
    columns = [Column("Metric"), Column("Challenger", numeric=True)]
    if compared:
        columns += [Column("Champion", numeric=True), Column("Difference", numeric=True), Column("In words")]
    columns.append(Column("Better is"))
    rows: list[list[str]] = []
    for metric, about in evaluation["metrics"].items():
        row = [title(metric), estimate_text(overall["challenger"][metric])]
        if compared:
            difference = overall["difference"][metric]
            row += [
                estimate_text(overall["champion"][metric]),
                estimate_text(difference, signed=True),
                difference_words(difference, about["higher_is_better"], short=True),
            ]
        row.append("higher" if about["higher_is_better"] else "lower")
        rows.append(row)
    page.heading("All metrics")
    level = share(evaluation["confidence"], 0 if evaluation["confidence"] * 100 % 1 < 1e-9 else 1)
    page.table(
        columns,
        rows,
        caption=f"Test rows: {number(evaluation['rows'])}. In brackets: {level} confidence intervals, "
        f"from {number(evaluation['resamples'])} bootstrap resamples"
        + (", the same for both models." if compared else "."),
    )


def _slices(page: Page, evaluation: Content) -> None:
    if not evaluation["slices"]:
        return
    metric = evaluation["primary_metric"]
    higher = evaluation["metrics"][metric]["higher_is_better"]
    name = title(metric)
    page.heading("Slices")
    ordered = sorted(evaluation["slices"], key=lambda s: _badness(s["challenger"][metric]["value"], higher))
    drawn = [s for s in ordered if s["challenger"][metric]["value"] is not None]
    whole = evaluation["overall"]["challenger"][metric]["value"]
    page.figure(
        charts.intervals(
            [_interval(s, "challenger", metric) for s in drawn[:MOST_SLICES_DRAWN]],
            f"Challenger's {name} by slice, worst first",
            f"{name} (dashed: all rows)",
            reference=whole,
        ),
        caption=_caption(drawn, ordered),
    )
    compared = [s for s in ordered if s["difference"] and s["difference"][metric]["value"] is not None]
    compared.sort(key=lambda s: _badness(s["difference"][metric]["value"], higher))
    if compared:
        page.figure(
            charts.intervals(
                [_interval(s, "difference", metric) for s in compared[:MOST_SLICES_DRAWN]],
                "Challenger less champion by slice, worst first",
                f"{name}, challenger less champion",
                reference=0.0,
            ),
            caption=f"{'Left' if higher else 'Right'} of the dashed line the champion is better. "
            + _caption(compared, ordered),
        )
    columns = [Column("Slice"), Column("Rows", numeric=True), Column(f"Challenger, {name}", numeric=True)]
    has_champion = evaluation["overall"]["champion"] is not None
    if has_champion:
        columns += [Column("Champion", numeric=True), Column("Difference", numeric=True), Column("In words")]
    columns.append(Column("Note"))
    rows: list[list[Any]] = []
    for part in ordered[:MOST_SLICES_LISTED]:
        row = [part["name"], part["rows"], estimate_text(part["challenger"][metric])]
        if has_champion:
            row += [
                estimate_text(part["champion"][metric]),
                estimate_text(part["difference"][metric], signed=True),
                difference_words(part["difference"][metric], higher, short=True),
            ]
        rows.append([*row, part["note"]])
    with page.details(f"All {len(ordered)} slices"):
        page.table(columns, rows, caption=f"Slices by {name}, worst first; those with too few rows last")
        if len(ordered) > MOST_SLICES_LISTED:
            page.note(f"{MOST_SLICES_LISTED} of {len(ordered)} slices; all are in evaluation.json.")


def _caption(drawn: Sequence[Content], all_slices: Sequence[Content]) -> str:
    text = f"{min(len(drawn), MOST_SLICES_DRAWN)} of {len(all_slices)} slices"
    few = len(all_slices) - len(drawn)
    return text + (f"; {few} have too few rows or one class only." if few else ".")


def _badness(value: float | None, higher: bool) -> tuple[bool, float]:
    """Sort key: worst first, undefined last."""
    return (value is None, 0.0 if value is None else (value if higher else -value))


def _interval(part: Content, which: str, metric: str) -> charts.Interval:
    """The label says the value first: it is what differs, and a long label is cut at its end."""
    estimate = part[which][metric]
    label = f"{' × '.join(part['value'].values())} · {' × '.join(part['by'])}"
    return charts.Interval(label, estimate["value"], estimate["low"], estimate["high"], part["rows"])


def _classification(page: Page, evaluation: Content) -> None:
    details = evaluation["details"]
    if evaluation["task"] == "binary":
        page.heading("Curves")
        page.figure(_roc(details), caption="The dashed diagonal is guessing.")
        page.figure(_precision_recall(details), caption="Precision among the rows that are called positive.")
        page.figure(
            _calibration(details),
            caption="On the dashed diagonal, the scores are true probabilities. Band: 95 %.",
        )
        spread = details["challenger"]["distribution"]
        page.figure(
            charts.histogram(
                spread["edges"],
                spread["negative"],
                "Challenger's scores by what happened",
                "score",
                compare=spread["positive"],
                names=_other_and_positive(evaluation),
            ),
            caption="The further apart the two, the better the model tells them.",
        )
        with page.details("Calibration in numbers"):
            page.table(
                [
                    Column(t, numeric=i > 0)
                    for i, t in enumerate(("Model", "Mean score", "Share of positive rows", "Rows"))
                ],
                [
                    [
                        name,
                        b["mean_score"],
                        f"{number(b['share'])} ({number(b['low'])} to {number(b['high'])})",
                        b["rows"],
                    ]
                    for name, found in details.items()
                    for b in found["calibration"]
                ],
                caption="Bins of about equal size, by score",
            )
    page.heading("Confusion")
    for name, found in details.items():
        counts = found["confusion"]
        page.figure(
            charts.heatmap(
                counts["classes"],
                counts["classes"],
                counts["matrix"],
                f"{name.capitalize()}: rows",
                "predicted",
                "label",
            ),
            caption="Shaded by the share of each label's rows.",
        )
    if "classes" in details["challenger"]:
        _class_table(page, details)


def _class_table(page: Page, details: Content) -> None:
    page.heading("Classes")
    columns = [Column("Class"), Column("Rows", numeric=True)]
    columns += [
        Column(f"{name.capitalize()}, {metric}", numeric=True)
        for metric in ("precision", "recall", "f1")
        for name in details
    ]
    of_models = [found["classes"] for found in details.values()]
    rows = [
        [parts[0]["class"], parts[0]["rows"]]
        + [part[metric] for metric in ("precision", "recall", "f1") for part in parts]
        for parts in sorted(
            zip(*of_models, strict=True), key=lambda p: (p[0]["f1"] is None, p[0]["f1"] or 0.0)
        )
    ]
    page.table(columns, rows, caption="Classes by F1, worst first")


def _roc(details: Content) -> str:
    lines = [
        charts.Series(name, _column(found["roc"], "fpr"), _column(found["roc"], "tpr"))
        for name, found in details.items()
    ]
    lines.append(charts.Series("guessing", [0, 1], [0, 1], dashed=True))
    return charts.line(lines, "false positive rate", "recall", "ROC curve", x_range=(0, 1), y_range=(0, 1))


def _precision_recall(details: Content) -> str:
    lines = [
        charts.Series(
            name,
            _column(found["precision_recall"], "recall"),
            _column(found["precision_recall"], "precision"),
        )
        for name, found in details.items()
    ]
    return charts.line(lines, "recall", "precision", "Precision and recall", x_range=(0, 1), y_range=(0, 1))


def _calibration(details: Content) -> str:
    lines = [
        charts.Series(
            name,
            _column(found["calibration"], "mean_score"),
            _column(found["calibration"], "share"),
            _column(found["calibration"], "low"),
            _column(found["calibration"], "high"),
        )
        for name, found in details.items()
    ]
    lines.append(charts.Series("perfect", [0, 1], [0, 1], dashed=True))
    return charts.line(
        lines, "mean score", "share of positive rows", "Calibration", x_range=(0, 1), y_range=(0, 1)
    )


def _other_and_positive(evaluation: Content) -> tuple[str, str]:
    positive = evaluation["positive"]
    other = next(text for text in evaluation["classes"] if text != positive)
    return f"label {other}", f"label {positive}"


def _regression(page: Page, details: Content) -> None:
    page.heading("Residuals")
    for name, found in details.items():
        bins = found["by_prediction"]
        predictions = _column(bins, "prediction")
        page.figure(
            charts.line(
                [
                    charts.Series(
                        "median residual",
                        predictions,
                        _column(bins, "residual"),
                        _column(bins, "residual_low"),
                        _column(bins, "residual_high"),
                    ),
                    charts.Series("none", [predictions[0], predictions[-1]], [0, 0], dashed=True),
                ],
                "prediction",
                "label less prediction",
                f"{name.capitalize()}: residuals by prediction",
            ),
            caption="Band: the middle half of the rows. A slope or a bend is a bias that the model has not learnt.",
        )
    for name, found in details.items():
        page.figure(
            charts.histogram(
                found["residuals"]["edges"],
                found["residuals"]["counts"],
                f"{name.capitalize()}: residuals",
                "label less prediction",
            ),
            caption="The outermost bars take in the most extreme 0.5 % of the rows on each side.",
        )
    ends = [b["prediction"] for found in details.values() for b in found["by_prediction"]]
    lines = [
        charts.Series(
            name,
            _column(found["by_prediction"], "prediction"),
            _column(found["by_prediction"], "label"),
        )
        for name, found in details.items()
    ]
    lines.append(charts.Series("perfect", [min(ends), max(ends)], [min(ends), max(ends)], dashed=True))
    page.figure(
        charts.line(lines, "mean prediction", "mean label", "Predicted and actual"),
        caption="Twenty bins of about equal size, by prediction.",
    )


def _column(rows: Sequence[Content], name: str) -> list[float]:
    return [row[name] for row in rows]

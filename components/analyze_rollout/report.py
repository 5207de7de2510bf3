"""The decision as a page for people: what and why first, then the curves that it rests on."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.analyze_rollout.curve_figures import draw_outcomes, draw_traffic
from penstock.components.html_report import charts
from penstock.components.html_report.numbers import duration, number, share
from penstock.components.html_report.page import Column, Page, badge

STRATEGIES = {"canary": "Canary", "ab_test": "A/B test", "bandit": "Multi-armed bandit", "shadow": "Shadow"}
HEADLINES = {
    "continue": "Wait",
    "advance": "Advance",
    "promote": "Promote",
    "rollback": "Roll back",
    "stop": "Stop",
}
CHECKS = {
    "error_rate": "Errors (5xx)",
    "refusals": "Refused requests (4xx)",
    "latency": "Latency",
    "nan_share": "Predictions that are no number",
    "score_distribution": "Scores that lie elsewhere",
    "outcome": "Mean outcome",
}
MOST_SEGMENTS_DRAWN = 15
Content = Mapping[str, Any]


def write_report(summary: Content, path: Path) -> None:
    """Write the page."""
    versions = [summary["champion"], *summary["challengers"]]
    title = f"{STRATEGIES[summary['strategy']]}: {' and '.join(f'version {v}' for v in versions[1:])} beside {versions[0]}"
    page = Page(title, subtitle=f"Looked at {_time(summary['now_s'])}")
    _head(page, summary)
    _guardrails(page, summary)
    draw_outcomes(page, summary)
    draw_traffic(page, summary)
    _segments(page, summary)
    _decisions(page, summary)
    page.write(path)


def _head(page: Page, summary: Content) -> None:
    first, *rest = summary["reasons"]
    # A note, not a pass: waiting says nothing good of the challenger yet.
    waiting = summary["action"] in ("continue", "stop") and summary["verdict"] == "pass"
    level = "info" if waiting else summary["verdict"]
    page.verdict(level, _sentence(first), f"{HEADLINES[summary['action']]}:")
    facts: dict[str, str] = {
        "Weights": _weights(summary["weights_before"]),
        "From now on": _weights(summary["weights"])
        if summary["weights"] != summary["weights_before"]
        else "unchanged",
    }
    for version, arm in summary["arms"].items():
        facts[f"Version {version}"] = f"{number(int(arm['requests']))} requests"
    if summary["started_s"]:
        facts["Running for"] = duration(summary["now_s"] - summary["started_s"])
    if summary["since_s"]:
        facts["Weights hold for"] = duration(summary["now_s"] - summary["since_s"])
    page.facts(facts)
    if rest:
        page.list(_sentence(reason) for reason in rest)
    for warning in summary["warnings"]:
        page.text(f"Note: {_sentence(warning)}")


def _guardrails(page: Page, summary: Content) -> None:
    numbers = summary["numbers"].get("guardrails") or {}
    by_version = numbers if len(summary["challengers"]) > 1 else {summary["challengers"][0]: numbers}
    by_version = {v: checks for v, checks in by_version.items() if checks}
    if not by_version:
        return
    page.heading("Guardrails")
    shadow = summary["strategy"] == "shadow"
    limits = summary["settings"]["guardrails"]
    for version, checks in by_version.items():
        rows = []
        for check, found in checks.items():
            one, zero = (_value(check, found.get(key)) for key in ("challenger", "champion"))
            if check == "score_distribution":
                one, zero = share(found["total_variation"]), ""
            mark = badge("warn" if shadow else "block", "would be harm" if shadow else "harm")
            rows.append(
                [
                    CHECKS.get(check, check),
                    mark if found["harm"] else badge("pass", "no harm shown"),
                    one,
                    zero,
                    _limit(check, limits),
                ]
            )
        page.table(
            [
                Column("Guardrail"),
                Column("Found"),
                Column(f"Version {version}", numeric=True),
                Column(f"Champion {summary['champion']}", numeric=True),
                Column("Harm is"),
            ],
            rows,
            caption=f"All together call an equal challenger harmful in at most {share(limits['alpha'])} of "
            "rollouts, however often they are looked at.",
        )


def _value(check: str, value: float | None) -> str:
    if value is None:
        return "–"
    if check == "latency":
        return f"{number(value, 3)} ms"
    return share(value, 2) if check in ("error_rate", "refusals", "nan_share") else number(value)


def _limit(check: str, limits: Content) -> str:
    if check in ("error_rate", "refusals", "nan_share"):
        of = "nan" if check == "nan_share" else "error"
        return f"more than {limits[f'{of}_ratio']:g} times, and by {100 * limits[f'{of}_increase']:g} points"
    if check == "latency":
        return f"p{100 * limits['latency_quantile']:g} more than {limits['latency_ratio']:g} times"
    if check == "score_distribution":
        return f"surely more than {share(limits['score_distance'], 0)}"
    return f"surely worse by more than {limits['outcome_drop']:g}"


def _segments(page: Page, summary: Content) -> None:
    rows = summary["numbers"].get("segments") or []
    if not rows:
        return
    page.heading("Segments")
    words = {
        "challenger": badge("pass", "challenger better"),
        "champion": badge("block", "champion better"),
        "undecided": "undecided",
        "too few": "too few outcomes",
    }
    drawn = [r for r in rows if r["difference"] is not None][:MOST_SEGMENTS_DRAWN]
    if drawn:
        page.figure(
            charts.intervals(
                [
                    charts.Interval(
                        f"{r['column']} = {r['value']}",
                        r["difference"],
                        r["low"],
                        r["high"],
                        int(r["challenger_n"] + r["champion_n"]),
                    )
                    for r in drawn
                ],
                "Challenger less champion by segment",
                "difference of the mean outcomes",
                reference=0.0,
            ),
            caption="Intervals are right for all segments and looks together.",
        )
    page.table(
        [
            Column("Segment"),
            Column("Challenger", numeric=True),
            Column("Champion", numeric=True),
            Column("Difference", numeric=True),
            Column("Outcomes", numeric=True),
            Column("Found"),
        ],
        [
            [
                f"{r['column']} = {r['value']}",
                number(r["challenger"]),
                number(r["champion"]),
                _with_bounds(r),
                number(int(r["challenger_n"] + r["champion_n"])),
                words[r["better"]],
            ]
            for r in rows
        ],
        caption="Of the segments that are called for one of both, at most "
        f"{share(summary['settings']['ab_test']['alpha'], 0)} are expected to be wrong.",
    )


def _decisions(page: Page, summary: Content) -> None:
    page.heading("Decisions so far")
    page.table(
        [
            Column("Time"),
            Column("Decision"),
            Column("Weights before"),
            Column("Weights after"),
            Column("Why"),
        ],
        [
            [
                _time(d["time_s"]),
                HEADLINES[d["action"]],
                _weights(d["before"]),
                _weights(d["weights"]) if d["weights"] != d["before"] else "unchanged",
                _sentence(d["reason"]),
            ]
            for d in reversed(summary["decisions"])
        ],
    )
    with page.details("Settings"):
        section = summary["settings"]
        part = section[summary["strategy"]]
        shown = {**part, **{f"guardrails.{k}": v for k, v in section["guardrails"].items()}}
        shown |= {f"outcome.{k}": v for k, v in section["outcome"].items()}
        page.table(
            [Column("Setting"), Column("Value")],
            [[key, "off" if value is None else str(value)] for key, value in shown.items()],
        )


def _with_bounds(row: Content) -> str:
    if row["difference"] is None:
        return "–"
    if row["low"] is None:
        return number(row["difference"], 3)
    return f"{number(row['difference'], 3)} ({number(row['low'], 3)} to {number(row['high'], 3)})"


def _weights(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{version}: {weight} %" for version, weight in weights.items())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

"""The curves of a rollout as figures: outcomes, errors, latency, who answered, scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import share
from penstock.components.html_report.page import Page

Content = Mapping[str, Any]
# The largest unit of which the span has at least two.
UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


def time_axis(seconds: Sequence[float]) -> tuple[list[float], str]:
    """Return times in a unit that suits their span, and the label of their axis.

    Args:
        seconds: Since the first request, rising.
    """
    span = max(seconds, default=0)
    unit, length = next((u for u in UNITS if span >= 2 * u[1]), UNITS[-1])
    return [s / length for s in seconds], f"{unit} since the first request"


def draw_outcomes(page: Page, summary: Content) -> None:
    """Draw the mean outcome of each version and their difference, where outcomes are known."""
    curves = summary["curves"]
    drawn = {v: c["outcome"] for v, c in curves.get("versions", {}).items() if _any(c.get("outcome"))}
    if not drawn:
        return
    times, x_label = time_axis(curves["seconds"])
    page.heading("Outcomes")
    page.figure(
        charts.line(
            [_band(f"version {v}", times, c, i) for i, (v, c) in enumerate(drawn.items())],
            x_label,
            "mean outcome so far",
            "Mean outcome",
        ),
        caption="Bands: 95 % confidence sequences, right over all looks together.",
    )
    gap = curves.get("difference")
    if _any(gap):
        strategy = summary["strategy"] if summary["strategy"] == "bandit" else "ab_test"
        level = share(1 - summary["settings"][strategy]["alpha"], 0)
        page.figure(
            charts.line(
                [
                    _band("challenger less champion", times, gap, 0),
                    charts.Series("no difference", [0, times[-1]], [0, 0], dashed=True),
                ],
                x_label,
                "difference of the mean outcomes",
                "Challenger less champion",
            ),
            caption=f"Each bound is right with {level} over all looks: where the band leaves the dashed line, "
            "the arms differ."
            + ("" if summary["settings"]["outcome"]["higher_is_better"] else " Less is better."),
        )


def draw_traffic(page: Page, summary: Content) -> None:
    """Draw errors, latency, who answered, and the scores."""
    curves = summary["curves"]
    if not curves:
        return
    times, x_label = time_axis(curves["seconds"])
    versions = curves["versions"]
    page.heading("Traffic")
    page.figure(
        charts.line(
            [_band(f"version {v}", times, c["error_rate"], i) for i, (v, c) in enumerate(versions.items())],
            x_label,
            "error rate so far",
            "Errors",
            y_range=(0, _top(versions)),
        ),
        caption="Answers with a status of 500 or more. Bands: 95 % confidence sequences.",
    )
    lines = []
    for name in ("p99", "p50"):
        for v, c in versions.items():  # so that a version's p99 has its colour
            x, y = _known(times, c["latency"][name])
            lines.append(charts.Series(f"{v} {name}", x, y, dashed=name == "p50"))
    page.figure(
        charts.line(lines, x_label, "ms", "Latency of answered requests"),
        caption="Of each interval by itself.",
    )
    totals = [sum(counts) or 1 for counts in zip(*(c["requests"] for c in versions.values()), strict=True)]
    page.figure(
        charts.line(
            [
                charts.Series(
                    f"version {v}", times, [100 * n / t for n, t in zip(c["requests"], totals, strict=True)]
                )
                for v, c in versions.items()
            ],
            x_label,
            "% of requests",
            "Who answered",
            y_range=(0, 100),
        ),
        caption="What the weights came to."
        if summary["strategy"] != "shadow"
        else "Mirrored ones count too.",
    )
    scores = summary["scores"]
    for version in summary["challengers"] if scores else ():
        page.figure(
            charts.histogram(
                scores["edges"],
                [100 * s for s in scores["shares"][version]],
                f"Scores of version {version}",
                "score",
                compare=[100 * s for s in scores["shares"][summary["champion"]]],
                names=(f"version {version}", f"champion {summary['champion']}"),
                y_label="% of scores",
            )
        )


def _band(name: str, times: Sequence[float], curve: Content, at: int) -> charts.Series:
    shown = [i for i, value in enumerate(curve["value"]) if value is not None]

    def pick(key: str) -> list[float]:
        return [curve[key][i] for i in shown]

    return charts.Series(
        name, [times[i] for i in shown], pick("value"), pick("low"), pick("high"), dashed=at > 0
    )


def _known(x: Sequence[float], y: Sequence[float | None]) -> tuple[list[float], list[float]]:
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _top(versions: Content) -> float:
    """Return where the axis of the error rates ends: the first looks' wide bands must not hide the rest."""
    ends = [
        value
        for curve in versions.values()
        for value in [
            *_known_values(curve["error_rate"]["high"])[-1:],
            *_known_values(curve["error_rate"]["value"]),
        ]
    ]
    return max(1.3 * max(ends, default=0.0), 0.001)


def _known_values(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def _any(curve: Content | None) -> bool:
    return curve is not None and any(v is not None for v in curve["value"])

"""Charts as SVG text, for `Page.figure`. Colours come from the page's style sheet, so they follow light and dark.

Each chart has a title for the eye and an `aria-label` with what it shows for the ear; series differ
by dash or place as well as by colour.
"""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from penstock.components.html_report.numbers import number, tick_label, ticks

WIDTH = 480  # units of the view box: at this width a 12-unit text is readable on a phone
PLOT_HEIGHT = 220
CHARACTER = 7.0  # average width of a character of 12-unit text


@dataclass(frozen=True)
class Series:
    """A line through points, with an optional band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; none where it is undefined."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    rows: int | None = None


def line(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    title: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    mark_x: tuple[float, str] | None = None,
) -> str:
    """Draw lines over a common axis; `mark_x` adds a vertical line with a label."""
    series = [s for s in series if len(s.x)]
    xs = [x for s in series for x in s.x if math.isfinite(x)]
    ys = [y for s in series for part in (s.y, s.low or (), s.high or ()) for y in part if math.isfinite(y)]
    if not xs or not ys:
        return _empty(title)
    x_ticks = ticks(*(x_range or (min(xs), max(xs))))
    y_ticks = ticks(*(y_range or (min(ys), max(ys))))
    plot = _Plot(title, x_label, y_label, x_ticks, y_ticks, legend=[s.name for s in series])
    for i, s in enumerate(series):
        if s.low is not None and s.high is not None:
            edge = [*zip(s.x, s.high, strict=True), *reversed([*zip(s.x, s.low, strict=True)])]
            plot.add(f'<polygon class="band f{i % 6}" points="{plot.points(edge)}"/>')
        dash = " dashed" if s.dashed else ""
        points = plot.points(zip(s.x, s.y, strict=True))
        plot.add(f'<polyline class="line l{i % 6}{dash}" points="{points}"/>')
        if len(s.x) == 1:
            plot.add(f'<circle class="f{i % 6}" r="3" cx="{plot.x(s.x[0]):.1f}" cy="{plot.y(s.y[0]):.1f}"/>')
    if mark_x is not None:
        at = plot.x(mark_x[0])
        plot.add(
            f'<line class="axis dashed" x1="{at:.1f}" x2="{at:.1f}" y1="{plot.top}" y2="{plot.bottom}"/>'
        )
        side = "end" if at > WIDTH * 0.7 else "start"
        plot.add(_text(at + (-4 if side == "end" else 4), plot.top + 12, mark_x[1], side, "soft"))
    return plot.render(f"{title}: {y_label} by {x_label}, {', '.join(s.name for s in series)}")


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    title: str,
    x_label: str,
    compare: Sequence[float] | None = None,
    names: tuple[str, str] = ("this", "baseline"),
    y_label: str = "rows",
) -> str:
    """Draw counts between edges (one more edge than counts); `compare` is drawn as an outline."""
    if not len(counts):
        return _empty(title)
    top = max([*counts, *(compare or ())]) or 1
    plot = _Plot(
        title, x_label, y_label, ticks(edges[0], edges[-1]), ticks(0, top), legend=names if compare else ()
    )
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        left, right = plot.x(low), plot.x(high)
        width = max(right - left - 1, 0.8)
        plot.add(
            f'<rect class="f0" x="{left:.1f}" width="{width:.1f}" y="{plot.y(count):.1f}" '
            f'height="{max(plot.bottom - plot.y(count), 0):.1f}"><title>{_escape(number(low))} to '
            f"{_escape(number(high))}: {_escape(number(count))}</title></rect>"
        )
    if compare:
        steps = [p for i, c in enumerate(compare) for p in ((edges[i], c), (edges[i + 1], c))]
        plot.add(f'<polyline class="line l1" points="{plot.points(steps)}"/>')
    return plot.render(f"{title}: {y_label} by {x_label}, highest {number(top)}")


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    title: str,
    unit: str = "",
    compare: Sequence[float] | None = None,
    names: tuple[str, str] = ("this", "baseline"),
    show: Callable[[float], str] = number,
) -> str:
    """Draw horizontal bars with their values; `compare` adds a second, thinner bar to each."""
    if not len(labels):
        return _empty(title)
    left, gap = _label_width(labels), 30 if compare else 22
    head = 44 if compare else 26
    top = max([*values, *(compare or ())], default=0) or 1
    longest = max(len(show(v)) for v in [*values, *(compare or ())])
    room = WIDTH - left - (longest + 1) * CHARACTER - 8
    parts = [_legend(names, 32)] if compare else []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = head + i * gap
        length = max(room * value / top, 0.5)
        parts.append(_text(left - 6, y + 11, _shorten(label, left), "end"))
        parts.append(f'<rect class="f0" x="{left}" y="{y}" width="{length:.1f}" height="14" rx="2"/>')
        parts.append(_text(left + length + 5, y + 11, show(value), "start", "soft"))
        if compare:
            length = max(room * compare[i] / top, 0.5)
            parts.append(f'<rect class="f1" x="{left}" y="{y + 15}" width="{length:.1f}" height="7" rx="2"/>')
    summary = ", ".join(f"{a} {show(b)}" for a, b in list(zip(labels, values, strict=True))[:12])
    return _svg(head + len(labels) * gap + 4, title + (f" ({unit})" if unit else ""), summary, parts)


def intervals(rows: Sequence[Interval], title: str, x_label: str, reference: float | None = None) -> str:
    """Draw a forest plot: each estimate as a dot with its interval; `reference` is a dashed line."""
    known = [v for r in rows for v in (r.value, r.low, r.high) if v is not None and math.isfinite(v)]
    if not known:
        return _empty(title)
    left, gap, head = _label_width([r.label for r in rows]), 22, 30
    scale = ticks(min([*known, *([reference] if reference is not None else [])]), max(known))
    right = WIDTH - 62
    bottom = head + len(rows) * gap

    def x(value: float) -> float:
        return left + 6 + (value - scale[0]) / (scale[-1] - scale[0]) * (right - left - 12)

    parts = []
    for tick in _thin(scale, (right - left) / 46):
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{head - 4}" y2="{bottom}"/>'
        )
        parts.append(_text(x(tick), bottom + 14, tick_label(tick), "middle", "soft"))
    if reference is not None:
        at = x(reference)
        parts.append(f'<line class="axis dashed" x1="{at:.1f}" x2="{at:.1f}" y1="{head - 4}" y2="{bottom}"/>')
    if any(r.rows is not None for r in rows):
        parts.append(_text(WIDTH - 2, head - 8, "rows", "end", "soft"))
    for i, r in enumerate(rows):
        y = head + i * gap + 10
        parts.append(_text(left - 6, y + 4, _shorten(r.label, left), "end"))
        if r.rows is not None:
            parts.append(_text(WIDTH - 2, y + 4, number(r.rows), "end", "soft"))
        if r.value is None:
            parts.append(_text(left + 8, y + 4, "too few rows", "start", "soft"))
            continue
        tip = f"{r.label}: {number(r.value)} ({number(r.low)} to {number(r.high)})"
        if r.low is not None and r.high is not None:
            parts.append(
                f'<line class="l0" stroke-width="2" x1="{x(r.low):.1f}" x2="{x(r.high):.1f}" y1="{y}" y2="{y}"/>'
            )
        parts.append(
            f'<circle class="f0" r="4" cx="{x(r.value):.1f}" cy="{y}"><title>{_escape(tip)}</title></circle>'
        )
    parts.append(_text((left + right) / 2, bottom + 30, x_label, "middle", "soft"))
    summary = "; ".join(f"{r.label} {number(r.value)}" for r in rows[:12])
    return _svg(bottom + 36, title, summary, parts)


def heatmap(
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    values: Sequence[Sequence[float]],
    title: str,
    x_label: str,
    y_label: str,
) -> str:
    """Draw a matrix, shaded by each row's share, with its numbers where they fit."""
    if not len(values):
        return _empty(title)
    left = min(_label_width(row_labels) + 16, 170)
    size = min((WIDTH - left - 8) / len(column_labels), 90)
    height = min(max(size, 22), 48)
    head = 58
    parts = [
        _text(left + size * len(column_labels) / 2, 38, x_label, "middle", "soft"),
        f'<text class="soft" transform="translate(12 {head + height * len(row_labels) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{_escape(y_label)}</text>',
    ]
    for j, label in enumerate(column_labels):
        parts.append(_text(left + size * (j + 0.5), head - 5, _shorten(label, size + 6), "middle"))
    for i, (label, row) in enumerate(zip(row_labels, values, strict=True)):
        total = sum(row) or 1
        y = head + i * height
        parts.append(_text(left - 6, y + height / 2 + 4, _shorten(label, left - 18), "end"))
        for j, value in enumerate(row):
            x = left + j * size
            part = value / total
            parts.append(
                f'<rect class="f0" fill-opacity="{0.06 + 0.6 * part:.2f}" x="{x + 1:.1f}" y="{y + 1:.1f}" '
                f'width="{size - 2:.1f}" height="{height - 2:.1f}" rx="2"><title>{_escape(str(label))} → '
                f"{_escape(str(column_labels[j]))}: {number(value)} ({100 * part:.1f} %)</title></rect>"
            )
            if size >= len(number(value)) * CHARACTER:
                parts.append(_text(x + size / 2, y + height / 2 + 4, number(value), "middle", "cell-text"))
    summary = f"{len(row_labels)} by {len(column_labels)} matrix of {y_label} by {x_label}"
    return _svg(head + height * len(row_labels) + 8, title, summary, parts)


def spark_bars(values: Sequence[float], title: str, slots: int = 1) -> str:
    """Draw a tiny bar chart for a table cell, as one small path; empty when there is nothing to see.

    Args:
        values: Height of each bar, from 0; at most 48 of them.
        title: What it shows, for the ear.
        slots: Bars that would fill the width, where there are fewer.
    """
    top = max(values, default=0.0)
    if not top:
        return ""
    width = 96 // max(len(values), slots)
    path = "".join(
        f"M{i * width} 24v-{max(round(23 * v / top), 1)}h{width - 1}V24" for i, v in enumerate(values) if v
    )
    return (
        f'<svg viewBox="0 0 96 24" width="96" height="24" role="img" aria-label="{_escape(title)}">'
        f'<path class="f0" d="{path}"/></svg>'
    )


class _Plot:
    """Axes with a title and a legend; parts are added in data coordinates."""

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        x_ticks: list[float],
        y_ticks: list[float],
        legend: Sequence[str] = (),
    ) -> None:
        self.title = title
        self.x_ticks, self.y_ticks = x_ticks, y_ticks
        self.left = 14 + CHARACTER * max(len(tick_label(t)) for t in y_ticks)
        self.right = WIDTH - 14
        self.top = 66 if len(legend) > 1 else 46
        self.bottom = self.top + PLOT_HEIGHT
        self.parts: list[str] = [_text(4, self.top - 12, y_label, "start", "soft")]
        if len(legend) > 1:
            self.parts.append(_legend(legend, 32))
        for tick in y_ticks:
            y = self.y(tick)
            self.parts.append(
                f'<line class="grid" x1="{self.left:.1f}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            self.parts.append(_text(self.left - 5, y + 4, tick_label(tick), "end", "soft"))
        longest = max(len(tick_label(t)) for t in x_ticks) * CHARACTER + 12
        for tick in _thin(x_ticks, (self.right - self.left) / longest):
            self.parts.append(_text(self.x(tick), self.bottom + 16, tick_label(tick), "middle", "soft"))
        self.parts.append(
            f'<line class="axis" x1="{self.left:.1f}" x2="{self.right}" y1="{self.bottom}" y2="{self.bottom}"/>'
        )
        self.parts.append(_text((self.left + self.right) / 2, self.bottom + 34, x_label, "middle", "soft"))

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (_clip(value, low, high) - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (_clip(value, low, high) - low) / (high - low) * (self.bottom - self.top)

    def points(self, pairs: Iterable[tuple[float, float]]) -> str:
        return " ".join(
            f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in pairs if math.isfinite(a) and math.isfinite(b)
        )

    def add(self, part: str) -> None:
        self.parts.append(part)

    def render(self, summary: str) -> str:
        return _svg(self.bottom + 40, self.title, summary, self.parts)


def _svg(height: float, title: str, summary: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{_escape(f"{title}: {summary}")}">'
        f"{_text(4, 16, title, 'start', 'title')}{''.join(parts)}</svg>"
    )


def _empty(title: str) -> str:
    return _svg(60, title, "nothing to show", [_text(4, 42, "nothing to show", "start", "soft")])


def _legend(names: Sequence[str], y: float) -> str:
    parts, x = [], 4.0
    for i, name in enumerate(names):
        parts.append(f'<rect class="f{i % 6}" x="{x:.0f}" y="{y - 9}" width="10" height="10" rx="2"/>')
        parts.append(_text(x + 14, y, name, "start", "soft"))
        x += 30 + len(name) * CHARACTER
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    look = f' class="{style}"' if style else ""
    return f'<text{look} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escape(str(text))}</text>'


def _escape(text: str) -> str:
    return html.escape(str(text), quote=True)


def _label_width(labels: Sequence[str]) -> float:
    return min(max((len(str(label)) for label in labels), default=4) * CHARACTER + 14, 200)


def _shorten(label: str, width: float) -> str:
    fits = max(int((width - 8) / CHARACTER), 2)
    label = str(label)
    return label if len(label) <= fits else label[: fits - 1] + "…"


def _thin(values: Sequence[float], room_for: float) -> Sequence[float]:
    """Return every n-th value, so that at most `room_for` labels stand beside each other."""
    return values[:: max(1, math.ceil(len(values) / max(room_for, 1)))]


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)

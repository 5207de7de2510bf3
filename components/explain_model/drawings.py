"""Charts that only explanations need: bars to both sides, the attributions of all rows, a shaded table cell."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.components.explain_model.estimates import Floats
from penstock.components.html_report.charts import CHARACTER, WIDTH
from penstock.components.html_report.numbers import number, tick_label, ticks
from penstock.components.html_report.page import Html, escape

LABELS = 150.0  # width of the names, in units of the view box
NAMES = 224.0  # the same where a name stands with its value
NUMBER = 62.0  # width of a signed number beside its bar
ROW = 26
DOTS = 250  # of one feature: more add nothing to the eye
# Low values to high: from the first colour of the style sheet to the second.
SHADES = tuple(f"color-mix(in oklab,var(--s1) {share}%,var(--s0))" for share in (0, 25, 50, 75, 100))
NO_ORDER = "var(--s5)"


def signed_bars(labels: Sequence[str], values: Sequence[float], title: str, caption: str = "") -> str:
    """Draw bars to the right of a common line for positive values, to the left for negative ones."""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    left, right = NAMES, WIDTH - 4.0
    start = left + (NUMBER if low < 0 else 4)
    room = right - (NUMBER if high > 0 else 4) - start
    span = (high - low) or 1.0
    zero = start + room * (-low / span)
    parts, y = [], 28
    for label, value in zip(labels, values, strict=True):
        length = room * abs(value) / span
        style, sign = ("f1", "+") if value > 0 else ("f0", "−" if value < 0 else "")
        x = zero if value >= 0 else zero - length
        parts.append(_text(left - 6, y + 11, _shorten(label, left), "end"))
        parts.append(
            f'<rect class="{style}" x="{x:.1f}" y="{y}" width="{max(length, 0.5):.1f}" height="14" rx="2"/>'
        )
        shown = sign + number(abs(value), 3)
        if value >= 0:
            parts.append(_text(zero + length + 4, y + 11, shown, "start", "soft"))
        else:
            parts.append(_text(x - 4, y + 11, shown, "end", "soft"))
        y += 22
    parts.append(f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="22" y2="{y}"/>')
    told = "; ".join(f"{label} {number(value, 3)}" for label, value in zip(labels, values, strict=True))
    return _svg(y + 6, title, f"{caption} {told}".strip(), parts)


def beeswarm(
    names: Sequence[str],
    attributions: Sequence[Floats],
    columns: Sequence[NDArray[Any]],
    title: str,
    x_label: str,
) -> str:
    """Draw a dot for each row: its attribution across, rows that are alike above each other, value as colour.

    Args:
        names: Features, from top to bottom.
        attributions: (n,) for each feature.
        columns: (n,) values for each feature: numbers are coloured by rank, texts and missing ones are grey.
        title: What it shows.
        x_label: Unit of the axis.
    """
    ends = [float(v) for one in attributions for v in (one.min(), one.max())]
    scale = ticks(min([*ends, 0.0]), max([*ends, 0.0]))
    left, right, head = LABELS + 8, WIDTH - 10.0, 48
    bottom = head + ROW * len(names)

    def x(value: Any) -> Any:
        return left + (value - scale[0]) / (scale[-1] - scale[0]) * (right - left)

    parts = [_text(4, 34, "value:", "start", "soft")]
    for i, (text, colour) in enumerate(
        (("low", SHADES[0]), ("high", SHADES[-1]), ("text or missing", NO_ORDER))
    ):
        at = 50 + (0, 52, 108)[i]
        parts.append(f'<circle r="4" cx="{at}" cy="30" style="fill:{colour}"/>')
        parts.append(_text(at + 8, 34, text, "start", "soft"))
    room = max(int((right - left) / (max(len(tick_label(t)) for t in scale) * CHARACTER + 12)), 1)
    for tick in scale[:: max(1, -(-len(scale) // room))]:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{head}" y2="{bottom}"/>')
        parts.append(_text(float(x(tick)), bottom + 15, tick_label(tick), "middle", "soft"))
    parts.append(f'<line class="axis dashed" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="{head}" y2="{bottom}"/>')
    for i, (name, values, column) in enumerate(zip(names, attributions, columns, strict=True)):
        middle = head + ROW * i + ROW / 2
        parts.append(_text(LABELS, middle + 4, _shorten(name, LABELS), "end"))
        shade = _shades(column)[:DOTS]
        across = x(values[:DOTS])
        up = _spread(across)
        for code in np.unique(shade).tolist():
            colour = NO_ORDER if code < 0 else SHADES[code]
            path = "".join(
                f"M{a:.0f} {middle + b:.0f}h0"
                for a, b in zip(across[shade == code].tolist(), up[shade == code].tolist(), strict=True)
            )
            parts.append(
                f'<path d="{path}" style="stroke:{colour}" fill="none" stroke-width="4" '
                'stroke-linecap="round" opacity=".75"/>'
            )
    parts.append(_text((left + right) / 2, bottom + 31, x_label, "middle", "soft"))
    told = "; ".join(
        f"{name} from {number(float(v.min()), 3)} to {number(float(v.max()), 3)}"
        for name, v in zip(names, attributions, strict=True)
    )
    return _svg(bottom + 38, title, told, parts)


def shaded(text: str, strength: float) -> Html:
    """Return a table cell shaded from -1, the style's first colour, to 1, its second; the number stands in it."""
    colour = "var(--s1)" if strength > 0 else "var(--s0)"
    percent = round(55 * min(abs(strength), 1.0))
    return Html(
        f'<span style="display:block;margin:-.4rem -.7rem;padding:.4rem .7rem;'
        f'background:color-mix(in srgb,{colour} {percent}%,transparent)">{escape(text)}</span>'
    )


def _shades(column: NDArray[Any]) -> NDArray[np.intp]:
    """Return an index into SHADES by the rank of a number, -1 for what has no order."""
    if column.dtype == object:
        return np.full(len(column), -1)
    known = np.isfinite(column)
    distinct, place = np.unique(column[known], return_inverse=True)
    shade = np.full(len(column), -1)
    if len(distinct):
        cuts = np.quantile(column[known], [0.2, 0.4, 0.6, 0.8])
        shade[known] = np.searchsorted(cuts, distinct, side="left")[place]
    return shade


def _spread(across: Floats) -> Floats:
    """Return how far each dot is moved up or down, so that those at one place lie beside each other."""
    place = np.round(across / 3).astype(int)
    order = np.argsort(place, kind="stable")
    _, starts, counts = np.unique(place[order], return_index=True, return_counts=True)
    nth = np.empty(len(across))
    nth[order] = np.arange(len(across)) - np.repeat(starts, counts)
    gap = np.minimum(3.0, (ROW / 2 - 3) / np.maximum(counts / 2, 1))
    up = np.empty(len(across))
    up[order] = np.repeat(gap, counts)
    return up * np.ceil(nth / 2) * np.where(nth % 2, 1, -1)


def _svg(height: float, title: str, summary: str, parts: Sequence[str]) -> str:
    label = html.escape(f"{title}: {summary}", quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">'
        f"{_text(4, 16, title, 'start', 'title')}{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    look = f' class="{style}"' if style else ""
    return f'<text{look} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(str(text))}</text>'


def _shorten(label: str, width: float) -> str:
    fits = max(int(width / CHARACTER), 2)
    return label if len(label) <= fits else label[: fits - 1] + "…"

"""Draws the steps of a run as a graph: boxes with state and duration, in the order in which they depend."""

import itertools
from collections.abc import Callable, Sequence
from html import escape

from penstock.components.html_report.numbers import duration
from penstock.local.layers import layout
from penstock.local.progress import SYMBOLS
from penstock.local.runs import Step

BOX, DUMMY, HEIGHT = 172, 26, 40  # width of a step, of a passing edge, height of a step
GAP, RISE = 16, 30  # between boxes of a row, between rows
MARGIN = 8
LEVELS = {
    "succeeded": "pass",
    "cached": "info",
    "running": "info",
    "failed": "block",
    "blocked": "block",
    "interrupted": "warn",
}


def graph_svg(steps: Sequence[Step], link: Callable[[Step], str] = lambda step: "") -> str:
    """Return the graph as SVG.

    Args:
        steps: In the order in which they run.
        link: Returns where a step's box leads; empty for nowhere.
    """
    by_task = {step.task: step for step in steps}
    placed = layout({step.task: step.upstream for step in steps})
    width_of = {node: DUMMY if placed.is_dummy(node) else BOX for row in placed.rows for node in row}
    widths = [sum(width_of[node] + GAP for node in row) - GAP for row in placed.rows]
    width = max(widths, default=0) + 2 * MARGIN
    height = len(placed.rows) * (HEIGHT + RISE) - RISE + 2 * MARGIN
    middle: dict[str, tuple[float, float]] = {}
    for number, (row, taken) in enumerate(zip(placed.rows, widths, strict=True)):
        x = (width - taken) / 2
        for node in row:
            middle[node] = (x + width_of[node] / 2, MARGIN + number * (HEIGHT + RISE) + HEIGHT / 2)
            x += width_of[node] + GAP
    edges = "".join(_edge([middle[node] for node in path]) for path in placed.paths.values())
    boxes = "".join(
        _box(by_task[node], *middle[node], link(by_task[node])) for node in middle if node in by_task
    )
    told = "; ".join(f"{step.title}: {step.state}" for step in steps)
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width:.0f}px;margin:0 auto" role="img" '
        f'aria-label="Steps of the run. {escape(told)}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:var(--soft)"/></marker></defs>'
        f"{edges}{boxes}</svg>"
    )


def _edge(points: Sequence[tuple[float, float]]) -> str:
    """Return a curve from the bottom of the first point's box to the top of the last one's."""
    (x, y), half = points[0], HEIGHT / 2
    text = f"M{x:.1f} {y + half:.1f}"
    last = len(points) - 2
    for index, ((x, y), (to_x, to_y)) in enumerate(itertools.pairwise(points)):
        top = y + half
        bottom = to_y - half
        bend = (top + bottom) / 2
        text += f"C{x:.1f} {bend:.1f} {to_x:.1f} {bend:.1f} {to_x:.1f} {bottom:.1f}"
        if index < last:
            text += f"L{to_x:.1f} {to_y + half:.1f}"
    return f'<path d="{text}" style="fill:none;stroke:var(--soft);stroke-width:1.2" marker-end="url(#tip)"/>'


def _box(step: Step, x: float, y: float, target: str) -> str:
    level = LEVELS.get(step.state)
    fill, stroke = (f"var(--{level}-back)", f"var(--{level})") if level else ("var(--card)", "var(--line)")
    dashed = ";stroke-dasharray:4 3" if step.state in ("skipped", "pending") else ""
    took = (
        duration(step.seconds) if step.seconds is not None and step.state not in ("cached", "skipped") else ""
    )
    state = f"{SYMBOLS[step.state]} {step.state}{f', {took}' if took else ''}"
    title = step.title if len(step.title) <= 24 else step.title[:23] + "…"
    colour = f'style="fill:var(--{level})"' if level else 'class="soft"'
    box = (
        f'<rect x="{x - BOX / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{BOX}" height="{HEIGHT}" rx="7" '
        f'style="fill:{fill};stroke:{stroke};stroke-width:1.4{dashed}"/>'
        f'<text x="{x:.1f}" y="{y - 3:.1f}" text-anchor="middle" font-weight="600">{escape(title)}</text>'
        f'<text x="{x:.1f}" y="{y + 13:.1f}" text-anchor="middle" {colour}>{escape(state)}</text>'
    )
    return f'<a href="{escape(target, quote=True)}">{box}</a>' if target else box

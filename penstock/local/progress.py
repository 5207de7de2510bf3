"""Shows how a run goes, on stderr: a live table on a terminal, a line per change elsewhere."""

import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from penstock.components.html_report.numbers import duration
from penstock.local.runs import Run, Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SYMBOLS = {
    "pending": "·",
    "running": "▸",
    "succeeded": "✓",
    "cached": "↺",
    "failed": "✕",
    "blocked": "✕",
    "skipped": "–",
    "interrupted": "!",
}
COLOURS = {
    "running": "bold cyan",
    "succeeded": "green",
    "cached": "blue",
    "failed": "bold red",
    "blocked": "bold red",
    "interrupted": "bold yellow",
}
RISE = 30  # characters of the longest title that still lines up


def note(step: Step) -> str:
    """Return what there is to say about a step beside its state."""
    if step.state == "cached":
        return f"reused from {step.reused_from}"
    if step.state in ("failed", "blocked"):
        return step.error.splitlines()[0] if step.error else ""
    if step.state == "succeeded" and step.results.get("verdict") in ("warn", "block"):
        return f"verdict {step.results['verdict']}"
    return ""


class Lines:
    """Writes one line when a step changes its state."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stderr

    def started(self, run: Run, folder: Path) -> None:
        """Say which run begins."""
        self._write(f"run {run.id}: {run.pipeline}, app {run.app}")

    def changed(self, step: Step) -> None:
        """Say the step's new state."""
        took = duration(step.seconds) if step.state in ("succeeded", "failed", "blocked") else ""
        text = f"{SYMBOLS[step.state]} {step.state:<11} {step.title:<{RISE}} {took:>9}  {note(step)}"
        self._write(text.rstrip())

    def said(self, text: str) -> None:
        """Pass a line on."""
        self._write(f"  {text}")

    def ended(self, run: Run) -> None:
        """Add nothing: the summary follows."""

    def _write(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class LiveTable:
    """Keeps a table of all steps up to date on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)
        self.run: Run | None = None
        self._live: Live | None = None
        self._begun: dict[str, float] = {}

    def started(self, run: Run, folder: Path) -> None:
        """Draw the table."""
        from rich.live import Live

        self.run = run
        self.console.print(f"run [bold]{run.id}[/]: {run.pipeline}, app {run.app}")
        self._live = Live(
            console=self.console,
            get_renderable=self._table,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def changed(self, step: Step) -> None:
        """Begin or end the step's clock; the table reads the rest."""
        if step.state == "running":
            self._begun[step.task] = time.monotonic()

    def said(self, text: str) -> None:
        """Show a line above the table."""
        self.console.print(f"  {text}", markup=False, style="dim")

    def ended(self, run: Run) -> None:
        """Leave the table as it is."""
        if self._live is not None:
            self._live.refresh()
            self._live.stop()

    def _table(self) -> "Table":
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
        for step in list(self.run.steps if self.run else []):
            colour = COLOURS.get(step.state, "dim")
            seconds = step.seconds
            if step.state == "running":
                seconds = time.monotonic() - self._begun.get(step.task, time.monotonic())
            took = duration(seconds) if step.state not in ("pending", "skipped", "cached") else ""
            table.add_row(
                f"[{colour}]{SYMBOLS[step.state]}[/]",
                escape(step.title),
                f"[{colour}]{step.state}[/]",
                took,
                f"[dim]{escape(note(step))}[/]",
            )
        return table


def watcher() -> Lines | LiveTable:
    """Return what fits stderr."""
    return LiveTable() if sys.stderr.isatty() else Lines()

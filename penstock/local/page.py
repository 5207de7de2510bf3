"""The page of one run."""

from pathlib import Path

from penstock.local.runs import Run


def write_page(run: Run, folder: Path) -> None:
    """Write index.html."""

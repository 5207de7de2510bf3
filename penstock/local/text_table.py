"""Tables as plain text: aligned on a terminal, easy to cut elsewhere."""

import textwrap
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], widest: int = 48) -> str:
    """Return an aligned table; longer cells go on in the next line.

    >>> print(table(["step", "state"], [["train", "ok"]]))
    step   state
    -----  -----
    train  ok
    """
    wrapped = [[textwrap.wrap(cell, widest) or [""] for cell in row] for row in [head, *rows]]
    widths = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(head))]
    lines = []
    for number, row in enumerate(wrapped):
        for part in range(max(len(cell) for cell in row)):
            cells = [cell[part] if part < len(cell) else "" for cell in row]
            lines.append(
                "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
            )
        if number == 0:
            lines.append("  ".join("-" * width for width in widths).rstrip())
    return "\n".join(lines)

"""Renders a model card as HTML and as Markdown."""

from pathlib import Path

from penstock.components.html_report.numbers import number
from penstock.components.html_report.page import Cell, Column, Page, badge
from penstock.components.register_model.card import Card, Section, Table

LEVELS = ("pass", "warn", "block")


def write_html(card: Card, path: Path) -> None:
    """Write the card as a page."""
    page = Page(f"Model card: {card.title}", subtitle=card.subtitle)
    page.verdict(card.level, card.headline)
    page.facts(card.facts)
    for section in card.sections:
        if section.folded:
            with page.details(section.heading):
                _section(page, section)
        else:
            page.heading(section.heading)
            _section(page, section)
    page.write(path)


def markdown(card: Card) -> str:
    """Return the card as Markdown."""
    lines = [
        f"# Model card: {_flat(card.title)}",
        "",
        _flat(card.subtitle),
        "",
        f"**{_flat(card.headline)}**",
        "",
    ]
    lines += [f"- {_flat(label)}: {_flat(value)}" for label, value in card.facts.items()]
    for section in card.sections:
        lines += ["", f"## {_flat(section.heading)}"]
        if section.text:
            lines += ["", _flat(section.text)]
        if section.bullets:
            lines += ["", *(f"- {_flat(bullet)}" for bullet in section.bullets)]
        for table in section.tables:
            lines += ["", *_rows(table)]
    return "\n".join(lines).rstrip() + "\n"


def _section(page: Page, section: Section) -> None:
    if section.text:
        page.text(section.text)
    if section.bullets:
        page.list(section.bullets)
    if section.figure:
        page.figure(section.figure)
    for table in section.tables:
        columns = [Column(title, numeric=i in table.numeric) for i, title in enumerate(table.columns)]
        rows = [[badge(c) if i and c in LEVELS else c for i, c in enumerate(row)] for row in table.rows]
        page.table(columns, rows, caption=table.caption)


def _rows(table: Table) -> list[str]:
    return [
        f"| {' | '.join(_flat(title) or ' ' for title in table.columns)} |",
        f"|{'|'.join('---:' if i in table.numeric else '---' for i in range(len(table.columns)))}|",
        *(f"| {' | '.join(_flat(cell) for cell in row)} |" for row in table.rows),
    ]


def _flat(cell: Cell) -> str:
    """Return a cell as one line that no table breaks on."""
    text = number(cell) if cell is None or isinstance(cell, (int, float)) else str(cell)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

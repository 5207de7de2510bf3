"""HTML pages that open from a file: one file, nothing fetched, readable on a phone and in a screen reader.

    page = Page("Data validation", subtitle="taxi, 7,912 rows")
    page.verdict("block", "2 features violate the schema")
    page.facts({"Rows": "7,912"})
    page.table([Column("Feature"), Column("Rows", numeric=True)], [["fare", 12]], caption="Findings")
    page.write(path)

Texts are escaped; what is wrapped in `Html` is taken as it is.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.components.html_report.numbers import number
from penstock.components.html_report.style import STYLE

SYMBOLS = {"pass": "✓", "warn": "!", "block": "✕", "info": "i"}
WORDS = {"pass": "Pass", "warn": "Warning", "block": "Blocked", "info": "Note"}
LONG = 30  # characters of a cell that gets room to be read on a phone, where its table scrolls


class Html(str):
    """Markup that is already safe."""


Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A table column; numeric ones are right-aligned."""

    title: str
    numeric: bool = False


def escape(value: Cell) -> Html:
    """Return a cell or a text as markup; numbers with four significant digits."""
    if isinstance(value, Html):
        return value
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return Html(html.escape(number(value)))
    return Html(html.escape(str(value)))


def link(target: str, text: str) -> Html:
    """Return a link."""
    return Html(f'<a href="{html.escape(target, quote=True)}">{html.escape(text)}</a>')


def badge(level: str, text: str = "") -> Html:
    """Return a small mark for a verdict (pass, warn, block, info): a symbol and a word, not colour alone."""
    word = text or WORDS[level].lower()
    return Html(
        f'<span class="badge {level}"><span aria-hidden="true">{SYMBOLS[level]}</span> {html.escape(word)}</span>'
    )


def _cell(value: Cell, column: Column, is_first: bool) -> str:
    long = not isinstance(value, Html) and len(str(value)) > LONG
    kind = "number" if column.numeric else "long" if long else ""
    attributes = ' scope="row"' * is_first + f' class="{kind}"' * bool(kind)
    tag = "th" if is_first else "td"
    return f"<{tag}{attributes}>{escape(value)}</{tag}>"


class Page:
    """Collects the parts of a page from top to bottom."""

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._parts: list[str] = []
        self._tables = 0

    def verdict(self, level: str, text: str, word: str = "") -> None:
        """Add the banner that says how it went: level pass, warn, block or info; `word` in place of the level's."""
        self._parts.append(
            f'<p class="verdict {level}" role="status"><span class="symbol" aria-hidden="true">'
            f"{SYMBOLS[level]}</span><span><strong>{escape(word or WORDS[level])}</strong> {escape(text)}</span></p>"
        )

    def facts(self, facts: Mapping[str, Cell]) -> None:
        """Add key facts: a label and a short value each."""
        items = "".join(
            f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts.items()
        )
        self._parts.append(f'<dl class="facts">{items}</dl>')

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading (level 2 or 3) that can be linked to."""
        anchor = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        self._parts.append(f'<h{level} id="{anchor}">{escape(text)}</h{level}>')

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self._parts.append(f'<p class="note">{escape(text)}</p>')

    def list(self, items: Iterable[str]) -> None:
        """Add a bulleted list."""
        self._parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")

    def table(
        self, columns: Sequence[Column | str], rows: Iterable[Sequence[Cell]], caption: str = ""
    ) -> None:
        """Add a table; the first cell of each row is its header."""
        named = [Column(column) if isinstance(column, str) else column for column in columns]
        self._tables += 1
        name = f"table-{self._tables}"
        align = [' class="number"' if column.numeric else "" for column in named]
        head = "".join(
            f'<th scope="col"{a}>{escape(c.title)}</th>' for c, a in zip(named, align, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(_cell(*pair, at == 0) for at, pair in enumerate(zip(row, named, strict=True)))
            + "</tr>"
            for row in rows
        )
        title = f'<caption id="{name}"><span>{escape(caption)}</span></caption>' if caption else ""
        label = f'aria-labelledby="{name}"' if caption else 'aria-label="Table"'
        self._parts.append(
            f'<div class="scroll" role="region" tabindex="0" {label}><table>{title}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def figure(self, svg: str, caption: str = "") -> None:
        """Add a chart; figures that follow each other stand side by side where there is room."""
        text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        self._parts.append(f"<figure>{svg}{text}</figure>")

    def raw(self, markup: str) -> None:
        """Add markup as it is."""
        self._parts.append(markup)

    @contextmanager
    def details(self, summary: str, open_: bool = False) -> Iterator[None]:
        """Add a part that the reader can unfold; what is added inside goes there."""
        self._parts.append(f"<details{' open' if open_ else ''}><summary>{escape(summary)}</summary>")
        yield
        self._parts.append("</details>")

    def render(self) -> str:
        """Return the page."""
        body = re.sub(
            r"(?:<figure>.*?</figure>)+",
            lambda found: f'<div class="figures">{found.group()}</div>',
            "".join(self._parts),
            flags=re.DOTALL,
        )
        subtitle = f'<p class="subtitle">{escape(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head><body><main>"
            f"<header><h1>{escape(self.title)}</h1>{subtitle}</header>{body}</main></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.render(), encoding="utf-8")

"""How a CSV file is laid out: delimiter and column names, from its beginning."""

import csv
import io
from dataclasses import dataclass

from penstock.components.source_files.encoding import read_beginning
from penstock.components.source_files.listing import SourceFile
from penstock.components.step_io.errors import StepError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE_BYTES = 2**20
SAMPLE_RECORDS = 200
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Layout:
    """Delimiter and column names of a CSV file, and the lines before the header (blank ones)."""

    delimiter: str
    columns: tuple[str, ...]
    skip: int = 0


def read_layout(file: SourceFile) -> Layout:
    """Read the header of a CSV file and find its delimiter.

    The delimiter is the one of comma, semicolon, tab and bar that splits the header, and, where there
    are several such, the records after it into the same number of fields.

    Raises:
        StepError: Not UTF-8, no header, an ambiguous delimiter, or column names that are empty or twice
            there.
    """
    text, whole = read_beginning(file, SAMPLE_BYTES)
    if not text.strip():
        raise StepError(f"{file.name} holds nothing but blanks: write it again or leave it out of the source")
    stripped = text.lstrip("\r\n")
    blank = text[: len(text) - len(stripped)]
    skip = len(blank.splitlines())
    delimiter = _delimiter(file.name, stripped, whole)
    header = next(csv.reader(io.StringIO(stripped, newline=""), delimiter=delimiter))
    columns = tuple(name.strip() for name in header)
    check_names(file.name, columns)
    _check_is_header(file.name, columns)
    return Layout(delimiter, columns, skip)


def check_names(name: str, columns: tuple[str, ...]) -> None:
    """Refuse column names that are empty, twice there or not printable."""
    seen: dict[str, int] = {}
    for number, column in enumerate(columns, 1):
        if not column:
            raise StepError(
                f"{name}: column {number} of {len(columns)} has no name: name it in the first line"
            )
        if not column.isprintable():
            raise StepError(
                f"{name}: the name of column {number}, {column!r}, holds a control character: rename it"
            )
        if column.lower() in seen:
            first = seen[column.lower()]
            raise StepError(
                f"{name}: columns {first} and {number} are both named {column!r} (case does not count): rename one"
            )
        seen[column.lower()] = number


def _delimiter(name: str, text: str, whole: bool) -> str:
    """Return the delimiter that the beginning of a file shows; comma when there is one column."""
    widths = {d: _widths(text, d, whole) for d in DELIMITERS}
    splitting = [d for d, found in widths.items() if found[0] > 1]
    consistent = [d for d in splitting if len(set(widths[d])) == 1]
    candidates = consistent or splitting
    if len(candidates) > 1 and consistent:
        shown = " and ".join(f"{DELIMITERS[d]} ({widths[d][0]} columns)" for d in candidates)
        raise StepError(
            f"{name}: the delimiter is ambiguous between {shown}: quote the texts that hold one of them"
        )
    if not candidates:
        return ","
    # None fits all records: the one that splits the header most is meant, and a record is ragged.
    return max(candidates, key=lambda d: (widths[d][0], d == ","))


def _widths(text: str, delimiter: str, whole: bool) -> list[int]:
    """Return the number of fields of the first records; the last of a cut sample does not count."""
    widths: list[int] = []
    cut = True
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if len(widths) == SAMPLE_RECORDS:
                cut = False
                break
            if record:
                widths.append(len(record))
    except csv.Error:
        pass
    if cut and not whole and len(widths) > 1:
        widths.pop()
    return widths or [0]


def _check_is_header(name: str, columns: tuple[str, ...]) -> None:
    """Refuse a first line that is data: numbers only, and not merely 0, 1, 2 as names."""
    if all(_is_number(c) for c in columns) and not all(c.isdigit() for c in columns):
        raise StepError(
            f"{name}: the first line holds numbers, not column names: put a line with the names before it"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Finds where a text file is broken, once a read has failed: the exact byte, line or column."""

import csv
import io
import json

from penstock.components.source_files.csv_layout import DELIMITERS, Layout
from penstock.components.source_files.listing import SourceFile

CHUNK = 2**20


def find_bad_record(file: SourceFile, layout: Layout) -> str:
    """Return a sentence that names the first CSV line with a fault, or an empty text."""
    expected = len(layout.columns)
    line = 1
    with file.open() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        records = csv.reader(text, delimiter=layout.delimiter, strict=True)
        try:
            for record in records:
                if record and len(record) != expected:
                    named = DELIMITERS[layout.delimiter]
                    return (
                        f"{file.name}: line {line} has {len(record)} {'field' if len(record) == 1 else 'fields'}, the header has {expected} "
                        f"(delimiter: {named}): the line is cut off, or a text with the delimiter is not quoted"
                    )
                line = records.line_num + 1
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                return f"{file.name}: the quote that opens in line {line} is never closed: the file is cut off there"
            return f"{file.name}: line {line} has a quote inside a quoted text: double it"
    return _mixed_line_ends(file)


def _mixed_line_ends(file: SourceFile) -> str:
    with file.open() as stream:
        crlf = lf = 0
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            crlf += chunk.count(b"\r\n")
            lf += chunk.count(b"\n")
    if crlf and crlf != lf:
        return f"{file.name}: {crlf} lines end in CR LF and {lf - crlf} in LF: give all lines the same end"
    return ""


def find_bad_json(file: SourceFile) -> str:
    """Return a sentence that names the first line that is no JSON object, or an empty text."""
    with file.open() as stream:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
            if not text:
                continue
            try:
                value = json.loads(text)
            except ValueError as error:
                what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                at = f" column {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
                if number == 1 and text[0] == "[":
                    return f"{file.name} is one JSON array, not JSON Lines: write one object per line"
                return (
                    f"{file.name}: line {number}{at} is no JSON ({what}): write one complete object per line"
                )
            if not isinstance(value, dict):
                if number == 1 and isinstance(value, list):
                    return f"{file.name} is one JSON array, not JSON Lines: write one object per line"
                return f"{file.name}: line {number} is no JSON object: write one object per line"
    return ""

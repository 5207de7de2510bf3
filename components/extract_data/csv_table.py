"""CSV files as a DuckDB relation: types from all values of a column, not from a sample."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import duckdb

from penstock.components.duckdb_session.column_types import SQL_TYPES
from penstock.components.duckdb_session.session import (
    first_row,
    identifier,
    literal,
    one_line,
    resource_sentence,
)
from penstock.components.extract_data.faults import find_bad_record
from penstock.components.source_files.csv_layout import Layout, read_layout
from penstock.components.source_files.encoding import find_damage, find_invalid_byte
from penstock.components.source_files.listing import SourceFile
from penstock.components.step_io.errors import StepError

# What the values of a column are, as bits: a column's type follows from all of its values.
INTEGER, DECIMAL, LONG, BOOLEAN, TEXT = 1, 2, 4, 8, 16
SAMPLE_ROWS = 2_000
LONGEST_LINE = 8 * 2**20  # bytes
BUFFER = 32 * 2**20  # DuckDB would take 16 times the longest line, for each of several buffers
COLUMNS_AT_ONCE = 500  # of a wide file, so that one statement stays small

# Leading zeros make a text (0042 is an id), and so do a plus sign, 1_000 and 0x10.
FLOAT_PATTERN = r"-?(([1-9][0-9]*|0)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
NOT_FINITE_PATTERN = r"[+-]?(nan|NaN|NAN|inf|Inf|INF|[Ii]nfinity)"
LONG_PATTERN = r"-?[1-9][0-9]*"


@dataclass(frozen=True)
class Group:
    """Neighbouring files with the same layout: one scan reads them."""

    files: tuple[SourceFile, ...]
    layout: Layout


def csv_view(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    wanted: Callable[[Sequence[str]], set[str]],
) -> str:
    """Return the SELECT that reads the files, in their order, with columns united by name.

    A column is int64, double or bool when all its values are, else string; an empty field is missing.

    Args:
        connection: Where to read.
        files: Local files.
        wanted: Which of the columns are needed.

    Raises:
        StepError: A file is not what CSV in UTF-8 is; the sentence names the place.
    """
    layouts = [(file, read_layout(file)) for file in files]
    groups = [
        Group(tuple(file for file, _ in pairs), layout)
        for layout, pairs in ((key, list(found)) for key, found in groupby(layouts, key=lambda pair: pair[1]))
    ]
    spelling: dict[str, str] = {}  # the first file's spelling counts: DuckDB does not tell case apart
    for group in groups:
        for name in group.layout.columns:
            spelling.setdefault(name.lower(), name)
    names = [name for name in spelling.values() if name in wanted(list(spelling.values()))]
    kinds = dict.fromkeys(names, 0)
    for group in groups:
        present = {name.lower() for name in group.layout.columns}
        here = [name for name in names if name.lower() in present]
        with csv_errors(group):
            for name, kind in _kinds(connection, group, here).items():
                kinds[name] |= kind
    types = {name: column_type(kind) for name, kind in kinds.items()}
    selects = []
    for group in groups:
        present = {name.lower() for name in group.layout.columns}
        casts = [
            f"{_cast(name, types[name]) if name.lower() in present else f'CAST(NULL AS {SQL_TYPES[types[name]]})'} "
            f"AS {identifier(name)}"
            for name in names
        ]
        selects.append(f"SELECT {', '.join(casts)} FROM {_scan(group)}")
    return " UNION ALL ".join(selects)


def column_type(kinds: int) -> str:
    """Return the type of a column whose values are of these kinds; string when all are missing."""
    if kinds == BOOLEAN:
        return "bool"
    if kinds == INTEGER:
        return "int64"
    if kinds & DECIMAL and not kinds & (TEXT | BOOLEAN):
        return "double"
    return "string"


def _kinds(connection: duckdb.DuckDBPyConnection, group: Group, names: Sequence[str]) -> dict[str, int]:
    """Return the kinds of values of each column; a column that a sample shows to be text is not read further."""
    found: dict[str, int] = {}
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        part = names[start : start + COLUMNS_AT_ONCE]
        sample = f"(SELECT * FROM {_scan(group)} LIMIT {SAMPLE_ROWS})"
        seen = _kinds_in(connection, sample, dict.fromkeys(part, 0))
        open_ = {name: kinds for name, kinds in seen.items() if not kinds & TEXT}
        rest = _kinds_in(connection, _scan(group), open_) if open_ else {}
        found |= {name: seen[name] | rest.get(name, 0) for name in part}
    return found


def _kinds_in(
    connection: duckdb.DuckDBPyConnection, relation: str, expected: Mapping[str, int]
) -> dict[str, int]:
    measured = ", ".join(f"coalesce(bit_or({_kind(name, kinds)}), 0)" for name, kinds in expected.items())
    return dict(zip(expected, first_row(connection, f"SELECT {measured} FROM {relation}"), strict=True))


def _kind(name: str, expected: int) -> str:
    """Return the SQL expression of a value's kind; what is expected of the column is tried first, as it is fast."""
    column = identifier(name)
    value = f"trim({column})"
    fast = ""
    if column_type(expected) == "int64":
        fast = f"WHEN CAST(TRY_CAST({column} AS BIGINT) AS VARCHAR) = {column} THEN {INTEGER} "
    elif column_type(expected) == "double":
        fast = f"WHEN regexp_full_match({column}, '{FLOAT_PATTERN}') THEN {DECIMAL} "
    return (
        f"CASE WHEN {column} IS NULL THEN 0 {fast}"
        f"WHEN CAST(TRY_CAST({value} AS BIGINT) AS VARCHAR) = {value} THEN {INTEGER} "
        f"WHEN regexp_full_match({value}, '{LONG_PATTERN}') THEN {LONG} "
        f"WHEN regexp_full_match({value}, '{FLOAT_PATTERN}|{NOT_FINITE_PATTERN}') THEN {DECIMAL} "
        f"WHEN lower({value}) IN ('true', 'false') THEN {BOOLEAN} ELSE {TEXT} END"
    )


def _cast(name: str, type_: str) -> str:
    column = identifier(name)
    return column if type_ == "string" else f"CAST(trim({column}) AS {SQL_TYPES[type_]})"


def _scan(group: Group) -> str:
    paths = ", ".join(literal(file.path) for file in group.files)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in group.layout.columns)
    compression = {".gz": "gzip", ".zst": "zstd", "": "none"}[group.files[0].compression]
    return (
        f"read_csv([{paths}], auto_detect = false, header = true, skip = {group.layout.skip}, "
        f"delim = {literal(group.layout.delimiter)}, quote = '\"', escape = '\"', nullstr = '', "
        f"strict_mode = true, hive_partitioning = false, compression = '{compression}', max_line_size = {LONGEST_LINE}, buffer_size = {BUFFER}, columns = {{{columns}}})"
    )


@contextmanager
def csv_errors(group: Group) -> Iterator[None]:
    """Turn DuckDB's errors over CSV files into a StepError that names the place."""
    try:
        yield
    except duckdb.Error as error:
        raise StepError(csv_sentence([group], error)) from error


def csv_sentence(groups: Sequence[Group], error: duckdb.Error) -> str:
    """Look for what is wrong with the files and return it as a sentence."""
    if sentence := resource_sentence(error):
        return sentence
    for group in groups:
        for file in group.files:
            if (
                sentence := find_damage(file)
                or find_invalid_byte(file)
                or find_bad_record(file, group.layout)
            ):
                return sentence
    name = groups[0].files[0].name
    if "Maximum line size" in str(error):
        return f"{name}: a line is longer than {LONGEST_LINE // 2**20} MiB: shorten its texts"
    # Never DuckDB's whole message: it holds the line.
    return f"{name} cannot be read as CSV: {one_line(error).partition(' Original Line')[0]}"

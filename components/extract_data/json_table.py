"""JSON Lines files as a DuckDB relation."""

import json
from collections.abc import Callable, Sequence

import duckdb

from penstock.components.duckdb_session.session import (
    first_row,
    identifier,
    literal,
    one_line,
    resource_sentence,
)
from penstock.components.extract_data.faults import find_bad_json
from penstock.components.source_files.csv_layout import check_names
from penstock.components.source_files.encoding import find_damage, find_invalid_byte
from penstock.components.source_files.listing import SourceFile
from penstock.components.step_io.errors import StepError

# What DuckDB calls the union of a key's values; JSON is a mixture, read as text.
TYPES = {
    "UBIGINT": "BIGINT",
    "BIGINT": "BIGINT",
    "HUGEINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
}


def json_view(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    wanted: Callable[[Sequence[str]], set[str]],
) -> str:
    """Return the SELECT that reads the files, in their order, with keys united by name.

    Raises:
        StepError: A line is no JSON object, or a value is nested.
    """
    paths = ", ".join(literal(file.path) for file in files)
    source = (
        f"[{paths}], format = 'newline_delimited', hive_partitioning = false, maximum_object_size = 67108864"
    )
    try:
        row = first_row(
            connection, f"SELECT CAST(json_group_structure(json) AS VARCHAR) FROM read_json_objects({source})"
        )
    except duckdb.Error as error:
        raise StepError(_sentence(files, error)) from error
    structure = json.loads(row[0]) if row[0] else None
    if structure is None:
        raise StepError(f"{files[0].name} holds no JSON object: write it again or leave it out of the source")
    if structure == "JSON" and not _has_fault(files):
        raise StepError(
            f"{files[0].name} holds no key in any object: write it again or leave it out of the source"
        )
    if not isinstance(structure, dict):
        raise StepError(_sentence(files, None))
    names = _in_order(files[0], structure)
    check_names(files[0].name, tuple(names))
    names = [name for name in names if name in wanted(names)]
    nested = [name for name in names if isinstance(structure[name], (dict, list))]
    mixed = [name for name in names if structure[name] == "JSON"]
    nested += _nested(connection, source, mixed) if mixed else []
    if nested:
        raise StepError(
            f"{files[0].name}: the values of {nested[0]!r} are nested (objects or lists): "
            "write them as flat keys"
        )
    types = {name: TYPES.get(structure[name], "VARCHAR") for name in names}
    columns = ", ".join(f"{literal(name)}: '{type_}'" for name, type_ in types.items())
    values = ", ".join(
        f"nullif({identifier(name)}, '') AS {identifier(name)}" if type_ == "VARCHAR" else identifier(name)
        for name, type_ in types.items()
    )
    return f"SELECT {values} FROM read_json({source}, columns = {{{columns}}})"


def json_sentence(files: Sequence[SourceFile], error: duckdb.Error) -> str:
    """Look for what is wrong with the files and return it as a sentence."""
    return _sentence(files, error)


def _in_order(file: SourceFile, structure: dict[str, object]) -> list[str]:
    """Return the keys: the first line's in its order, then the others by name."""
    with file.open() as stream:
        first = next((line for line in stream if line.strip()), b"{}")
    try:
        start = list(json.loads(first.decode("utf-8-sig")))
    except ValueError:
        start = []
    return list(dict.fromkeys([*start, *sorted(structure)]))


def _nested(connection: duckdb.DuckDBPyConnection, source: str, names: Sequence[str]) -> list[str]:
    """Return those of the columns that hold an object or a list somewhere."""
    columns = ", ".join(f"{literal(name)}: 'JSON'" for name in names)
    checks = ", ".join(f"bool_or(json_type({identifier(n)}) IN ('OBJECT', 'ARRAY'))" for n in names)
    row = first_row(connection, f"SELECT {checks} FROM read_json({source}, columns = {{{columns}}})")
    return [name for name, found in zip(names, row, strict=True) if found]


def _has_fault(files: Sequence[SourceFile]) -> bool:
    return any(find_bad_json(file) for file in files)


def _sentence(files: Sequence[SourceFile], error: duckdb.Error | None) -> str:
    if error is not None and (full := resource_sentence(error)):
        return full
    for file in files:
        if sentence := find_damage(file) or find_invalid_byte(file) or find_bad_json(file):
            return sentence
    reason = one_line(error).partition(" Try setting")[0] if error else "no objects"
    return f"{files[0].name} cannot be read as JSON Lines: {reason}"

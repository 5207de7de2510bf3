"""DuckDB with bounded memory, and its errors as one sentence."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from penstock.components.step_io.cores import cores
from penstock.components.step_io.errors import StepError

MEMORY_BYTES = 2**30  # for DuckDB alone; Arrow batches and the Parquet writer come on top
SHARE_OF_CONTAINER = 0.5
BYTES_PER_THREAD = 2**26  # with less, a sort of many threads fails where it could spill
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def connect(scratch: Path, threads: int = 0) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database that spills to `scratch`, keeps rows in order and counts time in UTC.

    Args:
        scratch: Folder for what does not fit in memory.
        threads: 0 takes all cores that this process may use, as far as the memory serves them. One thread makes every query
            deterministic; with more, only those that keep the rows' order are.
    """
    connection = duckdb.connect(
        config={
            "threads": threads or max(1, min(cores(), memory_bytes() // BYTES_PER_THREAD)),
            "memory_limit": f"{memory_bytes() // 2**20}MiB",
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": True,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would be written between the lines of the log
    # DuckDB 2.0.0 moves TRY_CAST into the file scan as CAST, which fails instead of giving NULL:
    # https://github.com/duckdb/duckdb/issues/23818
    connection.execute("SET disabled_optimizers = 'type_pushdown'")
    return connection


def lock(connection: duckdb.DuckDBPyConnection, readable: Sequence[str]) -> None:
    """Shut the database off from everything but the files named; nothing can open it again."""
    connection.execute(f"SET allowed_paths = [{', '.join(map(literal, readable))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Return the first row of a statement that gives one."""
    return tuple(connection.execute(sql).fetchall()[0])


def stream(connection: duckdb.DuckDBPyConnection, sql: str, rows: int) -> Iterator[Any]:
    """Yield Arrow record batches of at most `rows` rows, in the order of the statement.

    Raises:
        duckdb.Error: Also where Arrow passes it on as an OSError, which names no error number.
    """
    reader = connection.sql(sql).to_arrow_reader(rows)
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except OSError as error:
            if error.errno is not None:
                raise
            raise duckdb.Error(str(error)) from error
        yield batch


def memory_bytes() -> int:
    """Return DuckDB's memory limit: 1 GiB, or half of the container's memory where that is less."""
    limits = [MEMORY_BYTES]
    for path in CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(int(text) * SHARE_OF_CONTAINER))
    return max(min(limits), 64 * 2**20)


def check_select(connection: duckdb.DuckDBPyConnection, sql: str, where: str) -> None:
    """Refuse what is not exactly one SELECT.

    Raises:
        StepError: It cannot be parsed, or does something else or more.
    """
    with query_errors(where):
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise StepError(f"{where}: expected exactly one SELECT, and nothing else")


@contextmanager
def query_errors(where: str) -> Iterator[None]:
    """Turn an error of DuckDB or of the disk below it into a StepError that begins with `where`."""
    try:
        yield
    except duckdb.Error as error:
        raise StepError(resource_sentence(error) or f"{where}: {one_line(error)}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StepError(resource_sentence(error)) from error


def resource_sentence(error: Exception) -> str:
    """Return a sentence when the error means a full disk or too little memory, else an empty text."""
    text = str(error)
    if (
        "No space left on device" in text
        or "failed to offload data block" in text
        or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))
    ):
        return (
            "no space left on the disk (of the outputs or of the temporary folder): free some and run again"
        )
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in text:
        return (
            f"the memory does not suffice (DuckDB may take {memory_bytes() // 2**20} MiB): "
            "select fewer columns or rows, or give the step more"
        )
    return ""


def one_line(error: Exception) -> str:
    """Return DuckDB's message without the picture of the statement, in one line."""
    text = str(error).partition("\n\nLINE ")[0].partition("\n\nStack Trace")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:500]


def literal(text: str) -> str:
    """Return an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

import duckdb
import pytest

from penstock.components.duckdb_session import session
from penstock.components.duckdb_session.session import (
    check_select,
    connect,
    first_row,
    lock,
    memory_bytes,
    one_line,
    query_errors,
)
from penstock.components.step_io.errors import StepError


def test_the_session_spills_to_its_scratch_folder(tmp_path):
    connection = connect(tmp_path, threads=1)
    connection.execute("SET memory_limit = '32MiB'")
    ordered = "SELECT i FROM range(5000000) t(i) ORDER BY hash(i) LIMIT 1 OFFSET 4999999"
    assert first_row(connection, f"SELECT count(*) FROM ({ordered})") == (1,)
    assert (tmp_path / "spill").exists()


def test_a_locked_session_reads_the_files_named_and_nothing_else(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("x\n1\n")
    connection = connect(tmp_path)
    lock(connection, [str(tmp_path / "a.csv")])
    assert first_row(connection, f"FROM read_csv('{tmp_path}/a.csv')") == (1,)
    for statement in (
        f"FROM read_csv('{tmp_path}/b.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/c.csv'",
        f"ATTACH '{tmp_path}/d.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(statement).fetchall()


def test_try_cast_of_a_file_gives_null(tmp_path):
    (tmp_path / "a.csv").write_text("x\nfive\n")
    columns = "columns = {'x': 'VARCHAR'}, auto_detect = false, header = true"
    scan = f"read_csv('{tmp_path}/a.csv', {columns})"
    assert first_row(connect(tmp_path), f"SELECT TRY_CAST(x AS INTEGER) FROM {scan}") == (None,)


@pytest.mark.parametrize(
    ("container", "expected"), [("max", 2**30), (str(2**40), 2**30), (str(2**29), 2**28), ("1", 2**26)]
)
def test_memory_is_bounded_by_the_container(tmp_path, monkeypatch, container, expected):
    (tmp_path / "memory.max").write_text(container + "\n")
    monkeypatch.setattr(session, "CGROUP_LIMITS", (str(tmp_path / "memory.max"), "/not/there"))
    assert memory_bytes() == expected


def test_threads_are_bounded_by_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "cores", lambda: 64)
    monkeypatch.setattr(session, "memory_bytes", lambda: 4 * session.BYTES_PER_THREAD)
    assert first_row(connect(tmp_path), "SELECT current_setting('threads')") == (4,)


def test_one_select_passes(tmp_path):
    check_select(connect(tmp_path), "WITH a AS (SELECT 1) FROM a", "query")


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "CREATE TABLE a (i INT)", "", "COPY (SELECT 1) TO 'a.csv'"]
)
def test_all_else_is_refused(tmp_path, sql):
    with pytest.raises(StepError) as caught:
        check_select(connect(tmp_path), sql, "query")
    assert str(caught.value) == "query: expected exactly one SELECT, and nothing else"


def test_a_message_is_one_line_without_the_statement():
    assert one_line(Exception("Binder Error: no\nCandidates: a\n\nLINE 1: SELECT b\n   ^")) == (
        "Binder Error: no Candidates: a"
    )


def test_too_little_memory_is_said(tmp_path):
    connection = connect(tmp_path)
    connection.execute("SET memory_limit = '1MiB'")
    with pytest.raises(StepError) as caught, query_errors("data.query"):
        connection.execute("SELECT list(i) FROM range(10000000) t(i)").fetchall()
    assert str(caught.value) == (
        f"the memory does not suffice (DuckDB may take {memory_bytes() // 2**20} MiB): "
        "select fewer columns or rows, or give the step more"
    )

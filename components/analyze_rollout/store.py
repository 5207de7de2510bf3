"""What is kept of the logs between calls: one SQLite file with counts, cursors, and what waits to be joined.

Counts by version and period add up whatever the order in which files are read, so that going on gives the same
as beginning anew. Request ids stand as 64-bit hashes; SQLite keeps them on disk, memory holds its cache only.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError

FORMAT = 1
CACHE_KIB = 65_536
SEGMENTS_KEPT = 10_000  # in memory
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (name TEXT PRIMARY KEY, version TEXT, offset INTEGER) WITHOUT ROWID;
CREATE TABLE counts (version TEXT, period INTEGER, what TEXT, n INTEGER,
    PRIMARY KEY (version, period, what)) WITHOUT ROWID;
CREATE TABLE bins (version TEXT, period INTEGER, what TEXT, bin INTEGER, n INTEGER,
    PRIMARY KEY (version, period, what, bin)) WITHOUT ROWID;
CREATE TABLE notes (what TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
CREATE TABLE segments (id INTEGER PRIMARY KEY, value TEXT UNIQUE);
CREATE TABLE requests (id INTEGER PRIMARY KEY, version TEXT, time REAL, segment INTEGER);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, value REAL, time REAL);
CREATE TABLE answers (id INTEGER, version TEXT, score REAL, label TEXT, PRIMARY KEY (id, version)) WITHOUT ROWID;
CREATE TABLE decisions (time REAL, action TEXT, before TEXT, weights TEXT, reason TEXT);
"""
# Of several requests or outcomes with one id the earliest counts, in whatever order they are read.
ADD_REQUEST = """INSERT INTO requests VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version,
    time = excluded.time, segment = excluded.segment WHERE (excluded.time, excluded.version) < (time, version)"""
ADD_OUTCOME = """INSERT INTO outcomes VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value,
    time = excluded.time WHERE (excluded.time, excluded.value) < (time, value)"""
ADD_ANSWER = "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)"


class Store:
    """The state of one rollout's analysis."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Open the state, or begin anew where it is of another rollout or of other settings.

        Args:
            path: The file; made when it is not there.
            about: What the counts depend on.

        Raises:
            StepError: The file is no such state.
        """
        self.path = path
        self.began_anew = ""
        self._about = json.dumps(about, sort_keys=True)
        try:
            self._open()
            if not self._tables():
                self._make()
            elif self.meta("format") != str(FORMAT) or self.meta("about") != self._about:
                self.begin_anew("the rollout or what is counted has changed")
        except sqlite3.DatabaseError as error:
            raise StepError(
                f"the state {path.name!r} cannot be read ({error}): delete it, it is made anew from the logs"
            ) from error
        self._segments: dict[tuple[str, ...], int] = {}
        self.counts: Counter[tuple[str, int, str]] = Counter()
        self.bins: Counter[tuple[str, int, str, int]] = Counter()
        self.notes: Counter[str] = Counter()
        self.requests: list[tuple[int, str, float, int | None]] = []
        self.outcomes: list[tuple[int, float, float]] = []
        self.answers: list[tuple[int, str, float | None, str | None]] = []

    def _open(self) -> None:
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # The file is a copy or can be made anew: a crash loses nothing that the logs do not have.
        self.db.execute("PRAGMA journal_mode = MEMORY")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("BEGIN")

    def _tables(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _make(self) -> None:
        for statement in TABLES.split(";"):
            if statement.strip():
                self.db.execute(statement)
        self.db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [("format", str(FORMAT)), ("about", self._about)]
        )

    def begin_anew(self, why: str) -> None:
        """Forget everything but the decisions: the logs are read from the start."""
        self.began_anew = why
        decisions = []
        if "decisions" in self._tables():
            decisions = self.db.execute("SELECT * FROM decisions").fetchall()
        for table in self._tables():
            self.db.execute(f'DROP TABLE "{table}"')
        self._make()
        self.db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", decisions)
        self.counts, self.bins, self.notes = Counter(), Counter(), Counter()
        self.requests, self.outcomes, self.answers = [], [], []
        self._segments = {}

    def meta(self, key: str) -> str:
        """Return a remembered text, or an empty one."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def cursor(self, name: str) -> tuple[str, int]:
        """Return the version and the offset up to which a file has been read."""
        row = self.db.execute("SELECT version, offset FROM files WHERE name = ?", (name,)).fetchone()
        return (row[0], row[1]) if row else ("", 0)

    def move_cursor(self, name: str, version: str, offset: int) -> None:
        """Remember how far a file has been read."""
        self.db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (name, version, offset))

    def segment(self, values: tuple[str, ...]) -> int:
        """Return the number of a combination of segment values."""
        if values in self._segments:
            return self._segments[values]
        text = json.dumps(values, ensure_ascii=False)
        self.db.execute("INSERT OR IGNORE INTO segments (value) VALUES (?)", (text,))
        row = self.db.execute("SELECT id FROM segments WHERE value = ?", (text,)).fetchone()
        if len(self._segments) >= SEGMENTS_KEPT:
            self._segments.clear()
        self._segments[values] = int(row[0])
        return self._segments[values]

    def flush(self) -> None:
        """Write what has been collected."""
        add = "ON CONFLICT DO UPDATE SET n = n + excluded.n"
        self.db.executemany(
            f"INSERT INTO counts VALUES (?, ?, ?, ?) {add}", [(*k, n) for k, n in self.counts.items()]
        )
        self.db.executemany(
            f"INSERT INTO bins VALUES (?, ?, ?, ?, ?) {add}", [(*k, n) for k, n in self.bins.items()]
        )
        self.db.executemany(f"INSERT INTO notes VALUES (?, ?) {add}", list(self.notes.items()))
        self.db.executemany(ADD_REQUEST, self.requests)
        self.db.executemany(ADD_OUTCOME, self.outcomes)
        self.db.executemany(ADD_ANSWER, self.answers)
        self.counts.clear()
        self.bins.clear()
        self.notes.clear()
        self.requests.clear()
        self.outcomes.clear()
        self.answers.clear()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a statement."""
        return self.db.execute(sql, values).fetchall()

    def noted(self) -> dict[str, int]:
        """Return what was noted and how often."""
        return dict(self.rows("SELECT what, n FROM notes"))

    def add_decision(self, row: Iterable[Any]) -> None:
        """Remember a decision: time, action, weights before and after, first reason."""
        self.db.execute("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", tuple(row))

    def close(self) -> None:
        """Write everything to the file."""
        self.flush()
        self.db.execute("COMMIT")
        self.db.close()

"""MLflow's SQLite store without importing MLflow: 20 ms instead of the 1.6 s that importing and opening take.

It reads and writes MLflow's own tables at one known revision (`mlflow_schema.REVISION`) and is never used
on another: `open_store` gives those to MLflow. The same tests run against both stores, and each reads
what the other wrote.
"""

import contextlib
import getpass
import math
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.components.model_registry import mlflow_limits as limits
from penstock.components.model_registry.locks import file_lock
from penstock.components.model_registry.mlflow_schema import REVISION, SCHEMA
from penstock.components.model_registry.names import ARTIFACTS, PARENT
from penstock.components.model_registry.places import local_folder
from penstock.components.model_registry.store import StoredRun, Version
from penstock.components.step_io.errors import StepError

WAIT_S = 20.0  # for another process's transaction: MLflow's own busy_timeout
RUN_NAME, USER = "mlflow.runName", "mlflow.user"


class SqliteStore:
    """A local MLflow store in one SQLite file, its artifacts in a folder beside it."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri, self.path = uri, path
        self.artifacts = path.parent / ARTIFACTS
        self._connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        self._connection.execute("pragma foreign_keys = on")
        self._depth = 0

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes of this machine from registering and promoting."""
        return file_lock(self.path.with_name(self.path.name + ".lock"))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of what happens inside, or nothing."""
        with clear_errors(self.path):
            if self._depth == 0:
                self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("commit")

    # Versions and aliases

    def versions(self, model: str, tags: Mapping[str, str] = {}) -> list[Version]:
        """Return the versions that carry all `tags`, newest first."""
        condition, values = _carrying("model_version_tags", "t.name = v.name and t.version = v.version", tags)
        return self._versions(f"v.name = ? {condition}", [model, *values])

    def version_of(self, model: str, alias: str) -> Version | None:
        """Return the version that an alias points at."""
        found = self._versions(
            "v.name = ? and v.version = (select version from registered_model_aliases"
            " where workspace = 'default' and name = v.name and alias = ?)",
            [model, alias],
        )
        return found[0] if found else None

    def create_version(
        self, model: str, source: str, run_id: str, description: str, tags: Mapping[str, str]
    ) -> Version:
        """Register a version, and the model with its first one."""
        now = _now_ms()
        with self.transaction():
            self._write(
                "insert into registered_models (name, creation_time, last_updated_time, description)"
                " values (?, ?, ?, '') on conflict do update set last_updated_time = excluded.last_updated_time",
                [model, now, now],
            )
            number = self._rows(
                "select coalesce(max(version), 0) + 1 from model_versions where name = ?", [model]
            )
            self._write(
                "insert into model_versions (name, version, creation_time, last_updated_time, description,"
                " current_stage, source, run_id, status, storage_location)"
                " values (?, ?, ?, ?, ?, 'None', ?, ?, 'READY', ?)",
                [model, number[0][0], now, now, description, source, run_id, source],
            )
            self.tag_version(model, number[0][0], tags)
        return self._versions("v.name = ? and v.version = ?", [model, number[0][0]])[0]

    def delete_version(self, model: str, number: int) -> None:
        """Take a version back; its number is not given again."""
        with self.transaction():
            for table in ("model_version_tags", "registered_model_aliases"):
                self._write(f"delete from {table} where name = ? and version = ?", [model, number])
            self._write(
                "update model_versions set current_stage = 'Deleted_Internal' where name = ? and version = ?",
                [model, number],
            )

    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self.transaction():
            for key, value in tags.items():
                self._write(
                    'insert into model_version_tags ("key", value, name, version) values (?, ?, ?, ?)'
                    " on conflict do update set value = excluded.value",
                    [key, limits.shorten(value, limits.LONGEST_VERSION_TAG), model, number],
                )

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a version, in one move."""
        with self.transaction():
            if not self._rows("select 1 from model_versions where name = ? and version = ?", [model, number]):
                raise StepError(f"{self.path} holds no version {number} of the model {model!r}")
            self._write(
                "insert into registered_model_aliases (alias, version, name) values (?, ?, ?)"
                " on conflict do update set version = excluded.version",
                [alias, number, model],
            )

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away, if it is there."""
        with self.transaction():
            self._write("delete from registered_model_aliases where name = ? and alias = ?", [model, alias])

    # Runs

    def runs(
        self, experiment: str, tags: Mapping[str, str], most: int = 1, but_not: Mapping[str, str] = {}
    ) -> list[StoredRun]:
        """Return the runs that carry all of `tags` and none of `but_not`, last started first."""
        have, wanted = _carrying("tags", "t.run_uuid = r.run_uuid", tags)
        lack, unwanted = _carrying("tags", "t.run_uuid = r.run_uuid", but_not, "not exists")
        return self._runs(
            "e.name = ? and e.lifecycle_stage = 'active' and r.lifecycle_stage = 'active'"
            f" {have} {lack} order by r.start_time desc, r.run_uuid limit ?",
            [experiment, *wanted, *unwanted, most],
        )

    def start_run(
        self, experiment: str, name: str, started_ms: int, tags: Mapping[str, str], parent: str = ""
    ) -> StoredRun:
        """Begin a run, and the experiment with its first one."""
        run_id = uuid.uuid4().hex
        user = _user()
        with self.transaction():
            experiment_id, location = self._experiment(experiment)
            self._write(
                "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
                " start_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
                " values (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, '', 'active', ?, ?)",
                [run_id, name, user, started_ms, f"{location}/{run_id}/artifacts", experiment_id],
            )
            own = {RUN_NAME: name, USER: user, **({PARENT: parent} if parent else {})}
            self.log(run_id, tags={**own, **tags})
        return self._runs("r.run_uuid = ?", [run_id])[0]

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, str] = {},
        metrics: Mapping[str, float] = {},
        tags: Mapping[str, str] = {},
        at_ms: int = 0,
    ) -> None:
        """Write parameters, metrics and tags of a run; a parameter that is there already stays as it is."""
        at_ms = at_ms or _now_ms()
        with self.transaction():
            self._write_all(
                'insert or ignore into params ("key", value, run_uuid) values (?, ?, ?)',
                [
                    (key, limits.shorten(value, limits.LONGEST_PARAMETER), run_id)
                    for key, value in parameters.items()
                ],
            )
            self._write_all(
                'insert into tags ("key", value, run_uuid) values (?, ?, ?)'
                " on conflict do update set value = excluded.value",
                [(key, limits.shorten(value, limits.LONGEST_RUN_TAG), run_id) for key, value in tags.items()],
            )
            rows = [(key, *_storable(value), at_ms, run_id) for key, value in metrics.items()]
            self._write_all(
                'insert or ignore into metrics ("key", value, is_nan, timestamp, run_uuid, step)'
                " values (?, ?, ?, ?, ?, 0)",
                rows,
            )
            self._write_all(
                'insert into latest_metrics ("key", value, is_nan, timestamp, run_uuid, step)'
                " values (?, ?, ?, ?, ?, 0) on conflict do update set value = excluded.value,"
                " is_nan = excluded.is_nan, timestamp = excluded.timestamp",
                rows,
            )

    def end_run(self, run_id: str, status: str, ended_ms: int) -> None:
        """Say how a run ended: FINISHED, FAILED or KILLED."""
        with self.transaction():
            self._write(
                "update runs set status = ?, end_time = ? where run_uuid = ?", [status, ended_ms, run_id]
            )

    # Artifacts

    def put_folders(self, run: StoredRun, folders: Mapping[str, Path]) -> dict[str, str]:
        """Copy folders into a run's artifacts under these names and return their URIs."""
        copied = {}
        for name, source in folders.items():
            target = self._folder_of(run) / name
            partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            try:
                shutil.copytree(source, partial)
                shutil.rmtree(target, ignore_errors=True)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            copied[name] = str(target)
        return copied

    def fetch_folder(self, uri: str, target: Path) -> None:
        """Copy a folder of artifacts to `target`, which is not there yet."""
        source = local_folder(uri)
        if source is None:
            from penstock.components.model_registry.mlflow_store import MlflowStore

            MlflowStore(self.uri).fetch_folder(uri, target)
            return
        if not source.is_dir():
            raise StepError(f"{source} is gone: restore it, or point the alias at another version")
        shutil.copytree(source, target)

    def _folder_of(self, run: StoredRun) -> Path:
        folder = local_folder(run.artifact_uri)
        if folder is None:
            raise StepError(
                f"the run {run.name!r} keeps its artifacts at {run.artifact_uri}, not beside {self.path}: "
                "name its tracking server in registry_uri"
            )
        return folder

    # Rows

    def _versions(self, condition: str, values: list[Any]) -> list[Version]:
        rows = self._rows(
            "select v.name, v.version, v.source, v.run_id, v.description, v.creation_time from model_versions v"
            f" where v.workspace = 'default' and v.current_stage <> 'Deleted_Internal' and {condition}"
            " order by v.version desc",
            values,
        )
        return [
            Version(
                model=model,
                number=number,
                source=source,
                run_id=run_id or "",
                description=description or "",
                tags=dict(
                    self._rows(
                        'select "key", value from model_version_tags where name = ? and version = ?',
                        [model, number],
                    )
                ),
                aliases=frozenset(
                    alias
                    for (alias,) in self._rows(
                        "select alias from registered_model_aliases where name = ? and version = ?",
                        [model, number],
                    )
                ),
                created_ms=created,
            )
            for model, number, source, run_id, description, created in rows
        ]

    def _runs(self, condition: str, values: list[Any]) -> list[StoredRun]:
        rows = self._rows(
            "select r.run_uuid, r.name, r.status, r.artifact_uri, r.start_time from runs r"
            f" join experiments e on e.experiment_id = r.experiment_id where {condition}",
            values,
        )
        query = 'select "key", value from tags where run_uuid = ?'
        return [
            StoredRun(run_id, name, status, artifact_uri, started, dict(self._rows(query, [run_id])))
            for run_id, name, status, artifact_uri, started in rows
        ]

    def _experiment(self, name: str) -> tuple[int, str]:
        """Return the id and the artifact location of an experiment, which is made or brought back if need be."""
        found = self._rows(
            "select experiment_id, artifact_location from experiments where workspace = 'default' and name = ?",
            [name],
        )
        now = _now_ms()
        if not found:
            self._write(
                "insert into experiments (name, lifecycle_stage, creation_time, last_update_time)"
                " values (?, 'active', ?, ?)",
                [name, now, now],
            )
            number = self._rows("select last_insert_rowid()", [])[0][0]
            found = [(number, str(self.artifacts / str(number)))]
            self._write(
                "update experiments set artifact_location = ? where experiment_id = ?", [found[0][1], number]
            )
        else:
            self._write(
                "update experiments set lifecycle_stage = 'active' where experiment_id = ?", [found[0][0]]
            )
        return found[0]

    def _rows(self, query: str, values: list[Any]) -> list[Any]:
        with clear_errors(self.path):
            return self._connection.execute(query, values).fetchall()

    def _write(self, query: str, values: list[Any]) -> None:
        self._connection.execute(query, values)

    def _write_all(self, query: str, rows: list[Any]) -> None:
        if rows:
            self._connection.executemany(query, rows)


def revision(path: Path) -> str:
    """Return the revision of the MLflow database at `path`; empty when the file holds no tables yet."""
    with clear_errors(path), contextlib.closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        tables = {
            name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
        }
        if "alembic_version" not in tables:
            return "" if not tables else "unknown"
        found = connection.execute("select version_num from alembic_version").fetchone()
        return found[0] if found else "unknown"


def create_database(path: Path) -> None:
    """Make MLflow's tables in an empty database, all at once."""
    with clear_errors(path), contextlib.closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        connection.executescript(f"begin immediate;\n{SCHEMA}\n")
        now = _now_ms()
        connection.execute(
            "insert into experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            " last_update_time) values (0, 'Default', ?, 'active', ?, ?)",
            [str(path.parent / ARTIFACTS / "0"), now, now],
        )
        connection.commit()


def is_current(found: str) -> bool:
    """Tell whether a database of this revision is one that SqliteStore knows."""
    return found == REVISION


@contextlib.contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text:
            raise StepError(
                f"the MLflow database {path} has been locked by another process for {WAIT_S:.0f} s: run again later"
            ) from error
        if "disk is full" in text:
            raise StepError(f"no space left on the disk of {path}: free some and run again") from error
        raise StepError(
            f"the MLflow database {path} cannot be used ({text}): correct its path in registry_uri, or its permissions"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StepError(
            f"{path} is no SQLite database, or a damaged one ({error}): correct registry_uri or restore the file"
        ) from error


def _carrying(
    table: str, join: str, tags: Mapping[str, str], exists: str = "exists"
) -> tuple[str, list[str]]:
    """Return an SQL condition on tags, and its values."""
    one = f'and {exists} (select 1 from {table} t where {join} and t."key" = ? and t.value = ?)'
    return " ".join([one] * len(tags)), [text for pair in tags.items() for text in pair]


def _storable(value: float) -> tuple[float, bool]:
    """Return a metric as MLflow stores it, and whether it is not a number."""
    if math.isnan(value):
        return 0.0, True
    if math.isinf(value):
        return math.copysign(1.7976931348623157e308, value), False
    return float(value), False


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # a user without a name, as in containers


def _now_ms() -> int:
    return int(time.time() * 1000)

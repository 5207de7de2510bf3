"""Run folders: .penstock/runs/<id>/ with run.json, which is rewritten whole at each change.

A folder holds `lock` while its run is alive: a file locked by the runner. The kernel frees the lock when
the runner dies, however it dies, so a run is never shown as running when nobody runs it.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penstock.components.step_io.record import now
from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project

LATEST = "latest"
PARTIAL = ".partial"


@dataclass
class Step:
    """One step of one run."""

    task: str
    title: str
    step: str
    state: str = "pending"  # running succeeded cached failed blocked skipped interrupted
    started: str = ""
    ended: str = ""
    seconds: float | None = None
    reused_from: str = ""  # run id
    log: str = ""  # relative to the run folder
    record: dict[str, Any] | None = None
    image: str = ""
    upstream: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)  # path or URI of each output artifact
    reports: dict[str, str] = field(default_factory=dict)  # by output, relative to the run folder
    peak_mib: float | None = None
    is_exit: bool = False

    @property
    def results(self) -> dict[str, Any]:
        """The output parameters."""
        return (self.record or {}).get("results") or {}

    @property
    def error(self) -> str:
        """The step's own sentence about what went wrong; empty when nothing did."""
        return (self.record or {}).get("error") or ""

    @property
    def reasons(self) -> list[str]:
        """The reasons of a verdict, worst first."""
        return (self.record or {}).get("reasons") or []


@dataclass
class Run:
    """What run.json holds."""

    id: str
    pipeline: str
    app: str
    state: str = "running"  # succeeded unchanged blocked failed interrupted
    started: str = ""
    ended: str = ""
    command: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    app_version: str = ""
    code_version: str = ""
    error: str = ""  # of the runner itself, not of a step
    executor: str = "process"  # or docker
    steps: list[Step] = field(default_factory=list)

    def step_of(self, task: str) -> Step:
        """Return a step by its task name."""
        return next(step for step in self.steps if step.task == task)

    def first(self, folder_name: str) -> Step | None:
        """Return the first step made of the given component folder."""
        return next((step for step in self.steps if step.step == folder_name), None)

    @property
    def stopped_at(self) -> Step | None:
        """The step that ended the run: the first that failed, blocked or was interrupted."""
        ended = [step for step in self.steps if step.state in ("failed", "blocked", "interrupted")]
        return min(ended, key=lambda step: (step.is_exit, step.started), default=None)

    @property
    def seconds(self) -> float | None:
        """Wall time so far."""
        if not self.started:
            return None
        end = self.ended or now()
        between = datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(self.started)
        return between.total_seconds()


class RunFolder:
    """The folder of a run that this process runs."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run = run
        self._lock = threading.RLock()
        self._alive: int | None = _lock_file(path / "lock")

    @classmethod
    def create(cls, project: Project, pipeline: str, app: str, **fields: Any) -> "RunFolder":
        """Make the folder of a new run.

        Raises:
            OSError: The state folder cannot be written.
        """
        project.runs.mkdir(parents=True, exist_ok=True)
        while True:
            moment = datetime.datetime.now()  # to the millisecond: ids sort by time
            run_id = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}"
            path = project.runs / run_id
            try:
                path.mkdir()
                break
            except FileExistsError:
                continue
        for name in ("logs", "reports", "scratch"):
            (path / name).mkdir()
        folder = cls(path, Run(run_id, pipeline, app, started=now(), **fields))
        folder.save()
        point_latest_at(path)
        return folder

    def save(self) -> None:
        """Write run.json."""
        with self._lock:
            write_run(self.path, self.run)

    def close(self) -> None:
        """Say that nobody runs this any more."""
        (self.path / "lock").unlink(missing_ok=True)
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None


def check_state_folder(project: Project) -> None:
    """Make the state folder, and see that it can be written.

    Raises:
        UserError: It cannot.
        OSError: Its disk is full.
    """
    probe = project.state / f".probe-{secrets.token_hex(4)}"
    try:
        project.runs.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 4096)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, str(project.state)) from error
        raise UserError(
            f"{project.state} cannot be written ({error.strerror}): mend that, "
            "or name another folder with the environment variable PENSTOCK_HOME"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def write_run(folder: Path, run: Run) -> None:
    """Replace run.json."""
    partial = folder / f"run.json{PARTIAL}"
    partial.write_text(json.dumps(asdict(run), indent=1, ensure_ascii=False, default=str), encoding="utf-8")
    partial.replace(folder / "run.json")


def read_run(folder: Path) -> Run:
    """Return the run of a folder; one whose runner died is interrupted.

    Raises:
        UserError: run.json is missing or cannot be read.
    """
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        known = {name: content[name] for name in Run.__dataclass_fields__ if name in content}
        steps = [
            Step(**{name: value for name, value in step.items() if name in Step.__dataclass_fields__})
            for step in content["steps"]
        ]
        run = Run(**{**known, "steps": steps})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'run.json'} cannot be read ({error})") from error
    if run.state == "running" and not is_alive(folder):
        mark_interrupted(run)
    return run


def mark_interrupted(run: Run) -> None:
    """Say that a run ended before its pipeline did."""
    run.state = "interrupted"
    moments = [run.started, *(moment for step in run.steps for moment in (step.started, step.ended))]
    run.ended = run.ended or max(moments)  # the last that is known
    for step in run.steps:
        if step.state == "running":
            step.state = "interrupted"
        elif step.state == "pending":
            step.state = "skipped"


def is_alive(folder: Path) -> bool:
    """Tell whether a process runs this run now."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def run_folders(project: Project) -> list[Path]:
    """Return the folders of all runs, newest first."""
    if not project.runs.is_dir():
        return []
    found = [path for path in project.runs.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(
        (path for path in found if (path / "run.json").is_file()), key=lambda path: path.name, reverse=True
    )


def find_run(project: Project, name: str) -> Path:
    """Return the folder of a run by its id, a unique beginning of it, or `latest`.

    Raises:
        UserError: There is no such run, or more than one.
    """
    folders = run_folders(project)
    if not folders:
        raise UserError(f"there are no runs in {project.runs} yet: start one with `penstock run`")
    if name == LATEST:
        return folders[0]
    matches = [folder for folder in folders if folder.name == name]
    matches = matches or [folder for folder in folders if name and folder.name.startswith(name)]
    matches = matches or [folder for folder in folders if name and folder.name.endswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(folder.name for folder in matches[:5])
        raise UserError(f"{name!r} begins {len(matches)} runs ({listed}): type more of it")
    hint = did_you_mean(name, [folder.name for folder in folders]) or f"; the latest is {folders[0].name!r}"
    raise UserError(f"there is no run {name!r}{hint} (`penstock runs list` shows all)")


def dead_runs(project: Project) -> list[Path]:
    """Return the folders of runs whose runner died before it could say so."""
    return [lock.parent for lock in sorted(project.runs.glob("*/lock")) if not is_alive(lock.parent)]


def point_latest_at(folder: Path) -> None:
    """Make runs/latest a link to the folder, at once."""
    partial = folder.with_name(f".{LATEST}-{folder.name}")
    partial.symlink_to(folder.name)
    partial.replace(folder.with_name(LATEST))


def _lock_file(path: Path) -> int:
    """Make the file, lock it, and return its handle; no child process inherits it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle

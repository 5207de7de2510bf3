"""The virtual environments of the stacks: made once per lock, by uv, under .penstock/envs/."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from penstock.errors import UserError
from penstock.local.processes import end_with_parent
from penstock.nearest import did_you_mean
from penstock.project import Project
from penstock.versions import lock_path, stacks_by_step

STAMP = ".complete"  # written last: an environment without it is made again
TEST_STAMP = ".complete-with-tests"
AT_ONCE = 2  # installs beside each other; each uses all cores while it compiles
LAST_LINES = 6

Tell = Callable[[str], None]


def stack_names(project: Project) -> list[str]:
    """Return the stacks of the project: the folders under images/ with a lock."""
    return sorted(path.parent.name for path in project.images.glob("*/uv.lock"))


def environment_path(project: Project, stack: str) -> Path:
    """Return the folder of a stack's environment, for its present lock."""
    digest = hashlib.sha256(lock_path(project, stack).read_bytes()).hexdigest()[:12]
    return project.state / "envs" / f"{stack}-{digest}"


def current_environments(project: Project) -> set[Path]:
    """Return the folders that the present locks stand for, whether made or not."""
    return {environment_path(project, stack) for stack in stack_names(project)}


def given_python(stack: str) -> Path | None:
    """Return the interpreter that PENSTOCK_STACK_PYTHON_<STACK> names instead of an environment of ours."""
    name = f"PENSTOCK_STACK_PYTHON_{stack.upper().replace('-', '_')}"
    if not os.environ.get(name):
        return None
    python = Path(os.environ[name])
    if not os.access(python, os.X_OK):
        raise UserError(f"{name} is {str(python)!r}, which is no program: correct or unset it")
    return python


def is_ready(project: Project, stack: str, test: bool = False) -> bool:
    """Tell whether a stack's environment is there, whole."""
    if given_python(stack):
        return True
    folder = environment_path(project, stack)
    return (folder / (TEST_STAMP if test else STAMP)).is_file() and _python(folder).exists()


def ensure_stack(project: Project, stack: str, test: bool = False, tell: Tell = lambda text: None) -> Path:
    """Return the Python of a stack's environment, after making it where needed.

    Args:
        project: The project whose images/<stack>/uv.lock is installed.
        stack: Name of the stack.
        test: Install the group `test` as well.
        tell: Called with a line when an install begins and when it ends.

    Raises:
        UserError: There is no such stack, or the install failed.
    """
    if stack not in (known := {*stack_names(project), *stacks_by_step(project).values()}):
        raise UserError(f"there is no stack {stack!r} under {project.images}{did_you_mean(stack, known)}")
    if python := given_python(stack):
        return python
    folder = environment_path(project, stack)
    if not is_ready(project, stack, test):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not is_ready(project, stack, test):
                _install(project, stack, folder, test, tell)
    return _python(folder)


def ensure_stacks(
    project: Project, stacks: Iterable[str], test: bool = False, tell: Tell = lambda text: None
) -> dict[str, Path]:
    """Return the Python of each stack; environments that are not there are made beside each other."""
    environments = Environments(project, test, tell)
    stacks = list(dict.fromkeys(stacks))
    environments.begin(stacks)
    return {stack: environments.python(stack) for stack in stacks}


class Environments:
    """Makes environments in the background, so that the first steps run while later ones' install."""

    def __init__(self, project: Project, test: bool = False, tell: Tell = lambda text: None) -> None:
        self.project, self.test, self.tell = project, test, tell
        self._pool: ThreadPoolExecutor | None = None
        self._futures: dict[str, Future[Path]] = {}
        self._lock = threading.Lock()

    def begin(self, stacks: Iterable[str]) -> None:
        """Begin to make what is missing, in the given order."""
        for stack in stacks:
            with self._lock:
                if stack in self._futures or is_ready(self.project, stack, self.test):
                    continue
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="install")
                self._futures[stack] = self._pool.submit(
                    ensure_stack, self.project, stack, self.test, self.tell
                )

    def python(self, stack: str) -> Path:
        """Return a stack's Python; waits for its install."""
        self.begin([stack])
        future = self._futures.get(stack)
        return future.result() if future else ensure_stack(self.project, stack, self.test, self.tell)

    def close(self) -> None:
        """Forget installs that have not begun and end those that have."""
        if self._pool is not None:
            _INSTALLS.stop()
            self._pool.shutdown(wait=False, cancel_futures=True)


def _install(project: Project, stack: str, folder: Path, test: bool, tell: Tell) -> None:
    """Run `uv sync` for a stack; the stamp, written last, makes the environment count."""
    for stamp in (STAMP, TEST_STAMP):
        if not is_ready(project, stack):
            (folder / stamp).unlink(missing_ok=True)
    tell(f"making the environment of the stack {stack} in {folder} (once for each lock)")
    began = time.monotonic()
    command = [
        *_uv(),
        "sync",
        "--frozen",
        "--no-default-groups",
        "--no-progress",
        "--project",
        str(project.images / stack),
    ]
    if test:
        command += ["--group", "test", "--inexact"]
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    env |= {
        "UV_PROJECT_ENVIRONMENT": str(folder),
        "UV_PYTHON": sys.executable,
        "UV_COMPILE_BYTECODE": "1",  # once here instead of at the first import: 3 s of each heavy step
    }
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        exit_code = _INSTALLS.run(command, env, output)
    if exit_code != 0:
        raise UserError(_why(stack, exit_code, log))
    (folder / STAMP).touch()
    if test:
        (folder / TEST_STAMP).touch()
    tell(f"made the environment of the stack {stack} in {time.monotonic() - began:.0f} s")


def _why(stack: str, exit_code: int, log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    last = "\n  ".join(lines[-LAST_LINES:]) or "(it said nothing)"
    return (
        f"the environment of the stack {stack} could not be installed (uv ended with {exit_code}); "
        f"mend what it says, then run again:\n  {last}\n  log: {log}"
    )


class _Installs:
    """The uv processes that are alive, so that Ctrl-C ends them."""

    def __init__(self) -> None:
        self._alive: set[subprocess.Popen[bytes]] = set()

    def run(self, command: list[str], env: dict[str, str], output: object) -> int:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,  # type: ignore[call-overload]
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )
        self._alive.add(process)
        try:
            return process.wait()
        finally:
            self._alive.discard(process)

    def stop(self) -> None:
        for process in list(self._alive):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()


_INSTALLS = _Installs()


def _uv() -> list[str]:
    """Return how uv is called: the one of the command line's own environment first."""
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return [str(beside)]
    if find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    if found := shutil.which("uv"):
        return [found]
    raise UserError("uv is not installed beside this Python: run `pip install uv` in this environment")


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel frees it when this one dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

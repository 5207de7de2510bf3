"""Processes of steps: started so that none outlives its runner, and stopped with all their children."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

PR_SET_PDEATHSIG = 1
GRACE_S = 5.0  # between asking a step to end and ending it
RUN_VARIABLE = "PENSTOCK_RUN_DIR"

# What a step gets of the environment of the command line: where things are, who we are to the services it
# talks to, and how to reach them. Nothing of Python: PYTHONPATH or VIRTUAL_ENV of the caller would leak in.
INHERITED = frozenset(
    [
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "PATH",
        "SHELL",
        "TERM",
        "LD_LIBRARY_PATH",
        "KUBECONFIG",
        "NO_PROXY",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ]
)
INHERITED_PREFIXES = [
    "AWS_",
    "AZURE_",
    "BIGQUERY_",
    "CLOUDSDK_",
    "CUDA_",
    "FSSPEC_",
    "GCS_",
    "GCSFS_",
    "GOOGLE_",
    "KFP_",
    "LC_",
    "MLFLOW_",
    "NVIDIA_",
    "OMP_",
    "PENSTOCK_",
    "S3_",
    "SSL_CERT_",
    "TF_",
    "XDG_",
]


class Ended(NamedTuple):
    """How a process ended."""

    exit_code: int  # negative: the signal that killed it
    peak_mib: float | None
    error: str = ""  # why it was killed, where the one who killed it said so


class Processes:
    """The processes of one run that are alive."""

    def __init__(self) -> None:
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a signal's handler may come in at any point
        self._stopping = False

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        output: IO[bytes] | int,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own that the kernel ends with this one."""
        cwd.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self._stopping:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
            self._alive.add(process)
        return process

    def wait(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait until a process has ended, and end what it may have left behind."""
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except ChildProcessError:  # somebody else has asked already
            return Ended(process.wait(), 0.0)
        process.returncode = os.waitstatus_to_exitcode(status)
        _signal_group(process.pid, signal.SIGKILL)
        with self._lock:
            self._alive.discard(process)
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
        return Ended(process.returncode, usage.ru_maxrss * unit / 2**20)

    def stop_all(self, grace_s: float = GRACE_S) -> None:
        """Ask all processes to end, then end them; start no other."""
        with self._lock:
            self._stopping = True
            alive = list(self._alive)
            self._alive.clear()
        for process in alive:
            _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired, ChildProcessError):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                process.wait()


@contextlib.contextmanager
def stop_on_signals(stop_all: Callable[[], None]) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into one orderly end, which `stop_all` begins."""

    def stop(number: int, frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        stop_all()
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def step_environment(python: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a step: the little that is inherited, its stack's programs, and `extra`."""
    env = inherited_variables()
    env["PATH"] = os.pathsep.join([str(python.parent), env.get("PATH", os.defpath)])
    return {**env, **extra}


def inherited_variables() -> dict[str, str]:
    """Return what a step gets of the environment of the command line."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(tuple(INHERITED_PREFIXES))
    }


def end_leftovers(run_folder: Path) -> int:
    """Kill what still runs of a run whose runner died, and return how many processes that were.

    The kernel kills the steps themselves; this finds processes that a step had started.
    """
    wanted = f"{RUN_VARIABLE}={run_folder}".encode()
    killed = 0
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0") and environ.parent.name != str(os.getpid()):
                os.kill(int(environ.parent.name), signal.SIGKILL)
                killed += 1
    return killed


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child does first: ask the kernel to kill it when the thread that starts it ends."""
    parent = os.getpid()
    libc = _libc()
    if sys.platform != "linux" or libc is None:
        return None

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask


_LIBC: list[ctypes.CDLL | None] = []


def _libc() -> ctypes.CDLL | None:
    if not _LIBC:
        try:
            _LIBC.append(ctypes.CDLL(None, use_errno=True))
        except OSError:
            _LIBC.append(None)
    return _LIBC[0]


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)

"""How the supervisor of a local endpoint is started, found and known to be alive.

launcher.json beside the state says which programs an endpoint is made of, so that any process that knows the
folder can start the supervisor again. The supervisor holds a lock as long as it lives: a killed one is known by
the free lock, whatever its status file says.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.serving_targets.child import end_with_parent
from penstock.components.serving_targets.local_state import write_json
from penstock.components.step_io.errors import StepError

LAUNCHER, STATUS = "launcher.json", "status.json"
SUPERVISOR_LOCK = "supervisor.lock"
SUPERVISOR_LOG = "supervisor.log"
MODULE = "penstock.components.serving_targets.local_supervisor"
START_S = 10.0
RUN_VARIABLE = "PENSTOCK_RUN_DIR"  # by which a run's runner finds, and ends, what its steps have left behind


@dataclass(frozen=True)
class Launcher:
    """What an endpoint is made of."""

    python: str  # runs the supervisor, which needs the standard library only
    python_path: str  # where the package penstock is
    envoy: str  # the router's program
    worker: list[str]  # begins the command line of a worker
    ready_path: str  # answered with 200 by a worker that is ready; {model} is its name
    options: list[str] = dataclasses.field(default_factory=list)  # of each worker


def write_launcher(folder: Path, launcher: Launcher) -> None:
    """Keep what an endpoint is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / LAUNCHER, dataclasses.asdict(launcher))


def read_launcher(folder: Path) -> Launcher:
    """Return what an endpoint is made of.

    Raises:
        StepError: Nobody has said it yet.
    """
    try:
        return Launcher(**json.loads((folder / LAUNCHER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StepError(
            f"the endpoint {folder.name} cannot be started from here ({folder / LAUNCHER} cannot be read): "
            "start it with `penstock serve`"
        ) from error


def is_running(folder: Path) -> bool:
    """Tell whether an endpoint's supervisor is alive."""
    try:
        handle = os.open(folder / SUPERVISOR_LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def supervisor_lock(folder: Path, wait_s: float = 3.0) -> Iterator[bool]:
    """Hold the lock of an endpoint's only supervisor; gives False when there is another."""
    handle = os.open(folder / SUPERVISOR_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + wait_s
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # another supervisor, or somebody who looks whether there is one
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.02)
                continue
            yield True
            return
    finally:
        os.close(handle)


def start_supervisor(folder: Path, with_me: bool = False) -> "subprocess.Popen[bytes]":
    """Start the supervisor of an endpoint; it has its lock when this returns.

    Args:
        folder: The endpoint's.
        with_me: It ends when this process does; else it stays.
    """
    launcher = read_launcher(folder)
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    env |= {"PYTHONPATH": launcher.python_path, "PENSTOCK_LOG_FORMAT": "text"}
    with (logs / SUPERVISOR_LOG).open("ab") as output:
        process = subprocess.Popen(
            [launcher.python, "-m", MODULE, str(folder)],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent() if with_me else None,
        )
    deadline = time.monotonic() + START_S
    while not is_running(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def read_status(folder: Path) -> dict[str, Any]:
    """Return what the supervisor last said; empty when it has said nothing or is dead."""
    if not is_running(folder):
        return {}
    try:
        found = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_port(host: str, port: int) -> None:
    """Make sure that a port can be listened on.

    Raises:
        StepError: It cannot.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OverflowError as error:
            raise StepError(f"{port} is no port: give one from 1 to 65535 with --port") from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise StepError(f"{host} is no address of this machine: give another with --host") from error
            if error.errno == errno.EACCES:
                raise StepError(
                    f"port {port} is reserved for the administrator: give one from 1024 with --port"
                ) from error
            reason = (error.strerror or str(error)).lower()
            raise StepError(
                f"port {port} of {host} cannot be used ({reason}): end what listens there, or give another "
                "with --port"
            ) from error

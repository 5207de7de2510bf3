"""What a server under trial can tell; and a serving process of our own: started, watched, and gone when we are."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from penstock.components import prediction_service  # by the import, it is part of this step's image

MODULE = f"{prediction_service.__name__}.server"
STOP_S = 15.0
PR_SET_PDEATHSIG = 1  # Linux: <sys/prctl.h>
VERSION = "candidate"  # of a model that has no number before it is registered
MOST_LOG = 200_000  # characters of the server's log that are kept


class Server(Protocol):
    """A started server, wherever it runs."""

    rest: str  # base URL; empty where it ended before it had one
    grpc: str  # host:port
    started: float  # time.monotonic() of the start

    def ended(self) -> str:
        """Return why it is no longer there, as the end of a sentence; empty while it is."""

    def lost(self) -> str:
        """Return the same after a request failed, when an end may not have been told yet."""

    def unreached(self) -> None:
        """Raise StepError where it is ready, and only we do not reach it."""

    def tensorflow(self) -> str:
        """Return the version of TensorFlow that it runs on; empty where it does not tell."""

    def log(self) -> str:
        """Return the end of what it logged."""

    def facts(self) -> dict[str, str]:
        """Return what it is (`kind`), and for a pod where and within which limits it runs."""


class ServerProcess:
    """The prediction service as a child process, in this step's own environment."""

    def __init__(self, process: subprocess.Popen, ports: tuple[int, int], log: Path) -> None:
        self._process, self._log = process, log
        self.rest, self.grpc = f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        self.started = time.monotonic()

    def ended(self) -> str:
        """Return why it is no longer there, as the end of a sentence; empty while it is."""
        code = self._process.poll()
        if code is None:
            return ""
        if code == -signal.SIGKILL:
            return "was killed, as by its memory limit"
        return f"ended with exit code {code}"

    lost = ended

    def unreached(self) -> None:
        """Do nothing: there is no network between us."""

    def tensorflow(self) -> str:
        """Return the version of our own environment, which is its as well."""
        return version("tensorflow-cpu")

    def facts(self) -> dict[str, str]:
        """Return what it is."""
        return {"kind": "process"}

    def log(self) -> str:
        """Return the end of what it logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-MOST_LOG:]


@contextlib.contextmanager
def server_process(model: Path, name: str, log: Path) -> Iterator[ServerProcess]:
    """Start the prediction service for the model folder `model`; stops it at the end, come what may.

    Args:
        model: Folder of the model.
        name: Name that it is served under.
        log: File for what the server prints.
    """
    ports = free_port(), free_port()
    command = [sys.executable, "-m", MODULE, "--model-dir", str(model), "--model-name", name]
    command += ["--model-version", VERSION, "--http-port", str(ports[0]), "--grpc-port", str(ports[1])]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent,
            start_new_session=True,
        )
    try:
        yield ServerProcess(process, ports, log)
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a server and what it started: with a signal, then without."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Let the kernel kill this child when its parent is gone: a killed step leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

"""Processes that the kernel ends with the one that started them; their output goes to a file."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
LARGEST_LOG = 20 * 2**20  # bytes; then a log begins anew, and the old one stays as .1


def start_child(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, output: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl-C reaches it only through its parent.

    Call it from the main thread: the kernel ends the process when the thread that started it ends.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.is_file() and output.stat().st_size > LARGEST_LOG:
        output.replace(output.with_name(f"{output.name}.1"))
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child does first; None where the kernel offers no such thing."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask

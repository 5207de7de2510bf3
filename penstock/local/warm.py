"""Starts the interpreters of steps to come while another step works: their imports cost nothing then.

Each is used once, by the step that it was started for. At most `MOST` wait, one at a time warms up, so that
the step at work keeps a core and memory stays bounded.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.local.processes import Processes

MOST = 2
SLOWEST_S = 60.0  # of an import; then the next may begin
POLL_S = 0.05


@dataclass(frozen=True)
class Wish:
    """A step that will come."""

    task: str
    module: str
    python: Path
    env: dict[str, str]
    cwd: Path


class WarmProcesses:
    """The interpreters that wait in one run."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._waiting: dict[str, subprocess.Popen[bytes]] = {}
        self._used: set[str] = set()
        self._wishes: list[Callable[[], Wish | None]] = []
        self._change = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def wish(self, wishes: Sequence[Callable[[], Wish | None]]) -> None:
        """Replace the steps to warm up, the next one first."""
        with self._change:
            self._wishes = list(wishes)
            if self._thread is None and wishes:
                # The kernel ends a child with the thread that started it: this one lives as long as the run.
                self._thread = threading.Thread(target=self._work, name="warm", daemon=True)
                self._thread.start()
            self._change.notify()

    def take(self, task: str, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes] | None:
        """Hand a step's input to the interpreter that waits for it; None when there is none."""
        with self._change:
            self._used.add(task)
            process = self._waiting.pop(task, None)
            self._change.notify()
            if process is None or process.poll() is not None or process.stdin is None:
                return None
        try:
            process.stdin.write(json.dumps({"arguments": list(arguments), "log": str(log)}).encode() + b"\n")
            process.stdin.close()
        except OSError:
            return None
        return process

    def close(self) -> None:
        """End all that still wait."""
        with self._change:
            self._closed = True
            self._change.notify()
            waiting = list(self._waiting.values())
        for process in waiting:
            with contextlib.suppress(OSError):
                process.kill()

    def _work(self) -> None:
        """Start one interpreter after the other; ends with the run, not before."""
        while True:
            with self._change:
                self._change.wait_for(
                    lambda: self._closed or (bool(self._wishes) and len(self._waiting) < MOST)
                )
                if self._closed:
                    return
                make = self._wishes.pop(0)
            with contextlib.suppress(Exception, KeyboardInterrupt):  # without it, the step starts by itself
                wish = make()
                if wish is not None and wish.task not in self._used and wish.task not in self._waiting:
                    self._start(wish)

    def _start(self, wish: Wish) -> None:
        """Start an interpreter and wait until it is warm."""
        ready = wish.cwd.with_name(f"{wish.task}.warm")
        command = [str(wish.python), "-m", "penstock.local.warm_start", wish.module, str(ready)]
        process = self._processes.start(command, wish.env, wish.cwd, subprocess.DEVNULL, subprocess.PIPE)
        with self._change:
            self._waiting[wish.task] = process
        for _ in range(int(SLOWEST_S / POLL_S)):
            with self._change:
                taken = wish.task not in self._waiting
                if self._closed or taken or ready.exists() or process.poll() is not None:
                    return
                self._change.wait(POLL_S)

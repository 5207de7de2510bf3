"""The workers of one version: processes of the prediction service, started again when they die."""

import logging
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from penstock.components.serving_targets.child import start_child

log = logging.getLogger(__name__)

PROBE_S = 2.0  # for one answer
PROBE_EVERY_S = 0.2  # until ready
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0  # between death and restart; doubled each time
STEADY_S = 60.0  # ready for so long: the next death counts as the first
STUCK_S = 60.0  # ready, then silent for so long: it is killed
GRACE_S = 15.0  # between asking a worker to end and ending it
HOPELESS = 3  # deaths before a worker was ever ready
USAGE_ERROR = 2  # exit code of the service when its model or options are wrong: it would say the same again

TIME = re.compile(r"^\d\d:\d\d:\d\d ")  # before each line of a log of ours

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PROBES = ThreadPoolExecutor(8, thread_name_prefix="probe")


class Worker:
    """One replica: at most one process at a time."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path, output: Path, ready_path: str) -> None:
        self.name, self.command, self.cwd, self.output = name, command, cwd, output
        self.ready_path = ready_path
        self.ports = (0, 0)
        self.is_ready = False
        self.problem = ""
        self.restarts = 0
        self.draining = False
        self.looks_hopeless = (
            False  # never ready yet, and another try promises little; it goes on all the same
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._probe: Future[bool] | None = None
        self._deaths = 0  # since it was steady
        self._start_at = 0.0
        self._started = self._ready_since = self._last_answer = self._next_probe = 0.0
        self._kill_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    def tick(self) -> None:
        """Start, probe or bury the process, whichever is due; never waits."""
        now = time.monotonic()
        if self._process is None:
            if not self.draining and now >= self._start_at:
                self._start(now)
            return
        if (code := self._process.poll()) is not None:
            self._bury(code, now)
            return
        if self.draining:
            if now >= self._kill_at:
                self._process.kill()
            return
        self._look(now)

    def stop(self) -> None:
        """Ask the process to end; `tick` ends it after a while, and buries it."""
        if not self.draining:
            self.draining, self.is_ready = True, False
            self._kill_at = time.monotonic() + GRACE_S
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)

    def _start(self, now: float) -> None:
        self.ports = free_ports()
        rest, grpc = self.ports
        command = [*self.command, "--http-port", str(rest), "--grpc-port", str(grpc)]
        self._process = start_child(command, dict(os.environ), self.cwd, self.output)
        self._started, self._next_probe, self._probe = now, now + PROBE_EVERY_S, None
        log.info("worker %s: process %d on ports %d and %d", self.name, self._process.pid, rest, grpc)

    def _bury(self, code: int, now: float) -> None:
        was_ready = self.is_ready
        steady = was_ready and now - self._ready_since > STEADY_S
        self._process, self._probe, self.is_ready = None, None, False
        if self.draining:
            log.info("worker %s: ended (%d)", self.name, code)
            return
        self._deaths = 1 if steady else self._deaths + 1
        pause = LONGEST_PAUSE_S if code == USAGE_ERROR and not was_ready else self._pause()
        self._start_at = now + pause
        self.restarts += 1
        if not self._ready_since and (code == USAGE_ERROR or self._deaths >= HOPELESS):
            self.looks_hopeless = True
        self.problem = f"{'died' if was_ready else 'ended before it was ready'} ({_how(code)})"
        if not was_ready and (last := last_line(self.output)):
            self.problem += f": {last}"
        log.warning("worker %s: %s; starts again in %.2f s", self.name, self.problem, pause)

    def _pause(self) -> float:
        return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._deaths - 1)))

    def _look(self, now: float) -> None:
        """Take the answer of the last probe, and send the next when it is due."""
        if self._probe is not None:
            if not self._probe.done():
                return
            answered, self._probe = self._probe.result(), None
            if answered:
                self._last_answer = now
                if not self.is_ready:
                    self.is_ready, self._ready_since, self.problem = True, now, ""
                    self.looks_hopeless = False
                    log.info("worker %s: ready after %.1f s", self.name, now - self._started)
            elif self.is_ready and now - self._last_answer > STUCK_S:
                log.warning("worker %s: has not answered for %.0f s, is killed", self.name, STUCK_S)
                assert self._process is not None
                self._process.kill()
        if now >= self._next_probe:
            self._next_probe = now + (5.0 if self.is_ready else PROBE_EVERY_S)
            self._probe = _PROBES.submit(answers, f"http://127.0.0.1:{self.ports[0]}{self.ready_path}")


def answers(url: str) -> bool:
    """Tell whether a URL is answered with 200."""
    try:
        with _NO_PROXY.open(url, timeout=PROBE_S) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.HTTPError):
        return False
    except Exception:  # noqa: BLE001 - http.client raises errors of its own for half an answer
        return False


def free_ports() -> tuple[int, int]:
    """Return two ports of this machine that are free now."""
    with socket.socket() as one, socket.socket() as other:
        for found in (one, other):
            found.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def last_line(path: Path, longest: int = 300) -> str:
    """Return the last line of a log that says something."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return TIME.sub("", lines[-1])[:longest] if lines else ""


def _how(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"

"""How much memory a container needed at most, read from the kernel while it runs."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

INTERVAL_S = 0.05
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
KIB, MIB = 2**10, 2**20


class Peak:
    """The most memory that a container was seen to need.

    The larger of two: the peak resident set of its main process, which is what the runner of processes
    reports, and the most that all its processes and its /tmp held at once. The cgroup's own maximum is not
    it: that counts the page cache, which grows up to the limit and hurts nobody. None where the engine is
    on another machine.
    """

    def __init__(self, container: str, pid: Callable[[], int]) -> None:
        self._container, self._pid = container, pid
        self._highest: int | None = None  # bytes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> float | None:
        """Stop to look and return the peak in MiB."""
        self._ended.set()
        self._thread.join()
        return None if self._highest is None else self._highest / MIB

    def _watch(self) -> None:
        with contextlib.suppress(Exception):  # a figure for people: no reason to lose a run
            process = self._process()
            if process is None:
                return
            memory = cgroup(process)
            while True:
                for seen in (resident(process), held(memory)):
                    self._highest = max(self._highest or 0, seen)
                if self._ended.wait(INTERVAL_S):
                    return

    def _process(self) -> Path | None:
        """Return the main process as this machine sees it; None when it runs on another."""
        while not (pid := self._pid()):
            if self._ended.wait(INTERVAL_S):
                return None
        process = PROC / str(pid)
        return process if self._container in (process / "cgroup").read_text() else None


def resident(process: Path) -> int:
    """Return the peak resident set of a process, bytes."""
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    return 0


def cgroup(process: Path) -> Path:
    """Return the folder of a process's memory cgroup, of version 1 or 2."""
    lines = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / path.lstrip("/")
    return CGROUPS / next(path for number, _, path in lines if number == "0").lstrip("/")


def held(memory: Path) -> int:
    """Return what a cgroup holds that the kernel cannot drop: anonymous and shared memory, bytes."""
    return sum(_held(memory))


def _held(memory: Path) -> Iterator[int]:
    found = dict(line.split() for line in (memory / "memory.stat").read_text().splitlines())
    for names in (("total_rss", "anon"), ("total_shmem", "shmem")):
        yield int(next((found[name] for name in names if name in found), 0))

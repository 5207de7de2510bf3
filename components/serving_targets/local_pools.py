"""The workers of a local endpoint by version: brought to the wanted number, and taken away without haste."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from penstock.components.serving_targets.local_launch import Launcher
from penstock.components.serving_targets.local_state import State
from penstock.components.serving_targets.local_workers import Worker

LEAVE_S = 0.5  # between the router's word that a worker leaves and its end
LAST_REQUESTS_S = 30.0  # that an undeployed version may take for those in flight


@dataclass
class Pool:
    """The workers of one version."""

    version: str
    model: str
    uri: str
    ready_path: str
    workers: list[Worker] = field(default_factory=list)
    leaving: dict[str, float] = field(default_factory=dict)  # worker → when it is asked to end
    going_since: float | None = None  # the version is wanted no more

    @property
    def addresses(self) -> list[tuple[int, int]]:
        """Where requests can go: (REST port, gRPC port) of the workers that are ready and stay."""
        return [w.ports for w in self.workers if w.is_ready and w.name not in self.leaving]

    @property
    def restarts(self) -> int:
        """How often workers were started again."""
        return sum(worker.restarts for worker in self.workers)

    @property
    def problem(self) -> str:
        """Why a worker is not ready, where that is known."""
        return next((worker.problem for worker in self.workers if worker.problem), "")

    @property
    def has_failed(self) -> bool:
        """Tell whether no worker was ever ready and another try promises little."""
        return bool(self.workers) and all(worker.looks_hopeless for worker in self.workers)


class Pools:
    """All workers of an endpoint."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder, self.launcher = folder, launcher
        self._by_version: dict[str, Pool] = {}
        self._started = 0

    def __iter__(self) -> Iterator[Pool]:
        return iter(list(self._by_version.values()))

    def get(self, version: str) -> Pool | None:
        """Return the pool of a version that is wanted."""
        pool = self._by_version.get(version)
        return None if pool is None or pool.going_since is not None else pool

    def match(self, state: State) -> None:
        """Make pools for what is wanted; those of other versions are to go."""
        for version, wanted in state["versions"].items():
            pool = self._by_version.get(version)
            if pool is None:
                path = self.launcher.ready_path.format(model=wanted["model"])
                pool = Pool(version, wanted["model"], wanted["uri"], path)
                self._by_version[version] = pool
            elif pool.uri != wanted["uri"]:
                pool.going_since = pool.going_since or time.monotonic()
            elif not pool.leaving:
                pool.going_since = None
            if pool.going_since is None:
                self._resize(pool, int(wanted["replicas"]))
        for pool in self:
            if pool.version not in state["versions"] and pool.going_since is None:
                pool.going_since = time.monotonic()

    def dismiss(self, has_routes: Callable[[str], bool], in_flight: Callable[[str], int]) -> list[str]:
        """Take the workers of unwanted versions away, step by step; return versions that are gone.

        Args:
            has_routes: Whether requests may still be sent to a version.
            in_flight: How many requests a version has now.
        """
        now = time.monotonic()
        gone = []
        for pool in self:
            if pool.going_since is None:
                continue
            if not pool.leaving and not has_routes(pool.version):
                late = now - pool.going_since > LAST_REQUESTS_S
                if late or not in_flight(pool.version):
                    pool.leaving = {worker.name: now + LEAVE_S for worker in pool.workers}
            if not pool.workers:
                del self._by_version[pool.version]
                gone.append(pool.version)
        return gone

    def tick(self) -> None:
        """Let each worker do what is due."""
        now = time.monotonic()
        for pool in self:
            for worker in list(pool.workers):
                if now >= pool.leaving.get(worker.name, now + 1):
                    worker.stop()
                worker.tick()
                if worker.draining and worker.pid is None:
                    pool.workers.remove(worker)
                    if pool.going_since is None:
                        pool.leaving.pop(worker.name, None)

    def stop(self) -> None:
        """Ask all workers to end, and wait until they have."""
        for pool in self:
            for worker in pool.workers:
                worker.stop()
        while any(pool.workers for pool in self):
            self.tick()
            time.sleep(0.05)

    def _resize(self, pool: Pool, wanted: int) -> None:
        staying = [worker for worker in pool.workers if worker.name not in pool.leaving]
        for worker in staying[wanted:]:
            pool.leaving[worker.name] = time.monotonic() + LEAVE_S
        for _ in range(wanted - len(staying)):
            self._started += 1
            pool.workers.append(self._worker(pool, f"{pool.version}.{self._started}"))

    def _worker(self, pool: Pool, name: str) -> Worker:
        command = [*self.launcher.worker, "--model-dir", pool.uri, "--model-name", pool.model]
        command += ["--model-version", pool.version, *self.launcher.options]
        output = self.folder / "logs" / f"worker-{name}.log"
        return Worker(name, command, self.folder, output, pool.ready_path)

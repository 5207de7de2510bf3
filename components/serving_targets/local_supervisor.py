"""The supervisor of a local endpoint: makes what state.json wants true, and says in status.json how far it is.

    python -m penstock.components.serving_targets.local_supervisor FOLDER

It alone owns the workers and the router, which the kernel ends with it. It ends by itself once state.json says
`stopped`, and on SIGTERM, after which the state stays as it was and the next supervisor goes on with it.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from penstock.components.serving_targets import envoy_config as config
from penstock.components.serving_targets.envoy_router import Router
from penstock.components.serving_targets.local_launch import STATUS, read_launcher, supervisor_lock
from penstock.components.serving_targets.local_pools import Pool, Pools
from penstock.components.serving_targets.local_state import State, StateFile, write_json
from penstock.components.serving_targets.local_workers import last_line
from penstock.components.serving_targets.target import Shadow

log = logging.getLogger("penstock.components.serving_targets.local_supervisor")  # __name__ is __main__

TICK_S = 0.1
ASK_S = 1.0  # between questions to a router that has nothing new to tell
DRAIN_S = 5.0
ROUTER_PAUSE_S = 1.0


class Supervisor:
    """Keeps one endpoint as it is wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.file = StateFile(folder)
        self.launcher = read_launcher(folder)
        self.pools = Pools(folder, self.launcher)
        self.router: Router | None = None
        self.router_problem = ""
        self.applied = -1  # the revision by which requests go
        self.stopping = False
        self._known: dict[str, int] = {}  # healthy workers by cluster, as the router says
        self._routes = ""  # name of the routes last written
        self._routes_are_for = -1  # the revision that they are complete for
        self._routed: list[str] = []  # versions that these routes name
        self._asked = self._router_at = 0.0
        self._status: dict[str, Any] = {}

    def run(self) -> None:
        """Work until the endpoint is stopped."""
        while not self.stopping:
            state = self.file.read()
            if state is None or state["stopped"]:
                log.info("the endpoint is stopped")
                break
            self.tick(state)
            time.sleep(TICK_S)
        if self.router is not None:
            self.router.stop(DRAIN_S)
        self.pools.stop()
        (self.folder / STATUS).unlink(missing_ok=True)

    def tick(self, state: State) -> None:
        """Come one step nearer to the wanted state."""
        router = self.router = self.router or self._make_router(state)
        self.pools.match(state)
        self.pools.tick()
        gone = self.pools.dismiss(lambda version: self._has_routes(version, state), router.active)
        self._write_clusters(router, gone)
        self._keep_router(router)
        self._ask(router, state)
        self._write_routes(router, state)
        self._tell(state)

    def _make_router(self, state: State) -> Router:
        folder = self.folder / "router"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.json"):
            left.unlink()
        return Router(self.launcher.envoy, folder, state["host"], state["port"], self.logs)

    def _write_clusters(self, router: Router, gone: list[str]) -> None:
        """Say which versions there are, and where their workers."""
        for pool in self.pools:
            router.write_workers(pool.version, pool.addresses)
        router.write_clusters({pool.version: pool.ready_path for pool in self.pools})
        for version in gone:
            log.info("version %s is gone", version)
            router.forget(version)

    def _keep_router(self, router: Router) -> None:
        """Start the router, also again."""
        now = time.monotonic()
        if router.is_alive or now < self._router_at:
            return
        if router.pid is not None:
            self.router_problem = f"the router has ended: {last_line(self.logs / 'router.log')}"
            log.warning("%s", self.router_problem)
        if not self._routes:
            self._routes = router.write_routes([], {}, None)
        self._router_at = now + ROUTER_PAUSE_S
        self._known = {}
        router.start()

    def _ask(self, router: Router, state: State) -> None:
        """Ask the router whom it finds healthy and by which routes it goes; often only while things change."""
        now = time.monotonic()
        settled = self.applied == state["revision"] and all(
            self._ready(pool) == len(pool.workers) for pool in self.pools
        )
        if now - self._asked < (ASK_S if settled else 0.0):
            return
        self._asked = now
        known = router.healthy()
        if known is None:
            return
        self._known, self.router_problem = known, ""
        if self._routes_are_for == state["revision"] and router.routes_in_use() == self._routes:
            if self.applied != state["revision"]:
                log.info("revision %d is in use: %s", state["revision"], state["weights"] or "no traffic")
            self.applied = state["revision"]

    def _write_routes(self, router: Router, state: State) -> None:
        """Write the routes, once the router knows all versions that they need."""
        versions = [version for version in state["versions"] if self._is_known(version)]
        shadow = Shadow(**state["shadow"]) if state["shadow"] else None
        needed = {*state["weights"], *([shadow.version] if shadow else [])}
        if not needed <= set(versions):
            return
        self._routes = router.write_routes(versions, state["weights"], shadow)
        self._routed = versions
        # Complete only when each version can be named in a request.
        self._routes_are_for = state["revision"] if len(versions) == len(state["versions"]) else -1

    def _is_known(self, version: str) -> bool:
        return self.pools.get(version) is not None and all(
            config.cluster_name(version, protocol) in self._known for protocol in config.PROTOCOLS
        )

    def _has_routes(self, version: str, state: State) -> bool:
        return version in self._routed or self.applied != state["revision"]

    def _ready(self, pool: Pool) -> int:
        """Return how many workers are ready in their own word and in the router's."""
        healthy = [
            self._known.get(config.cluster_name(pool.version, protocol), 0) for protocol in config.PROTOCOLS
        ]
        return min(len(pool.addresses), *healthy)

    def _tell(self, state: State) -> None:
        """Write status.json when something changed."""
        status = {
            "pid": os.getpid(),
            "router": self.router.pid if self.router else None,
            "problem": self.router_problem,
            "url": f"http://{state['host']}:{state['port']}",
            "revision": self.applied,
            "versions": {
                pool.version: {
                    "ready": self._ready(pool),
                    "restarts": pool.restarts,
                    "problem": pool.problem,
                    "failed": pool.has_failed,
                    "workers": [worker.pid for worker in pool.workers if worker.pid],
                }
                for pool in self.pools
                if pool.going_since is None
            },
            "going": [pool.version for pool in self.pools if pool.going_since is not None],
        }
        if status != self._status:
            write_json(self.folder / STATUS, status)
            self._status = status

    def stop(self, *_: object) -> None:
        """End soon; a handler of signals."""
        self.stopping = True


def main(folder: Path) -> int:
    """Supervise the endpoint of a folder; returns at once when another process does."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    with supervisor_lock(folder) as mine:
        if not mine:
            log.info("another process supervises %s", folder)
            return 0
        (folder / STATUS).unlink(missing_ok=True)  # of one that was killed
        supervisor = Supervisor(folder)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, supervisor.stop)
        log.info("supervising %s as process %d", folder, os.getpid())
        supervisor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))

"""Runs Envoy, hands it new configuration, and asks it what it has and whom it finds healthy."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.serving_targets import envoy_config as config
from penstock.components.serving_targets.child import start_child
from penstock.components.serving_targets.local_state import write_json
from penstock.components.serving_targets.target import Shadow

log = logging.getLogger(__name__)

ANSWER_S = 2.0  # for the admin interface, which is on this machine
START_S = 15.0


class Router:
    """One Envoy and the files that it watches."""

    def __init__(self, binary: str, folder: Path, host: str, port: int, logs: Path) -> None:
        self.binary, self.folder, self.host, self.port, self.logs = binary, folder, host, port, logs
        self._process: subprocess.Popen[bytes] | None = None
        self._written: dict[str, config.Json] = {}
        self._changes = 0

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        """Tell whether Envoy runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start Envoy with the files as they are; the first start needs clusters and routes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "bootstrap.json", config.bootstrap(self.folder, self.host, self.port))
        self._admin_file.unlink(missing_ok=True)
        command = [self.binary, "-c", str(self.folder / "bootstrap.json"), "--disable-hot-restart"]
        command += ["--admin-address-path", str(self._admin_file), "--concurrency", "2"]
        command += ["--log-level", "warning", "--log-path", str(self.logs / "router.log")]
        self._process = start_child(command, dict(os.environ), self.folder, self.logs / "router.log")
        log.info("router: process %d on %s:%d", self._process.pid, self.host, self.port)

    def write_workers(self, version: str, workers: list[tuple[int, int]]) -> None:
        """Say at which (REST port, gRPC port) a version is served."""
        for protocol in config.PROTOCOLS:
            name = config.endpoints_file(version, protocol)
            self._write(name, config.endpoints(version, protocol, workers, self._next()))

    def write_clusters(self, ready_paths: Mapping[str, str]) -> None:
        """Say which versions there are; each must have its workers written before."""
        self._write(config.CLUSTERS_FILE, config.clusters(ready_paths, self.folder, self._next()))

    def write_routes(self, versions: list[str], weights: Mapping[str, int], shadow: Shadow | None) -> str:
        """Say where requests go and return the name of this change."""
        routes = config.routes(versions, weights, shadow, self._next())
        return self._write(config.ROUTES_FILE, routes)

    def forget(self, version: str) -> None:
        """Remove the files of a version that is gone."""
        for protocol in config.PROTOCOLS:
            name = config.endpoints_file(version, protocol)
            self._written.pop(name, None)
            (self.folder / name).unlink(missing_ok=True)

    def routes_in_use(self) -> str:
        """Return the name of the change of routes that Envoy works by; empty when it does not say."""
        answer = self._ask("/config_dump?resource=dynamic_route_configs")
        return next((str(found.get("version_info", "")) for found in (answer or {}).get("configs", [])), "")

    def healthy(self) -> dict[str, int] | None:
        """Return the number of healthy workers of each cluster that Envoy has; None when it does not say."""
        answer = self._ask("/clusters?format=json")
        if answer is None:
            return None
        return {
            cluster["name"]: sum(_is_healthy(host) for host in cluster.get("host_statuses", []))
            for cluster in answer.get("cluster_statuses", [])
        }

    def active(self, version: str) -> int:
        """Return the number of requests in flight to a version; 0 when Envoy does not say."""
        answer = self._ask("/clusters?format=json") or {}
        names = [config.cluster_name(version, protocol) for protocol in config.PROTOCOLS]
        return sum(
            int(stat.get("value", 0))
            for cluster in answer.get("cluster_statuses", [])
            if cluster["name"] in names
            for host in cluster.get("host_statuses", [])
            for stat in host.get("stats", [])
            if stat["name"] == "rq_active"
        )

    def stop(self, drain_s: float) -> None:
        """Take no new requests, let those in flight end for some seconds, then end Envoy."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._call("/drain_listeners?graceful", "POST")
        deadline = time.monotonic() + drain_s
        while time.monotonic() < deadline and self.is_alive and self._requests_in_flight():
            time.sleep(0.05)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _requests_in_flight(self) -> int:
        answer = self._ask("/stats?format=json&filter=http.endpoint.downstream_rq_active") or {}
        return sum(int(stat.get("value", 0)) for stat in answer.get("stats", []))

    def _write(self, name: str, response: config.Json) -> str:
        """Write a response unless the file says it already; return the name of the change that it has."""
        before = self._written.get(name)
        if before is None or not config.same_content(before, response):
            write_json(self.folder / name, response)
            self._written[name] = response
        return str(self._written[name]["version_info"])

    def _next(self) -> str:
        self._changes += 1
        return f"{os.getpid()}-{self._changes}"

    @property
    def _admin_file(self) -> Path:
        return self.folder / "admin.address"

    def _ask(self, path: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._call(path))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _call(self, path: str, method: str = "GET") -> bytes:
        address = self._admin_file.read_text(encoding="utf-8").strip()
        request = urllib.request.Request(f"http://{address}{path}", method=method)
        with _NO_PROXY.open(request, timeout=ANSWER_S) as answer:
            return bytes(answer.read())


_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _is_healthy(host: config.Json) -> bool:
    health = dict(host.get("health_status", {}))
    return health.pop("eds_health_status", "HEALTHY") == "HEALTHY" and not any(health.values())

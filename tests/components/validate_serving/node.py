"""A node for the Kubernetes API of the tests: it runs the command of each pod as a process of this machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from penstock.components.validate_serving.servers import free_port
from tests.components.serving_targets.kubernetes_server import ClusterState

Json = dict[str, Any]


class Node:
    """Starts pods when they are asked about, tells how they are, and ends them when they are deleted."""

    def __init__(self, state: ClusterState, folder: Path) -> None:
        self.state, self.folder = state, folder
        self.pods: list[Json] = []  # all that were made
        self.held: Json | None = None  # status of pods that do not start
        self.tells_late = 0  # questions after an end that are answered as if the server still ran
        self.end_with = ""  # reason of an end by a signal
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        state.before = self._look

    def _look(self, call: str) -> None:
        verb, _, path = call.partition(" ")
        name = path.rpartition("/")[2]
        with self.state.lock:
            for (plural, known), pod in list(self.state.objects.items()):
                if plural == "pods" and "nodeName" not in pod["spec"] and known.startswith("serving-trial"):
                    self.pods.append(pod)
                    self._start(known, pod)
            for known, process in self.processes.items():
                if pod := self.state.objects.get(("pods", known)):
                    self._tell(known, pod, process)
            if verb == "DELETE" and name in self.processes:
                self.stop(name)

    def _start(self, name: str, pod: Json) -> None:
        if self.held is not None:
            pod["status"] = self.held
            return
        pod["spec"]["nodeName"] = "here"
        (container,) = pod["spec"]["containers"]
        for port in container["ports"]:
            port["containerPort"] = free_port()
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        command = [sys.executable, *container["command"][1:], *container["args"]]
        command += ["--http-port", str(ports["http"]), "--grpc-port", str(ports["grpc"])]
        variables = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        with (self.folder / name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**os.environ, **variables}, stdout=log, stderr=log
            )

    def _tell(self, name: str, pod: Json, process: subprocess.Popen[bytes]) -> None:
        self.state.log = self.said(name)
        code = process.poll()
        if code is not None and self.tells_late:
            self.tells_late, code = self.tells_late - 1, None
        if code is None:
            pod["status"] = status("Running", {"running": {}}) | {"podIP": "127.0.0.1"}
        else:
            reason = self.end_with or "Error"
            ended = {"exitCode": code if code >= 0 else 128 - code, "reason": reason}
            pod["status"] = status("Failed", {"terminated": ended}) | {"podIP": "127.0.0.1"}

    def said(self, name: str) -> str:
        """Return what the server of a pod has logged."""
        return (self.folder / name).read_text(errors="replace")

    def kill(self, reason: str) -> None:
        """End all servers as the kernel does."""
        self.end_with = reason
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self, name: str) -> None:
        """End a server and wait for it."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait()

    def close(self) -> None:
        """End what still runs."""
        for name in list(self.processes):
            self.processes[name].kill()
            self.stop(name)


def status(phase: str, state: Json) -> Json:
    """Return the status of a pod whose one container is in a state."""
    container = {"image": "registry/serving@sha256:0", "restartCount": 0, "state": state}
    return {"phase": phase, "conditions": [], "containerStatuses": [container]}

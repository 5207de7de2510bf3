"""An endpoint of its own for a test, and clients that count what they are answered."""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from penstock.components.serving_targets.local_launch import Launcher, write_launcher
from penstock.components.serving_targets.local_target import LocalTarget
from penstock.components.serving_targets.target import ModelVersion

ROOT = Path(__file__).parent.parent.parent
TINY = Path(__file__).with_name("tiny_worker.py")
# The status of a request whose connection broke: a worker that dies between an answer's head and its body does that.
CUT = 0
# What a client may lose when a worker dies: the request in flight, and one that its sockets took before they closed.
LOST_BY_A_CLIENT = 2


class Answer(NamedTuple):
    """What a request got."""

    status: int
    content: Any
    headers: Mapping[str, str]

    @property
    def version(self) -> str:
        return self.headers.get("x-model-version", "")


class Endpoint:
    """A local target with tiny workers, and a port that was free."""

    def __init__(self, folder: Path, envoy: str) -> None:
        self.target = LocalTarget(folder)
        self.folder = folder
        self.port = free_port()
        launcher = Launcher(
            python=sys.executable,
            python_path=str(ROOT),
            envoy=envoy,
            worker=[sys.executable, str(TINY)],
            ready_path="/v2/models/{model}/ready",
        )
        write_launcher(folder, launcher)
        self.target.create(port=self.port)

    def version(self, name: str, replicas: int = 1, **behaviour: object) -> ModelVersion:
        """Make a model folder with which a tiny worker behaves like this."""
        folder = self.folder / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "behaviour.json").write_text(json.dumps(behaviour))
        return ModelVersion("taxi", name, str(folder), replicas)

    def deploy(self, name: str, replicas: int = 1, **behaviour: object) -> None:
        self.target.deploy(self.version(name, replicas, **behaviour), wait_s=30)

    def serve(self, weights: Mapping[str, int], replicas: int = 1) -> None:
        """Deploy these versions and give them these shares."""
        for version in weights:
            self.deploy(version, replicas)
        self.target.shift(weights)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
        return found

    def workers(self, version: str) -> list[int]:
        pids: list[int] = self.status()["versions"][version]["workers"]
        return pids

    def post(self, body: object = None, **headers: str) -> Answer:
        with Client(self.port) as client:
            return client.post(body, **headers)

    def kill_supervisor(self) -> None:
        pid = self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.target.state().running)


class Client:
    """One connection, kept open; made again after it broke."""

    def __init__(self, port: int, path: str = "/v1/models/taxi:predict") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.path = path

    def post(self, body: object = None, **headers: str) -> Answer:
        names = {"content-type": "application/json"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request("POST", self.path, json.dumps(body or {}), names)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return Answer(CUT, str(error), {})
        found = {name.lower(): value for name, value in response.getheaders()}
        try:
            return Answer(response.status, json.loads(text), found)
        except ValueError:
            return Answer(response.status, text, found)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


class Load:
    """Some clients that ask as fast as they are answered, in the background."""

    def __init__(
        self, port: int, clients: int = 4, body: object = None, path: str = "/v1/models/taxi:predict"
    ) -> None:
        self.answers: list[tuple[float, Answer]] = []
        self._port, self._body, self._path = port, body, path
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        with Client(self._port, self._path) as client:
            while not self._stop.is_set():
                answer = client.post(self._body)
                self.answers.append((time.monotonic(), answer))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for _, answer in self.answers)

    def wait_for(self, more: int, seconds: float = 30) -> None:
        """Wait for so many answers more."""
        wanted = len(self.answers) + more
        wait_until(lambda: len(self.answers) >= wanted, seconds)


def call_grpc(port: int, **metadata: str) -> str:
    """Return the version that answers over gRPC."""
    pairs = [(name.replace("_", "-"), value) for name, value in metadata.items()]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        found: bytes = channel.unary_unary("/tiny.Tiny/Version")(b"", metadata=pairs, timeout=10)
    return found.decode()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(reached: Any, seconds: float = 20) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)

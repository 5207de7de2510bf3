"""The real service as a process, for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

ROOT = Path(__file__).parents[3]
LONGEST_START_S = 300  # on a machine that does much else beside
COMMAND = [sys.executable, "-m", "penstock.components.prediction_service.server"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Running:
    """A service that was started and is ready; ended by `stop`, or with the block."""

    def __init__(
        self, folder: Path, model: Path, environment: dict[str, str] | None = None, **options: str
    ) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self.url, self.grpc = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"
        self.folder, self.output = folder, folder / "output.txt"
        given = {
            "model_dir": str(model),
            "model_name": "m",
            "model_version": "1",
            "host": "127.0.0.1",
            "http_port": str(self.port),
            "grpc_port": str(self.grpc_port),
            **options,
        }
        arguments = [part for name, text in given.items() for part in (f"--{name.replace('_', '-')}", text)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Running":
        deadline = time.monotonic() + LONGEST_START_S
        while not self.is_ready():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        self.client = httpx.Client(base_url=self.url, timeout=60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/health/ready", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        return self.output.read_text()

    def predict(self, instances: Any, **headers: str) -> httpx.Response:
        return self.client.post("/v1/models/m:predict", json={"instances": instances}, headers=headers)

    def load(self, model: Path, version: str) -> httpx.Response:
        """Let another model answer."""
        parameters = {"model_dir": str(model), "model_version": version}
        return self.client.post(
            "/v2/repository/models/m/load", json={"parameters": parameters}, timeout=LONGEST_START_S
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values whose labels are these."""
        total = 0.0
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith((f"{name}{{", f"{name} ")) and all(
                f'{k}="{v}"' in line for k, v in labels.items()
            ):
                total += float(line.rpartition(" ")[2])
        return total

    def logged(self, ids: set[str]) -> dict[str, dict[str, Any]]:
        """Return the records of these requests, once they are written."""
        deadline = time.monotonic() + 30
        while True:
            found = {}
            for path in self.folder.rglob("*.jsonl"):
                for line in path.read_text().splitlines():
                    record = json.loads(line)
                    if record["request_id"] in ids:
                        found[record["request_id"]] = record
            if found.keys() == ids or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

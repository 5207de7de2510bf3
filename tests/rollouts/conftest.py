"""An app with three registered versions of a model, in a state folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.local.envs import ensure_stacks
from penstock.project import find_project
from tests.serving.endpoints import Client, free_port

PROJECT = find_project(Path(__file__).parent)
APP = """\
data: {source: rows.csv}
label: {column: big, task: binary}
rollout:
  canary: {stages: [50, 100], hold: PT1S, min_requests: 40}
  guardrails: {latency_ratio: 0}
"""
SCHEMA = """\
feature { name: "miles" type: FLOAT }
feature { name: "farbe" type: BYTES }
feature { name: "big" type: BYTES }
"""
ROWS = [{"miles": 1.0, "farbe": "röt"}, {"miles": None, "farbe": "grün"}, {"miles": -2.5}]


class Toy:
    """The app `toy`, its registry and its endpoint."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.app = folder / "toy"
        self.app.mkdir()
        (self.app / "app.yaml").write_text(APP)
        (self.app / "schema.pbtxt").write_text(SCHEMA, encoding="utf-8")
        self.home.mkdir()
        (self.home / "envs").symlink_to((PROJECT.state / "envs").absolute())
        self.port = free_port()
        self.registry = f"sqlite:///{self.home / 'registry.db'}"

    def command(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).with_name("penstock")), *words]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PENSTOCK_HOME": str(self.home)}

    def penstock(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, "--app", str(self.app)),
            env=self.env,
            cwd=PROJECT.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def look(self, *words: str) -> dict[str, Any]:
        done = self.penstock("rollout", *words, "--json")
        assert done.returncode in (0, 3), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 3) == (found["decision"] == "rollback")
        return found

    def status(self) -> dict[str, Any]:
        done = self.penstock("rollout", "status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ask(self, requests: int) -> dict[str, int]:
        """Send requests; return how many each version answered with 200."""
        answered: dict[str, int] = {}
        with Client(self.port, "/v1/models/toy:predict") as client:
            for number in range(requests):
                answer = client.post({"instances": [ROWS[number % len(ROWS)]]})
                assert answer.status == 200, answer
                answered[answer.version] = answered.get(answer.version, 0) + 1
        return answered


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """Without a registry yet, and nothing served."""
    found = Toy(tmp_path)
    yield found
    if (found.home / "endpoints").is_dir():
        words = found.command("serve", "--stop", "--name", "toy")
        subprocess.run(words, env=found.env, cwd=PROJECT.root, check=False)


@pytest.fixture
def registered(toy: Toy) -> Toy:
    """With three versions; the first is the champion."""
    pythons = ensure_stacks(PROJECT, ["tensorflow", "control"])
    env = {**os.environ, "PYTHONPATH": str(PROJECT.root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    models = str(toy.home / "toy_models")
    module = ["-m", "tests.rollouts.registered"]
    for python, words in (
        (pythons["tensorflow"], ["save", models]),
        (pythons["control"], ["register", toy.registry, models]),
    ):
        subprocess.run([str(python), *module, *words], env=env, cwd=PROJECT.root, check=True)
    return toy

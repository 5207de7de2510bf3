"""The container suite: the real images and the docker runner on a real engine.

Run it with `make test-containers`; what it needs, and what happens where that is missing: tests/real.py.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.images.engine import Engine
from penstock.images.targets import Target, all_targets
from penstock.project import Project, find_project
from penstock.versions import Images
from tests import real

ROOT = Path(__file__).parents[2]
PROJECT = find_project(ROOT)
TARGETS = all_targets(PROJECT, Images(PROJECT))
LONGEST_BUILD_S = 40 * 60
MISSING: list[str] = []  # why the suite was skipped


@pytest.fixture(scope="session", autouse=True)
def reachable() -> Iterator[None]:
    """Set the variables that reach an engine; skips the suite where there is none."""
    try:
        variables = real.engine()
    except real.Missing as missing:
        MISSING.append(str(missing))
        pytest.skip(str(missing))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def engine(reachable: None) -> Engine:
    """The engine that holds the images."""
    return Engine()


@pytest.fixture(scope="session")
def project(reachable: None) -> Project:
    """This checkout, with all its images built."""
    done = penstock("images", "build", timeout=LONGEST_BUILD_S)
    assert done.returncode == 0, done.stderr
    return PROJECT


@pytest.fixture(params=TARGETS, ids=[target.name for target in TARGETS])
def target(request: pytest.FixtureRequest, project: Project) -> Target:
    """Each image of images.yaml, built."""
    found: Target = request.param
    return found


def penstock(
    *arguments: str, cwd: Path = ROOT, timeout: int = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process, with the project in `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that nothing was tested."""
    for sentence in MISSING:
        terminalreporter.section("THE CONTAINER SUITE WAS SKIPPED", "!", red=True)
        terminalreporter.write_line(sentence)

"""Finds, or brings up, the real things that the container and cluster suites run against.

A Docker engine: whatever `docker info` reaches, else a stand-in beside the project. A KFP cluster with a registry:
what KFP_HOST, KUBECONFIG and REGISTRY name, else a stand-in beside the project, which takes about 15 minutes to
build the first time: `python -m tests.real build` does that ahead. Where neither can be had, the suite is skipped,
and says so in its last lines.
"""

import fcntl
import os
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAND_INS = ROOT.parent / "shared"
CLUSTER_VARIABLES = ("KFP_HOST", "KUBECONFIG", "REGISTRY")
BUILD_LIMIT_S = 45 * 60


class Missing(Exception):
    """The engine or the cluster cannot be had; the text says why."""


@cache
def engine() -> dict[str, str]:
    """Return the variables that reach a Docker engine.

    Raises:
        Missing: There is none, and none can be started.
    """
    try:
        if subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0:
            return {}
    except (OSError, subprocess.TimeoutExpired):
        pass  # then the stand-in
    script = STAND_INS / "docker" / "up"
    if not script.is_file():
        raise Missing("no Docker engine answers `docker info`: start one, or set DOCKER_HOST")
    return _exported([str(script)], "the Docker engine")


@cache
def cluster() -> dict[str, str]:
    """Return KFP_HOST, KUBECONFIG and REGISTRY of a running cluster.

    Raises:
        Missing: There is none, and none can be started.
    """
    named = {name: os.environ[name] for name in CLUSTER_VARIABLES if os.environ.get(name)}
    if len(named) == len(CLUSTER_VARIABLES):
        return named
    folder = STAND_INS / "cluster"
    if not (folder / "up").is_file():
        missing = ", ".join(name for name in CLUSTER_VARIABLES if name not in named)
        raise Missing(f"no cluster is named: set {missing}")
    _say("bringing up the cluster; its first build takes about 15 minutes")
    build()
    found = _exported([str(folder / "up")], "the cluster")
    return {**found, **_exported([str(folder / "registry"), "up"], "the image registry")}


def build() -> None:
    """Build the stand-in cluster, after whoever builds it now; what is there, is left.

    Raises:
        Missing: There is none, or it cannot be built.
    """
    script = STAND_INS / "cluster" / "build"
    if not script.is_file():
        raise Missing(f"there is no stand-in at {script}")
    with (Path(tempfile.gettempdir()) / "penstock-cluster-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _exported([str(script)], "the cluster (build)")


def _exported(command: list[str], subject: str) -> dict[str, str]:
    """Run a script that prints `export NAME=value` lines, and return these variables."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{subject} cannot be started: {error}") from error
    if done.returncode:
        tail = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise Missing(
            f"{subject} cannot be started ({Path(command[0]).name} exits {done.returncode}): {tail}"
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("export ")]
    words = [word for line in lines for word in shlex.split(line)[1:]]
    return {name: os.path.expandvars(value) for name, _, value in (word.partition("=") for word in words)}


def _say(sentence: str) -> None:
    print(f"tests: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] != ["build"]:
        sys.exit("usage: python -m tests.real build")
    try:
        build()
    except Missing as missing:
        sys.exit(f"tests: {missing}")

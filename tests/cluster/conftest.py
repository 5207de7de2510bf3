"""The cluster suite: the command line as people use it, against a real KFP, a real registry and a real MLflow.

The images are built from this checkout once per session; the MLflow server is the one of manifests/kubernetes.
Run it with `make test-cluster`; what it needs, and what happens where that is missing: tests/real.py.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock.environments import load_environment
from penstock.project import find_project
from penstock.store_access import store_access
from tests import real
from tests.cluster.gateway import find_gateway
from tests.cluster.mlflow_server import MlflowServer
from tests.cluster.projects import (
    ROOT,
    copy_project,
    with_changed_code,
    with_little_memory,
    without_a_column,
)

ENV = "test"
NAMESPACE = "kubeflow"  # of the steps there, and of MLflow
LONG_TRAINING = (
    "--set",
    "model_settings={epochs: 200, patience: 200, hidden_units: [64, 32], dropout: 0.1}",
)
# Explanations and the proof of serving need not be thorough here.
BRIEF = ("--set", "explained_rows=50", "--set", "serving={load_s: 2, replayed_rows: 50}")
LONGEST_COMMAND_S = 25 * 60
MISSING: list[str] = []  # why the suite was skipped

RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Penstock = Callable[..., "Done"]
Show = Callable[[str], dict[str, Any]]
Submit = Callable[..., str]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def run_id(done: Done) -> str:
    """Return the id of the cluster run that a command told of."""
    found = RUN_ID.search(done.out + done.err)
    assert found, "the command names no run"
    return found.group()


def run_penstock(
    *arguments: str, env: dict[str, str], cwd: Path = ROOT, timeout: int = LONGEST_COMMAND_S
) -> Done:
    """Run the command line as a process, with the project in `cwd`."""
    command = [sys.executable, "-m", "penstock.cli", *arguments]
    variables = {**os.environ, **env, "PYTHONPATH": str(cwd)}
    done = subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=timeout
    )
    print(f"$ penstock {' '.join(arguments)}\n{done.stdout[-6000:]}{done.stderr[-6000:]}[{done.returncode}]")
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    """The variables that reach the cluster and the engine; skips the suite where there is none."""
    try:
        return {**real.engine(), **real.cluster()}
    except real.Missing as missing:
        MISSING.append(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def ready(variables: dict[str, str]) -> dict[str, str]:
    """The variables of a cluster that has this checkout's images and what its runs need."""
    for command in (
        ["images", "build"],
        ["images", "push", "--env", ENV],
        ["images", "lock", "--env", ENV],
        ["platform", "apply", "--env", ENV],
    ):
        assert run_penstock(*command, env=variables).code == 0
    return variables


@pytest.fixture
def in_reach(ready: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process reach what the command line reaches."""
    for name, value in ready.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(in_reach: None) -> Any:
    """The store of the pipeline root, as a file system."""
    import s3fs

    access = store_access(load_environment(find_project(ROOT), ENV))
    return s3fs.S3FileSystem(**access.s3_options)


@pytest.fixture(scope="session")
def kube(variables: dict[str, str]) -> Any:
    """The API client of the cluster of KUBECONFIG."""
    import kubernetes

    return kubernetes.config.new_client_from_config(config_file=variables["KUBECONFIG"])


@pytest.fixture(scope="session")
def mlflow(ready: dict[str, str], kube: Any) -> MlflowServer:
    """The MLflow server that runs there register their models with."""
    return MlflowServer(kube, NAMESPACE)


@pytest.fixture(scope="session")
def gateway(kube: Any) -> str:
    """The address of the gateway; skips where there is none and none can be started."""
    address = find_gateway(kube, NAMESPACE)
    if not address:
        MISSING.append(f"the namespace {NAMESPACE} has no Gateway: what needs one did not run")
        pytest.skip(MISSING[-1])
    return address


@pytest.fixture(scope="session")
def penstock(ready: dict[str, str]) -> Penstock:
    """Run the command line against the cluster."""

    def run(*arguments: str, cwd: Path = ROOT, **options: Any) -> Done:
        return run_penstock(*arguments, env=ready, cwd=cwd, **options)

    return run


@pytest.fixture(scope="session")
def show(penstock: Penstock) -> Show:
    """Return the account of a cluster run, its steps by title."""

    def read(run: str) -> dict[str, Any]:
        done = penstock("runs", "show", run, "--env", ENV, "--json")
        assert done.code == 0
        account: dict[str, Any] = done.json
        steps = [*account["steps"], *filter(None, [account["handler"]])]
        return {**account, "steps": {step["title"]: step for step in steps}}

    return read


@pytest.fixture(scope="session")
def model() -> str:
    """A model's name that no earlier session has used: the first run meets no champion."""
    return f"taxi-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def own() -> list[str]:
    """Settings that no earlier session has used: its runs are not served from theirs."""
    return ["--set", f"rows_per_shard={random.randint(100_000, 9_000_000)}", *BRIEF]


@pytest.fixture(scope="session")
def submit(penstock: Penstock) -> Submit:
    """Submit the taxi app's training, and return the run's id without waiting for its end."""

    def start(*options: str, cwd: Path = ROOT) -> str:
        done = penstock("submit", "--app", "taxi", "--env", ENV, *options, cwd=cwd)
        assert done.code == 0
        return run_id(done)

    return start


@pytest.fixture(scope="session")
def wait(penstock: Penstock) -> Callable[[str], Done]:
    """Wait for the end of a run as people do."""
    return lambda run: penstock("runs", "show", run, "--env", ENV, "--wait")


@pytest.fixture(scope="session")
def begun(
    submit: Submit, model: str, own: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The ids of runs that need nothing of each other, by what happens to them; they go on side by side."""
    broken = without_a_column(copy_project(tmp_path_factory.mktemp("broken") / "project"), "trip_miles")
    narrow = with_little_memory(copy_project(tmp_path_factory.mktemp("narrow") / "project"))
    return {
        "trained": submit("--set", f"model_name={model}", *own),
        "broken": submit(*own, "--force", cwd=broken),
        "narrow": submit(*own, "--force", "--no-cache", cwd=narrow),
    }


@pytest.fixture(scope="session")
def trained(begun: dict[str, str], wait: Callable[[str], Done], show: Show) -> dict[str, Any]:
    """The account of the first training; what others share with it, they have from the cache."""
    assert wait(begun["trained"]).code == 0
    return show(begun["trained"])


@pytest.fixture(scope="session")
def followed(
    penstock: Penstock,
    submit: Submit,
    trained: dict[str, Any],
    model: str,
    own: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The ids of runs after the first training, with all or most of it in the cache; side by side as well."""
    changed = with_changed_code(
        copy_project(tmp_path_factory.mktemp("changed") / "project"), "evaluate_model"
    )
    for command in (["build"], ["push", "--env", ENV], ["lock", "--env", ENV]):
        assert penstock("images", *command, cwd=changed).code == 0
    names = {"killed": 1, "cancelled": 2}
    return {
        **{
            name: submit("--set", f"model_name={model}-{seed}", "--set", f"seed={seed}", *own, *LONG_TRAINING)
            for name, seed in names.items()
        },
        "changed": submit("--set", f"model_name={model}", *own, "--force", cwd=changed),
        "changed_lock": str(changed / "images.lock.json"),
    }


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A copy of the checkout that a test may change."""
    copy = copy_project(tmp_path / "project")
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that nothing was tested."""
    for sentence in MISSING:
        terminalreporter.section("THE CLUSTER SUITE WAS SKIPPED", "!", red=True)
        terminalreporter.write_line(sentence)

"""A rollout through real KFP: first share, a canary measured by 2,000 requests, an advance, promotion and rollback."""

import json
import math
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ENV, NAMESPACE, Done, Penstock
from tests.cluster.mlflow_server import MlflowServer
from tests.cluster.projects import copy_project
from tests.cluster.requests_load import Requests

REQUESTS = 2000
SHARE = 10
SECTION = f"""
rollout:
  strategy: canary
  canary: {{stages: [{SHARE}, 100], hold: PT1S, min_requests: 100}}
  guardrails: {{latency_ratio: 0}}  # how fast equal versions are here is chance
"""


@pytest.fixture(scope="module")
def trained_version(mlflow: MlflowServer, trained: dict[str, Any], model: str) -> dict[str, Any]:
    """What the first training of the session registered."""
    found = mlflow(f"model-versions/search?max_results=10&filter=name%3D'{model}'")
    return min(found["model_versions"], key=lambda version: int(version["version"]))


@pytest.fixture(scope="module")
def name() -> str:
    """A model that no earlier session has used."""
    return f"rollout-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def registered(mlflow: MlflowServer, trained_version: dict[str, Any], name: str) -> str:
    """A model of two versions, equal ones: the first is the champion."""
    tags = [tag for tag in trained_version["tags"] if not tag["key"].startswith("penstock.rollout")]
    mlflow("registered-models/create", name=name)
    same = {key: trained_version[key] for key in ("source", "run_id")}
    for _ in range(2):
        mlflow("model-versions/create", name=name, tags=tags, **same)
    mlflow("registered-models/alias", name=name, alias="champion", version="1")
    return name


@pytest.fixture(scope="module")
def rollout(
    penstock: Penstock, registered: str, tmp_path_factory: pytest.TempPathFactory, kube: Any, gateway: str
) -> Iterator[Callable[..., Done]]:
    """Call the command line in a copy of the checkout whose taxi app is this model and rolls out."""
    project = copy_project(tmp_path_factory.mktemp("rollout") / "project")
    app = project / "apps" / "taxi" / "app.yaml"
    app.write_text(f"model_name: {registered}\n{app.read_text()}{SECTION}")
    state = project / ".penstock"
    state.mkdir()
    (state / "envs").symlink_to(Path(__file__).parents[2] / ".penstock" / "envs")
    yield lambda *arguments: penstock(*arguments, "--env", ENV, cwd=project)
    _remove(kube, registered)


@pytest.fixture(scope="module")
def requests(mlflow: MlflowServer, trained_version: dict[str, Any], gateway: str, name: str) -> Requests:
    """Predictions of a row that the model was stored with."""
    stored = mlflow.artifact(trained_version["source"], "examples.json")
    body = json.dumps({"instances": stored["instances"][:1]}).encode()
    return Requests(gateway, f"{name}.{NAMESPACE}.internal", f"/v1/models/{name}:predict", body)


def test_a_challenger_gets_its_share_is_promoted_and_rolled_back(
    rollout: Callable[..., Done], requests: Requests, mlflow: MlflowServer, name: str
) -> None:
    assert rollout("rollout", "start", "--version", "2", "--wait").code == 0
    assert weights(rollout) == {"1": 100 - SHARE, "2": SHARE}

    answered = requests.send(REQUESTS)
    assert set(answered) == {"1", "2"}
    expected = REQUESTS * SHARE / 100
    assert abs(answered["2"] - expected) < 5 * math.sqrt(expected * (1 - SHARE / 100))

    assert rollout("rollout", "advance", "--wait").code == 0
    assert weights(rollout) == {"1": 0, "2": 100}
    assert set(requests.send(200)) == {"2"}

    assert rollout("rollout", "advance", "--wait").code == 0
    assert aliases(mlflow, name) == {"champion": "2", "previous": "1"}

    done = rollout("rollback", "--why", "the test goes back")
    assert (done.code, done.out.strip()) == (0, "version 1 is the champion again and has all traffic")
    assert set(requests.send(200)) == {"1"}
    assert aliases(mlflow, name)["champion"] == "1"

    history = rollout("endpoint", "history", name, "--json").json
    assert [change["after"]["weights"].get("2", 0) for change in history if change["action"] == "shift"] == [
        0,
        SHARE,
        100,
        0,
    ]
    assert history[-1]["why"] == "the test goes back"


def weights(rollout: Callable[..., Done]) -> dict[str, int]:
    """Return the shares of the versions that are deployed."""
    standing = rollout("rollout", "status", "--json").json["endpoint"]
    return {version: standing["weights"].get(version, 0) for version in standing["versions"]}


def aliases(mlflow: MlflowServer, name: str) -> dict[str, str]:
    """Return the version that each alias of the model means."""
    found = mlflow(f"registered-models/get?name={name}")["registered_model"].get("aliases", [])
    return {one["alias"]: one["version"] for one in found}


def _remove(kube: Any, endpoint: str) -> None:
    """Take the endpoint's servers and its route away."""
    import kubernetes

    apps = kubernetes.client.AppsV1Api(kube)
    for found in apps.list_namespaced_deployment(NAMESPACE).items:
        if found.metadata.name.startswith(endpoint):
            apps.delete_namespaced_deployment(found.metadata.name, NAMESPACE)
    routes = kubernetes.client.CustomObjectsApi(kube)
    place = ("gateway.networking.k8s.io", "v1", NAMESPACE, "httproutes")
    for route in routes.list_namespaced_custom_object(*place)["items"]:
        if route["metadata"]["name"].startswith(endpoint):
            routes.delete_namespaced_custom_object(*place, route["metadata"]["name"])

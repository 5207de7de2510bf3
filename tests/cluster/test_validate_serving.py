"""The proof before traffic on a real cluster: the server is a pod with the target's limits, and gone afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.components.validate_serving.pod_object import RUN, trial_name
from tests.cluster.conftest import ENV, NAMESPACE, Penstock, Show, Submit
from tests.cluster.projects import ROOT, copy_project

MEMORY = "  memory: 768Mi\n"  # of a server, in test.yaml
LIMITS = {"cpu": "250m", "memory": "768Mi", "memory_limit": "2Gi"}  # the last one is the default


def evidence_of(account: dict[str, Any], store: Any) -> tuple[str, dict[str, Any], str]:
    """Return the URI of the step's evidence, its checks.json and the server's log."""
    uri = account["steps"]["validate-serving"]["record"]["outputs"]["evidence"]
    folder = uri.partition("://")[2]
    return uri, json.loads(store.cat(f"{folder}/checks.json")), store.cat(f"{folder}/server.log").decode()


def pods_of(kube: Any, run: str) -> list[str]:
    """Return the pods in which the run has tried its model."""
    import kubernetes

    found = kubernetes.client.CoreV1Api(kube).list_namespaced_pod(NAMESPACE, label_selector=f"{RUN}={run}")
    return [pod.metadata.name for pod in found.items]


def test_a_model_is_proven_in_a_pod_of_the_target(trained: dict[str, Any], store: Any, kube: Any) -> None:
    uri, found, log = evidence_of(trained, store)
    assert {one["name"] for one in found["checks"] if not one["passed"]} == set()
    server = found["server"]
    serving = json.loads((ROOT / "images.lock.json").read_text())["images"]["serving"]["reference"]
    assert (server["kind"], server["name"], server["namespace"]) == ("pod", trial_name(uri), NAMESPACE)
    assert server["image"] == serving
    assert {key: server[key] for key in LIMITS} == LIMITS
    assert "is loaded and warm" in log
    assert pods_of(kube, trained["id"]) == []


@pytest.fixture
def little_memory(tmp_path: Path) -> Path:
    """A copy of the checkout whose environment ends servers at half of what TensorFlow needs."""
    project = copy_project(tmp_path / "project")
    path = project / "manifests" / "environments" / f"{ENV}.yaml"
    text = path.read_text()
    assert MEMORY in text
    path.write_text(text.replace(MEMORY, "  memory: 128Mi\n  memory_limit: 256Mi\n"))
    return project


def test_a_model_that_needs_more_than_the_limit_is_blocked(
    trained: dict[str, Any],
    penstock: Penstock,
    submit: Submit,
    show: Show,
    model: str,
    own: list[str],
    little_memory: Path,
    store: Any,
    kube: Any,
) -> None:
    """All before it is served from the cache of the first training."""
    run = submit("--set", f"model_name={model}-little", *own, cwd=little_memory)
    done = penstock("runs", "show", run, "--env", ENV, "--wait")
    assert done.code == 3
    assert "gate: serving" in done.out + done.err
    account = show(run)
    (reason,) = account["steps"]["validate-serving"]["record"]["reasons"]
    assert reason.startswith(
        "the server was killed, it needs more memory than its limit of 256Mi "
        "(serving.memory_limit of the environment), after "
    )
    _, found, _ = evidence_of(account, store)
    assert (found["server"]["kind"], found["server"]["memory_limit"]) == ("pod", "256Mi")
    assert pods_of(kube, run) == []

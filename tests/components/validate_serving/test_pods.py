"""The step with its server in a pod: the real service, behind a Kubernetes API of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.components.serving_targets import kubernetes_api
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import execute
from penstock.components.validate_serving import pod_status, pods, servers
from penstock.components.validate_serving.pod_object import trial_name
from penstock.components.validate_serving.pods import server_pod
from penstock.components.validate_serving.settings import Settings
from penstock.components.validate_serving.step import run
from penstock.components.validate_serving.validation import ready
from tests.components.serving_targets.kubernetes_server import ClusterState, kubernetes_server
from tests.components.validate_serving.node import Node, status
from tests.components.validate_serving.prepared import ROWS, arguments, prepare
from tests.executor_input import read_outputs

IMAGE = "registry/serving@sha256:" + "0" * 64
TRIAL = {"namespace": "models", "image": IMAGE, "cpu": "250m", "memory": "512Mi", "memory_limit": "700Mi"}
START_S = 300  # a busy machine takes long to import TensorFlow
PATIENT = Settings(start_s=START_S)
MADE = "POST /api/v1/namespaces/models/pods"
MINE = {"metadata": {"name": "step-1", "uid": "u-1", "labels": {"pipeline/runid": "r-1"}}, "spec": {}}


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("binary"), "binary")


@pytest.fixture
def state() -> ClusterState:
    """The cluster, with the pod that the step runs in."""
    found = ClusterState()
    found.objects["pods", "step-1"] = json.loads(json.dumps(MINE))
    return found


@pytest.fixture
def node(state: ClusterState, tmp_path: Path) -> Iterator[Node]:
    found = Node(state, tmp_path)
    yield found
    found.close()


@pytest.fixture
def kubeconfig(state: ClusterState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import kubernetes

    monkeypatch.setattr(kubernetes_api, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(pod_status, "SETTLED_S", 0.0)
    monkeypatch.setattr(pods, "POLL_S", 0.05)
    monkeypatch.setattr(pods, "ASK_AGAIN_S", 0.05)
    monkeypatch.setenv("KFP_POD_NAME", "step-1")
    with kubernetes_server(state, tmp_path) as path:
        monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        yield path


def prove(folder: Path, out: Path, **serving: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the step; return its output parameters and checks.json."""
    assert execute(run, "validate_serving", arguments(folder, out, TRIAL, start_s=START_S, **serving)) == 0
    return read_outputs(out)[0], json.loads((out / "evidence/checks.json").read_text())


def failure(folder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the step, which fails; return its sentence."""
    capsys.readouterr()
    assert execute(run, "validate_serving", arguments(folder, out, TRIAL)) == 2
    assert not (out / "executor_output.json").exists()
    return str(json.loads(capsys.readouterr().out.splitlines()[-1])["error"])


def left(state: ClusterState) -> list[str]:
    return [name for plural, name in state.objects if plural == "pods" and name != "step-1"]


def test_a_good_model_passes_every_check_in_a_pod_of_its_own(
    binary: Path,
    tmp_path: Path,
    node: Node,
    state: ClusterState,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the pod's version of TensorFlow: the step's own is not asked."""
    monkeypatch.setattr(servers, "version", None)
    outputs, found = prove(binary, tmp_path / "out")
    assert {one["name"]: one["sentence"] for one in found["checks"] if not one["passed"]} == {}
    assert outputs == {"verdict": "pass", "reasons": []}
    checks = {one["name"]: one for one in found["checks"]}
    assert checks["TensorFlow"]["sentence"].startswith("TensorFlow 2.")
    assert checks["answers over gRPC"]["numbers"]["rows"] == ROWS
    server = found["server"]
    assert (server["kind"], server["namespace"], server["node"]) == ("pod", "models", "here")
    assert {key: server[key] for key in TRIAL if key != "namespace"} == {
        key: TRIAL[key] for key in TRIAL if key != "namespace"
    }
    assert "is loaded and warm" in (tmp_path / "out/evidence/server.log").read_text()
    assert "700Mi of memory" in (tmp_path / "out/report").read_text()
    assert left(state) == []


def test_the_pod_goes_with_the_steps_own(
    binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    with server_pod(TRIAL, str(binary / "model"), "tips", "id", Settings(load_s=100), str(kubeconfig)):
        pass
    (pod,) = node.pods
    assert pod["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "step-1", "uid": "u-1"}
    ]
    assert pod["metadata"]["labels"]["penstock.io/run"] == "r-1"
    assert pod["spec"]["activeDeadlineSeconds"] == 900 + 120 + 100 + 900


def test_a_server_killed_by_its_limit_blocks_and_names_the_limit(
    binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    look, node.end_with = state.before, "OOMKilled"

    def kill_when_asked(call: str) -> None:
        assert look is not None
        look(call)
        if node.processes:
            node.kill("OOMKilled")

    state.before = kill_when_asked
    outputs, found = prove(binary, tmp_path / "out")
    assert outputs["verdict"] == "block"
    (reason,) = outputs["reasons"]
    assert reason.startswith(
        "the server was killed, it needs more memory than its limit of 700Mi "
        "(serving.memory_limit of the environment), after "
    )
    assert [one["passed"] for one in found["checks"]] == [None, False] + 7 * [None]
    assert (tmp_path / "out/evidence/server.log").exists()
    assert left(state) == []


def test_a_crash_blocks_with_exit_code_and_last_words(
    binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    gone = tmp_path / "gone"
    with server_pod(TRIAL, str(gone), "tips", "id", PATIENT, str(kubeconfig)) as server:
        check = ready(server, "tips", PATIENT)
        assert "is not there" in server.log()
    assert not check.passed
    assert check.sentence.startswith("the server ended with exit code 2 after ")
    assert check.sentence.endswith(f"it said last: the model folder '{gone}' is not there")
    assert left(state) == []


def test_an_end_that_the_node_tells_late_is_told(
    binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    """A request fails at once, the API knows why a second later."""
    with server_pod(TRIAL, str(binary / "model"), "tips", "id", PATIENT, str(kubeconfig)) as server:
        assert ready(server, "tips", PATIENT).passed
        assert server.lost() == ""
        node.tells_late = 3
        node.kill("OOMKilled")
        assert server.lost().startswith("was killed, it needs more memory than its limit of 700Mi")


PENDING = {"phase": "Pending", "conditions": [], "containerStatuses": []}
NO_ROOM = {
    "type": "PodScheduled",
    "status": "False",
    "message": "0/3 nodes are available: 3 Insufficient cpu.",
}


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (
            status("Pending", {"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            "the image registry/serving@sha256:0 cannot be pulled: not found: `make images` pushes it; a private "
            "registry needs a pull secret on the pod's service account",
        ),
        (
            status(
                "Pending",
                {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}},
            ),
            'its container cannot be made: secret "x" not found: correct the section `serving` of the environment',
        ),
        (
            PENDING | {"conditions": [NO_ROOM]},
            "no node has room for it: 0/3 nodes are available: 3 Insufficient cpu: wait for others to end, add a node, "
            "or ask for less (serving.cpu and serving.memory of the environment)",
        ),
    ],
)
def test_what_the_cluster_cannot_do_fails_the_step_and_blocks_no_model(
    held: dict[str, Any],
    sentence: str,
    binary: Path,
    tmp_path: Path,
    node: Node,
    state: ClusterState,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A verdict would be cached, and block the same model again when the cluster is well."""
    monkeypatch.setattr(pod_status, "ROOM_S", 0.0)
    node.held = held
    name = trial_name(str(tmp_path / "out/evidence"))
    assert failure(binary, tmp_path / "out", capsys) == f"the serving pod {name} does not start: {sentence}"
    assert left(state) == []


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            'pods "x" is forbidden: exceeded quota: penstock, requested: pods=1, used: pods=200, limited: pods=200',
            "wait until others have ended, or raise the quota",
        ),
        (
            "pods is forbidden: User cannot create resource",
            "give this account the rights of the Role penstock-serving-trial (`penstock platform apply`)",
        ),
    ],
)
def test_a_pod_that_may_not_be_made_fails_the_step(
    message: str,
    advice: str,
    binary: Path,
    tmp_path: Path,
    node: Node,
    state: ClusterState,
    kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state.failures = [(MADE, 403, message)]
    assert failure(binary, tmp_path / "out", capsys) == (
        f"Pod in the namespace models cannot be applied (403: {message}): {advice}"
    )


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_a_pod_that_the_cluster_ends_fails_the_step(
    how: str, binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    where = server_pod(TRIAL, str(binary / "model"), "tips", "id", Settings(), str(kubeconfig))
    with pytest.raises(StepError) as raised, where as server:  # noqa: PT012 - the end comes in between
        if how == "deleted":
            node.stop(server.name)
            del state.objects["pods", server.name]
        else:
            node.stop(server.name)
            state.objects["pods", server.name]["status"] = {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory.",
            }
        ready(server, "tips", PATIENT)
    name = trial_name("id")
    assert (
        str(raised.value)
        == {
            "deleted": f"the serving pod {name} was deleted while its model was tried: run the step again, and see who "
            "did it",
            "evicted": f"the serving pod {name} was ended by the cluster (Evicted: The node was low on resource: memory): "
            "run the step again when it has room",
        }[how]
    )
    assert left(state) == []


def test_a_terminated_step_deletes_its_pod_and_a_killed_one_leaves_it_to_the_next(
    binary: Path, tmp_path: Path, node: Node, state: ClusterState, kubeconfig: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "penstock.components.validate_serving.step", "--executor_input"]
    command.append(arguments(binary, out, TRIAL, load_s=600, start_s=START_S))
    name = trial_name(str(out / "evidence"))

    def begun() -> subprocess.Popen[bytes]:
        before = len(node.pods)
        child = subprocess.Popen(command, env={**os.environ, "KUBECONFIG": str(kubeconfig)})
        end = time.monotonic() + START_S
        while time.monotonic() < end and (len(node.pods) == before or "serving tips" not in node.said(name)):
            time.sleep(0.1)
        assert "serving tips" in node.said(name)
        assert left(state) == [name]
        return child

    child = begun()
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 143
    assert left(state) == []

    child = begun()
    child.kill()
    child.wait()
    assert left(state) == [name]
    outputs, _ = prove(binary, out)
    assert (outputs["verdict"], len(node.pods)) == ("pass", 3)
    assert left(state) == []

"""Why pods are not ready, from statuses as a kubelet wrote them."""

import math
from typing import Any

import pytest

from penstock.components.serving_targets.kubernetes_pods import is_ready, pods_problem, restarts
from tests.components.serving_targets.kubernetes_server import READY, container_status

SPEC = {"containers": [{"resources": {"limits": {"memory": "2Gi"}}}]}
NO_ROOM = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient memory."}
    ],
}
BACKOFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}}
CRASHED = {"terminated": {"exitCode": 2, "reason": "Error"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


def pod(status: dict[str, Any], name: str = "taxi-v3-0", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": SPEC, "status": status}


def last_line(name: str, previous: bool) -> str:
    return f"last of {name}, {'before' if previous else 'now'}"


@pytest.mark.parametrize(
    ("status", "text", "patience_s"),
    [
        (
            container_status(waiting={"reason": "ImagePullBackOff", "message": "Back-off: not found"}),
            "the image image cannot be pulled: Back-off: not found",
            15.0,
        ),
        (
            container_status(
                waiting={"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}
            ),
            'the container cannot be made: secret "x" not found',
            15.0,
        ),
        (
            container_status(**CRASHED),
            "the server ended with exit code 2; it said last: last of taxi-v3-0, now",
            math.inf,
        ),
        (
            container_status(**BACKOFF, last=CRASHED, restarts=2),
            "the server ended with exit code 2 (2 restarts); it said last: last of taxi-v3-0, before",
            0.0,
        ),
        (
            container_status(**BACKOFF, last=KILLED, restarts=1),
            "the server was killed, it needs more memory than its limit of 2Gi (1 restarts)",
            math.inf,
        ),
        (NO_ROOM, "no node has room for it: 0/3 nodes: 3 Insufficient memory", math.inf),
        (
            container_status(running={}),
            "pod taxi-v3-0 runs and is not ready; it said last: last of taxi-v3-0, now",
            math.inf,
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            "pod taxi-v3-0 failed: Evicted The node was low on resource: memory",
            math.inf,
        ),
    ],
)
def test_problem_is_told_in_kubernetes_own_words(
    status: dict[str, Any], text: str, patience_s: float
) -> None:
    problem = pods_problem([pod(READY, "other"), pod(status)], last_line)
    assert problem is not None
    assert (problem.text, problem.patience_s) == (text, patience_s)


def test_ready_beginning_and_ending_pods_have_no_problem() -> None:
    creating = container_status(waiting={"reason": "ContainerCreating"})
    gone = pod(container_status(**CRASHED), deletionTimestamp="2026-11-21T18:00:00Z")
    assert pods_problem([pod(READY), pod(creating), gone], last_line) is None
    assert not is_ready(gone)


def test_gravest_problem_is_told() -> None:
    crashed = pod(container_status(**BACKOFF, last=CRASHED, restarts=4))
    problem = pods_problem([pod(NO_ROOM), crashed], last_line)
    assert problem is not None
    assert problem.text.startswith("the server ended")
    assert restarts([pod(READY), crashed, crashed]) == 8

"""What happens to runs on a cluster: lost pods, retries, cancelling, a step that needs too much memory."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.conftest import ENV
from tests.cluster.pods import Pods

BEGUN, WENT_ON = "checkpoints go to", "going on after"


def test_step_over_its_memory_limit_says_so(begun, wait, show):
    ended = wait(begun["narrow"])
    assert ended.code == 1
    for text in (ended.out, show(begun["narrow"])["steps"]["compute-statistics"]["message"]):
        assert "more memory than its limit of 64" in text


def test_cancelled_run_is_remembered_as_cancelled_with_who_and_why(followed, penstock, wait, show):
    run = followed["cancelled"]
    assert penstock("runs", "cancel", run, "--env", ENV, "--why", "the label was wrong").code == 0
    assert wait(run).code == 130
    account = show(run)
    assert account["state"] == "cancelled"
    assert "the label was wrong" in account["error"]
    assert "succeeded" not in {account["steps"][name]["state"] for name in ("train-model", "register-model")}
    assert penstock("runs", "cancel", run, "--env", ENV).code == 2


@pytest.fixture(scope="module")
def killed(followed: dict[str, str], kube: Any) -> dict[str, str]:
    """The runs, after two of them lost the pods of their trainings."""

    def end(name: str) -> None:
        pods = Pods(kube, followed[name], "train_model")
        pods.end_when(BEGUN, crash=name == "crashed")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(end, ["drained", "crashed"]))
    return followed


def test_training_outlives_a_drained_node(killed, penstock, wait, show):
    """Argo tries a pod again that it saw fail; where the pod had gone before it looked, a retry goes on."""
    run = killed["drained"]
    if wait(run).code:
        assert "its pod was ended from outside" in show(run)["sentence"]
        assert penstock("runs", "retry", run, "--env", ENV, "--wait").code == 0
    else:
        assert show(run)["steps"]["train-model"]["attempts"] == 2
    assert show(run)["state"] == "succeeded"
    assert WENT_ON in penstock("runs", "logs", run, "train-model", "--env", ENV).out


def test_retry_goes_on_where_a_crashed_node_left_it_and_notifies(killed, penstock, wait, show):
    """Argo tries a pod again that failed, not one that has gone."""
    run = killed["crashed"]
    assert wait(run).code == 1
    failed = show(run)
    assert (failed["state"], failed["steps"]["train-model"]["state"]) == ("failed", "failed")
    assert "its pod was ended from outside" in failed["sentence"]

    retried = penstock("runs", "retry", run, "--env", ENV, "--wait")
    assert retried.code == 0
    account = show(run)
    assert account["state"] == "succeeded"
    for title in ("extract-data", "prepare-data"):
        assert account["steps"][title]["ended"] == failed["steps"][title]["ended"], "it ran again"
    assert account["steps"]["register-model"]["state"] == "succeeded"
    assert WENT_ON in penstock("runs", "logs", run, "train-model", "--env", ENV).out
    # KFP runs no exit handler twice: a small run of ours waits for the end, and tells it.
    assert "its end is told by the run" in retried.out
    told = penstock("runs", "show", f"notify {account['name']}", "--env", ENV, "--wait")
    assert told.code == 0
    assert "succeeded" in penstock("runs", "logs", f"notify {account['name']}", "notify", "--env", ENV).out

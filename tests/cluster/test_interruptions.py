"""What happens to runs on a cluster: lost pods, retries, cancelling, a step that needs too much memory."""

import time
from typing import Any

import pytest

from penstock.environments import load_environment
from penstock.kfp_backend.client import connect, equals
from penstock.kfp_backend.runs import list_runs
from penstock.project import find_project
from tests.cluster.conftest import ENV
from tests.cluster.pods import PATIENCE_S, Pods
from tests.cluster.projects import ROOT

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
def pods(followed: dict[str, str], kube: Any) -> Pods:
    """Where the model of a run is trained that loses its pod twice."""
    return Pods(kube, followed["killed"], "train_model")


def test_training_outlives_a_drained_node(pods, penstock, show):
    """Argo tries a pod again that it saw fail; where the pod had gone before it looked, a retry goes on."""
    pods.end_when(BEGUN, crash=False)
    end = time.monotonic() + PATIENCE_S
    while not pods.say(WENT_ON):
        account = show(pods.run)
        assert account["state"] not in ("succeeded", "cancelled")
        assert time.monotonic() < end, "the training does not go on"
        if account["state"] == "failed":
            assert "its pod was ended from outside" in account["sentence"]
            assert penstock("runs", "retry", pods.run, "--env", ENV).code == 0
        time.sleep(5)


def test_retry_goes_on_where_a_crashed_node_left_it_and_notifies(pods, penstock, wait, show, in_reach):
    """Argo tries a pod again that failed, not one that has gone."""
    pods.end_when(WENT_ON, crash=True)
    run = pods.run
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
    backend = connect(load_environment(find_project(ROOT), ENV))
    told = list_runs(backend, 1, filter=equals("name", f"notify {account['name']}"))[0]["run_id"]
    assert wait(told).code == 0
    assert "succeeded" in penstock("runs", "logs", told, "notify", "--env", ENV).out

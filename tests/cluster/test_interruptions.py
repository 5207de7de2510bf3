"""What happens to runs on a cluster: lost pods, retries, cancelling, steps that need too much memory.

They share data and settings with the run `trained`, so that all before their training is served from the cache.
"""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ENV, Penstock, Show, run_id
from tests.cluster.pods import Pods

TRAINING = "train_model"
LONG = ("--set", "model.epochs=150", "--set", "model.patience=150")
BEGUN, WENT_ON = "checkpoints go to", "going on after"


@pytest.fixture(scope="module")
def runs(penstock: Penstock, trained: dict[str, Any], own: list[str]) -> dict[str, str]:
    """The ids of three runs that go on beside each other, by what will happen to them."""
    found = {}
    for seed, name in enumerate(("lost", "lost_twice", "cancelled"), start=1):
        theirs = ["--set", f"model_name=taxi-{uuid.uuid4().hex[:8]}", "--set", f"seed={seed}", *own, *LONG]
        done = penstock("submit", "--app", "taxi", "--env", ENV, *theirs)
        assert done.code == 0
        found[name] = run_id(done)
    return found


@pytest.fixture(scope="module")
def killed(runs: dict[str, str], ready: dict[str, str]) -> dict[str, str]:
    """The same, after the pods were killed and one run was cancelled."""
    kubeconfig = ready["KUBECONFIG"]
    Pods(kubeconfig, runs["lost"], TRAINING).kill_when(BEGUN)
    first = Pods(kubeconfig, runs["lost_twice"], TRAINING).kill_when(BEGUN)
    Pods(kubeconfig, runs["lost_twice"], TRAINING).kill_when(WENT_ON, not_again=first)
    return runs


def wait(penstock: Penstock, run: str) -> int:
    """Wait for the end of a run as people do; return the exit code."""
    return penstock("runs", "show", run, "--env", ENV, "--wait").code


def test_cancelled_run_is_remembered_as_cancelled_with_who_and_why(penstock, show: Show, runs):
    run = runs["cancelled"]
    done = penstock("runs", "cancel", run, "--env", ENV, "--why", "the label was wrong")
    assert done.code == 0
    assert wait(penstock, run) == 130
    account = show(run)
    assert account["state"] == "cancelled"
    assert "the label was wrong" in account["error"]
    assert "succeeded" not in {account["steps"][name]["state"] for name in ("train-model", "register-model")}
    assert penstock("runs", "cancel", run, "--env", ENV).code == 2


def test_training_outlives_the_loss_of_its_pod(penstock, show: Show, killed):
    assert wait(penstock, killed["lost"]) == 0
    account = show(killed["lost"])
    assert (account["state"], account["steps"]["train-model"]["attempts"]) == ("succeeded", 2)
    assert WENT_ON in penstock("runs", "logs", killed["lost"], "train-model", "--env", ENV).out


def test_retry_goes_on_with_the_step_that_failed_and_notifies(penstock, show: Show, killed):
    run = killed["lost_twice"]
    assert wait(penstock, run) == 1
    failed = show(run)
    assert (failed["state"], failed["steps"]["train-model"]["state"]) == ("failed", "failed")
    assert failed["steps"]["train-model"]["message"]

    assert penstock("runs", "retry", run, "--env", ENV).code == 0
    assert wait(penstock, run) == 0
    retried = show(run)
    assert retried["state"] == "succeeded"
    for title in ("extract-data", "prepare-data"):
        assert retried["steps"][title]["ended"] == failed["steps"][title]["ended"], "it ran again"
    assert retried["steps"]["register-model"]["state"] == "succeeded"
    told = penstock("runs", "list", "--env", ENV, "--json")
    assert any(run in str(one.get("description", "")) for one in told.json)


@pytest.fixture
def narrow(project: Path) -> Path:
    """The project, with less memory for the statistics than TFDV needs."""
    path = project / "images" / "images.yaml"
    text = path.read_text()
    wide = "compute_statistics: {stack: tfdv, cpu: 500m, memory: 1Gi, memory_limit: 4Gi}"
    assert wide in text
    path.write_text(text.replace(wide, wide.replace("1Gi", "64Mi").replace("4Gi", "160Mi")))
    return project


def test_step_over_its_memory_limit_says_so(penstock, show: Show, narrow):
    done = penstock(
        "submit",
        "--app",
        "taxi",
        "--env",
        ENV,
        "--set",
        "seed=4",
        "--force",
        "--no-cache",
        "--wait",
        cwd=narrow,
    )
    assert done.code == 1
    for text in (done.out + done.err, str(show(run_id(done))["steps"]["compute-statistics"]["message"])):
        assert "memory" in text
        assert "160" in text

from pathlib import Path

import pytest

from penstock.components.model_registry.opening import open_store
from penstock.components.notify.kfp_api import KfpApi
from penstock.components.notify.kfp_run import read_kfp_run
from penstock.components.notify.message import compose
from penstock.components.notify.step import run
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import execute
from tests.components.notify.servers import KfpRun, record, serving
from tests.executor_input import executor_input

pytestmark = pytest.mark.usefixtures("registry_in_place")


@pytest.fixture
def on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_RUN_DIR", "PENSTOCK_NOTIFICATIONS", "PENSTOCK_NOTIFY_URLS"):
        monkeypatch.delenv(name, raising=False)


def test_a_blocked_gate_is_told_apart_from_a_failure() -> None:
    ours = KfpRun()
    ours.task("validate-data", record=record("validate_data", results={"verdict": "block"}))
    ours.task(
        "gate",
        "Failed",
        record(
            "gate", "blocked", reasons=["too few rows"], inputs={"evidence": "minio://mlpipeline/report.html"}
        ),
    )
    ours.task("notify", "Running")
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    message = compose(account)
    assert message.title == "training of taxi was blocked at gate"
    assert message.lines[:2] == ["why: too few rows", "evidence: minio://mlpipeline/report.html"]
    assert [(step.task, step.state) for step in account.steps] == [
        ("validate-data", "succeeded"),
        ("gate", "blocked"),
    ]


def test_a_success_is_told_from_the_records_of_the_steps() -> None:
    ours = KfpRun()
    ours.task("inspect-source", record=record("inspect_source", results={"fingerprint": "f1"}))
    ours.task("extract-data", executor_phase="Skipped")
    ours.task("evaluate-model", record=record("evaluate_model", metrics={"auc": 0.75}))
    ours.task("register-model", record=record("register_model", results={"version": "3", "promoted": True}))
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert compose(account).title == "training of taxi succeeded: taxi version 3 is the champion"
    assert account.first("extract_data").state == "cached"  # type: ignore[union-attr]
    assert compose(account).lines[0] == "metrics: auc 0.750"


def test_an_unchanged_run_is_told_from_its_decision() -> None:
    ours = KfpRun()
    reason = "nothing has changed"
    ours.task(
        "resolve-champion",
        record=record("resolve_champion", results={"decision": "unchanged", "reason": reason}),
    )
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert compose(account).title == f"training of taxi: nothing to train, {reason}"


def test_an_out_of_memory_is_told_with_what_to_do() -> None:
    ours = KfpRun()
    ours.task("train-model", "Failed", message="OOMKilled (exit code 1)")
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert compose(account).lines[0] == (
        "why: it used more memory than its node has and was killed (OOMKilled): "
        "raise the memory of train_model in images/images.yaml, then submit again"
    )


def test_the_last_attempt_of_a_retried_step_counts() -> None:
    ours = KfpRun()
    first, last = record("train_model", "failed", error="first"), record("train_model", results={"epochs": 3})
    ours.retried("train-model", first, last)
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert account.result("train_model", "epochs") == 3


def test_what_was_skipped_behind_a_gate_is_no_failure() -> None:
    ours = KfpRun()
    ours.task("gate", "Failed", record("gate", "blocked", reasons=["too few rows"]))
    ours.task("train-model", "Omitted")
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert [(step.task, step.state) for step in account.steps] == [
        ("gate", "blocked"),
        ("train-model", "skipped"),
    ]


def test_without_the_workflow_the_tasks_that_left_a_record_are_told() -> None:
    ours = KfpRun()
    ours.has_workflow = False
    ours.task("extract-data", executor_phase="Skipped")
    ours.task("train-model", "Failed", record("train_model", "failed", error="loss is NaN in epoch 3"))
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert [(step.task, step.state) for step in account.steps] == [("train-model", "failed")]
    assert compose(account).lines[0] == "why: loss is NaN in epoch 3"


def test_a_failure_without_workflow_and_record_is_never_told_as_a_success() -> None:
    ours = KfpRun()
    ours.has_workflow = False
    ours.task("extract-data", record=record("extract_data"))
    ours.task("train-model", "Failed")
    with serving(ours.answers()) as server:
        account = read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    message = compose(account)
    assert message.title == "training of taxi failed"
    assert (
        message.lines[0] == "why: KFP calls these failed, and no step says why: exit-handler-1, train-model"
    )


def test_a_run_without_any_step_is_never_told_as_a_success() -> None:
    with serving(KfpRun().answers()) as server, pytest.raises(StepError) as error:
        read_kfp_run(KfpApi(server.url), "run-1", "training", "taxi")
    assert str(error.value) == (
        f"the KFP API at {server.url} tells of no step of run run-1: look at its page"
    )


def test_the_service_accounts_token_is_sent_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    ours = KfpRun()
    ours.task("train-model", executor_phase="Skipped")
    with serving(ours.answers()) as server:
        read_kfp_run(KfpApi(server.url, str(tmp_path / "token")), "run-1", "training", "taxi")
        read_kfp_run(KfpApi(server.url, str(tmp_path / "none")), "run-1", "training", "taxi")
    sent = {headers.get("Authorization") for _, headers, _ in server.requests[:2]}
    assert sent == {"Bearer t0ken"}
    assert {headers.get("Authorization") for _, headers, _ in server.requests[2:]} == {None}


def test_a_run_that_the_api_does_not_know_is_named() -> None:
    with serving({}) as server, pytest.raises(StepError) as error:
        read_kfp_run(KfpApi(server.url), "run-7", "training", "taxi")
    assert str(error.value) == f"the KFP API at {server.url} answers 404 to /apis/v2beta1/runs/run-7"


@pytest.mark.usefixtures("on_a_cluster")
def test_the_step_records_a_run_on_kfp_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = KfpRun()
    ours.task("train-model", "Failed", record("train_model", "failed", error="loss is NaN in epoch 3"))
    uri = f"sqlite:///{tmp_path / 'registry.db'}"
    given = {"pipeline": "training", "app": "taxi", "run_id": "run-1", "registry_uri": uri}
    with serving(ours.answers()) as server:
        monkeypatch.setenv("KFP_HOST", server.url)
        assert execute(run, "notify", executor_input(tmp_path / "notify", given)) == 0
    (whole,) = open_store(uri).runs("penstock/taxi", {"penstock.run_id": "run-1"}, 10)
    assert whole.status == "FAILED"
    assert whole.tags["penstock.error"] == "loss is NaN in epoch 3"
    assert whole.tags["penstock.executor"] == "kfp"


@pytest.mark.usefixtures("on_a_cluster")
def test_without_run_folder_and_api_the_step_says_so_and_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_HOST", "127.0.0.1:9")
    given = {"pipeline": "training", "app": "taxi", "run_id": "run-1"}
    assert execute(run, "notify", executor_input(tmp_path, given)) == 0
    assert (
        "the account of the run: the KFP API at http://127.0.0.1:9 cannot be read "
        "([Errno 111] Connection refused): set KFP_HOST"
    ) in capfd.readouterr().err

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry.opening import open_store
from penstock.components.notify.channels import send
from penstock.components.notify.message import Message
from penstock.components.notify.step import run
from penstock.components.step_io.main import execute
from tests.components.notify.servers import serving
from tests.executor_input import executor_input

pytestmark = pytest.mark.usefixtures("registry_in_place")

AT = "2026-11-21T10:00:{:02d}.000+00:00"


def a_step(task: str, state: str = "succeeded", **fields: Any) -> dict[str, Any]:
    record = fields.pop("record", {})
    name = task.replace("-", "_")
    return {
        "task": task,
        "title": fields.pop("title", task),
        "step": fields.pop("step", name),
        "state": state,
        "started": AT.format(1) if state not in ("pending", "skipped") else "",
        "ended": AT.format(3) if state not in ("pending", "skipped", "running") else "",
        "log": f"logs/{task}.log",
        "record": {"record": "penstock.step/1", "step": name, "state": state, **record} if record else None,
        **fields,
    }


TRAINED = [
    a_step("inspect-source", record={"results": {"fingerprint": "f1"}}),
    a_step("resolve-champion", record={"results": {"decision": "train", "champion_version": "2"}}),
    a_step("validate-data", record={"results": {"verdict": "pass", "drift": "none"}}),
    a_step(
        "evaluate-model",
        record={"metrics": {"auc": 0.75, "auc_low": 0.7, "auc_high": 0.8, "log_loss": 0.5, "rows": 1_500}},
    ),
    a_step("register-model", record={"results": {"version": "3", "promoted": True}}),
    a_step("notify", "running", is_exit=True),
]
BLOCKED = [
    a_step("validate-data", reports={"report": "reports/validate-data-report.html"}),
    a_step(
        "gate",
        "blocked",
        title="gate: data",
        upstream=["validate-data"],
        record={
            "error": "the data gate blocks",
            "reasons": ["fare is missing", "too few rows"],
            "exit_code": 3,
        },
    ),
    a_step("train-model", "skipped"),
    a_step("notify", "running", is_exit=True),
]
UNCHANGED = [
    a_step(
        "resolve-champion",
        record={
            "results": {
                "decision": "unchanged",
                "reason": "the data, the app and the steps' code are those of champion version 3",
            }
        },
    ),
    a_step("train-model", "skipped"),
]


class LocalRun:
    """A run folder, and the exit handler that reads it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "runs" / "run-1"
        self.folder.mkdir(parents=True)
        self.told = folder / "state" / "notifications.jsonl"
        self.uri = f"sqlite:///{folder / 'registry.db'}"
        monkeypatch.setenv("PENSTOCK_RUN_DIR", str(self.folder))
        monkeypatch.setenv("PENSTOCK_NOTIFICATIONS", str(self.told))
        monkeypatch.delenv("PENSTOCK_NOTIFY_URLS", raising=False)

    def write(self, state: str, steps: list[dict[str, Any]], **fields: Any) -> None:
        content = {
            "id": "run-1",
            "pipeline": "training",
            "app": "taxi",
            "state": state,
            "started": AT.format(0),
            "ended": AT.format(40),
            "arguments": {"model_name": "taxi", "until": "2015-01-01"},
            "steps": steps,
            **fields,
        }
        (self.folder / "run.json").write_text(json.dumps(content))

    def notify(self, **changed: Any) -> int:
        given = {"pipeline": "training", "app": "taxi", "run_id": "run-1", "registry_uri": self.uri}
        return execute(run, "notify", executor_input(self.folder / "notify", {**given, **changed}))

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRun:
    return LocalRun(tmp_path, monkeypatch)


def test_success_tells_version_metrics_and_report(local: LocalRun) -> None:
    local.write("succeeded", TRAINED)
    assert local.notify() == 0
    message = local.messages()[0]
    assert message["title"] == "training of taxi succeeded: taxi version 3 is the champion"
    assert message["lines"] == [
        "metrics: auc 0.75 (0.70 to 0.80), log_loss 0.500",
        "compared with: champion version 2",
        "drift of the data: none",
        "run: run-1, 40 s",
        f"report: {local.folder}/index.html",
    ]
    assert (message["run"], message["outcome"]) == ("run-1", "succeeded")


def test_a_blocked_gate_tells_reasons_and_evidence(local: LocalRun) -> None:
    local.write("blocked", BLOCKED)
    local.notify()
    message = local.messages()[0]
    assert message["title"] == "training of taxi was blocked at gate: data"
    assert message["lines"] == [
        "why: fare is missing",
        "why: too few rows",
        f"evidence: {local.folder}/reports/validate-data-report.html",
        f"log: {local.folder}/logs/gate.log",
        "run: run-1, 40 s",
        f"report: {local.folder}/index.html",
    ]


def test_a_failed_step_tells_its_own_sentence(local: LocalRun) -> None:
    error = "trips.csv: row 7 ends in the middle: save the file again"
    local.write("failed", [a_step("extract-data", "failed", record={"error": error, "exit_code": 2})])
    local.notify()
    message = local.messages()[0]
    assert message["title"] == "training of taxi failed at extract-data"
    assert message["lines"][0] == f"why: {error}"


def test_a_step_that_left_no_record_points_at_its_log(local: LocalRun) -> None:
    local.write("failed", [a_step("train-model", "failed")])
    local.notify()
    assert local.messages()[0]["lines"][0] == "why: it left no record: see its log"


def test_an_unchanged_run_is_one_line(local: LocalRun) -> None:
    local.write("unchanged", UNCHANGED)
    local.notify()
    message = local.messages()[0]
    assert (message["title"], message["lines"]) == (
        "training of taxi: nothing to train, "
        "the data, the app and the steps' code are those of champion version 3",
        [],
    )


def test_the_console_is_told_as_well(local: LocalRun, capfd: pytest.CaptureFixture[str]) -> None:
    local.write("succeeded", TRAINED)
    local.notify()
    assert "training of taxi succeeded: taxi version 3 is the champion" in capfd.readouterr().err


def test_the_run_is_recorded_in_mlflow_once(local: LocalRun) -> None:
    local.write("succeeded", TRAINED)
    local.notify()
    local.notify()
    store = open_store(local.uri)
    (whole,) = store.runs("penstock/taxi", {"penstock.run_id": "run-1"}, 10)
    assert (whole.status, whole.tags["penstock.version"]) == ("FINISHED", "3")
    nested = store.runs("penstock/taxi", {"mlflow.parentRunId": whole.id}, 10)
    assert {found.name for found in nested} == {
        "inspect-source",
        "resolve-champion",
        "validate-data",
        "evaluate-model",
        "register-model",
    }


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 7}', '{"steps": null}'])
def test_a_broken_run_json_fails_nothing_and_is_told(
    content: str, local: LocalRun, capfd: pytest.CaptureFixture[str]
) -> None:
    (local.folder / "run.json").write_text(content)
    assert local.notify() == 0
    assert f"{local.folder}/run.json does not tell how the run went" in capfd.readouterr().err


def test_an_unreachable_registry_fails_nothing_and_is_told(
    local: LocalRun, capfd: pytest.CaptureFixture[str]
) -> None:
    local.write("succeeded", TRAINED)
    assert local.notify(registry_uri="http://127.0.0.1:9") == 0
    assert len(local.messages()) == 1
    assert (
        "the record of the run in MLflow: the model registry http://127.0.0.1:9 cannot be reached "
        "([Errno 111] Connection refused): start it, or correct registry_uri"
    ) in capfd.readouterr().err


def test_a_file_that_cannot_be_written_fails_nothing_and_is_told(
    local: LocalRun, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    local.write("succeeded", TRAINED)
    monkeypatch.setenv("PENSTOCK_NOTIFICATIONS", str(local.folder / "run.json" / "told.jsonl"))
    assert local.notify() == 0
    assert "the file of notifications" in capfd.readouterr().err
    assert len(open_store(local.uri).runs("penstock/taxi", {"penstock.run_id": "run-1"}, 10)) == 1


def test_a_web_hook_gets_the_message(local: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write("blocked", BLOCKED)
    with serving({"/hook": {"ok": True}}) as server:
        monkeypatch.setenv("PENSTOCK_NOTIFY_URLS", f"{server.url.replace('http', 'json')}/hook\n")
        assert local.notify() == 0
    ((path, _, body),) = server.requests
    sent = json.loads(body)
    assert (path, sent["title"], sent["type"]) == (
        "/hook",
        "training of taxi was blocked at gate: data",
        "failure",
    )
    assert sent["message"].startswith("why: fare is missing")


def test_nobody_is_woken_for_an_unchanged_run(local: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write("unchanged", UNCHANGED)
    with serving({"/hook": {"ok": True}}) as server:
        monkeypatch.setenv("PENSTOCK_NOTIFY_URLS", f"{server.url.replace('http', 'json')}/hook")
        assert local.notify() == 0
    assert server.requests == []
    assert len(local.messages()) == 1


def test_dead_channels_are_told_without_their_secrets(
    local: LocalRun, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    local.write("succeeded", TRAINED)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    with serving({"/hook": {"ok": True}}) as server:
        good = f"{server.url.replace('http', 'json')}/hook"
        monkeypatch.setenv(
            "PENSTOCK_NOTIFY_URLS", f"json://me:s3cret@127.0.0.1:9/s3cret nonsense://s3cret {good}"
        )
        assert local.notify() == 0
    said = capfd.readouterr()
    assert "notification channel 1 of 3 (json) refused the message" in said.err
    assert "notification channel 2 of 3 (nonsense) is no URL that apprise knows" in said.err
    assert "s3cret" not in said.err + said.out
    assert len(server.requests) == 1


def test_a_channel_that_hangs_is_left_after_its_time() -> None:
    with socket.socket() as silent:  # it takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"json://127.0.0.1:{silent.getsockname()[1]}"
        faults = send([url], Message("succeeded", "title", ["line"]), limit_s=0.3)
    assert faults == ["notification channel 1 of 1 (json) gave no answer in 0.3 s"]


def test_apprise_is_not_imported_when_there_is_no_url(local: LocalRun) -> None:
    import subprocess
    import sys

    local.write("unchanged", UNCHANGED)
    code = (
        "import sys; from penstock.components.notify.step import run;"
        f"run('training', 'taxi', 'run-1', 'sqlite:///{local.folder}/other.db');"
        "print('apprise' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

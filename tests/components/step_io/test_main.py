import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact, local_path
from penstock.components.step_io.errors import GateBlocked, StepError
from penstock.components.step_io.main import execute
from penstock.components.step_io.record import from_line
from tests.executor_input import executor_input, read_outputs


class Outputs(NamedTuple):
    rows: int
    verdict: str


def copy_rows(source: InputArtifact, factor: int, copy: OutputArtifact, limit: float = 1.0) -> Outputs:
    copy.path.write_text(source.path.read_text() * factor)
    copy.metadata["rows"] = factor
    return Outputs(rows=factor, verdict="pass")


@pytest.fixture
def task(tmp_path):
    (tmp_path / "source").write_text("row\n")
    return executor_input(
        tmp_path, {"factor": 2.0}, {"source": tmp_path / "source"}, {"copy": "system.Metrics"}
    )


def record_of(capsys) -> dict:
    return from_line(capsys.readouterr().out.splitlines()[-1])


def test_outputs_appear_under_their_final_names(tmp_path, task):
    assert execute(copy_rows, "copy_rows", task) == 0

    parameters, artifacts = read_outputs(tmp_path)
    assert parameters == {"rows": 2, "verdict": "pass"}
    assert artifacts["copy"].read_text() == "row\nrow\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "executor_output.json", "source"]


def test_record_is_the_last_line(task, capsys, monkeypatch):
    monkeypatch.setenv("PENSTOCK_IMAGE", "penstock/copy_rows:1")

    execute(copy_rows, "copy_rows", task)

    record = record_of(capsys)
    assert record["state"] == "succeeded"
    assert record["version"]["image"] == "penstock/copy_rows:1"
    assert record["parameters"] == {"factor": 2}
    assert record["results"] == {"rows": 2, "verdict": "pass"}
    assert record["metrics"] == {"rows": 2}
    assert record["verdict"] == "pass"


def test_undeclared_output_is_left_alone(tmp_path, task):
    given = json.loads(task)
    given["outputs"]["artifacts"]["executor-logs"] = {"artifacts": [{"uri": str(tmp_path / "logs")}]}

    assert execute(copy_rows, "copy_rows", json.dumps(given)) == 0

    assert set(read_outputs(tmp_path)[1]) == {"copy"}


@pytest.mark.parametrize(
    ("error", "code", "state", "sentence"),
    [
        (StepError("trips.csv is empty: nothing to do"), 2, "failed", "trips.csv is empty: nothing to do"),
        (GateBlocked("the data gate blocks: x", ["x"]), 3, "blocked", "the data gate blocks: x"),
        (KeyError("x"), 1, "failed", "KeyError: 'x'"),
        (KeyboardInterrupt(), 130, "failed", "interrupted (Ctrl-C)"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/out"),
            2,
            "failed",
            "no space left on the disk of /data/out: free some and run again",
        ),
    ],
)
def test_failure_leaves_a_record_and_no_output(tmp_path, task, capsys, error, code, state, sentence):
    def fails(source: InputArtifact, factor: int, copy: OutputArtifact) -> None:
        copy.path.write_text("half")
        raise error

    assert execute(fails, "fails", task) == code

    record = record_of(capsys)
    assert (record["state"], record["exit_code"], record["error"]) == (state, code, sentence)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_output_of_an_earlier_attempt_is_replaced(tmp_path, task):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "old").write_text("old")

    assert execute(copy_rows, "copy_rows", task) == 0

    assert (tmp_path / "copy").read_text() == "row\nrow\n"


def test_forgotten_output_is_a_bug(tmp_path, task, capsys):
    def forgets(copy: OutputArtifact) -> None: ...

    assert execute(forgets, "forgets", task) == 1
    assert (
        record_of(capsys)["error"] == "RuntimeError: the step declared the output 'copy' but did not write it"
    )


def test_missing_parameter_is_named(tmp_path, capsys):
    assert execute(copy_rows, "copy_rows", executor_input(tmp_path, {"factor": None}, {"source": "x"})) == 2
    assert record_of(capsys)["error"] == "parameter 'factor' is required and has no value"


def test_password_in_a_uri_stays_out_of_the_record(tmp_path, capsys):
    def opens(registry_uri: str) -> None: ...

    execute(opens, "opens", executor_input(tmp_path, {"registry_uri": "postgresql://me:secret@host/db"}))

    assert "secret" not in json.dumps(record_of(capsys))


def test_numbers_that_no_store_takes_stay_out_of_the_metadata(tmp_path):
    def measures(report: OutputArtifact) -> None:
        report.path.write_text("{}")
        report.metadata.update(auc=0.9, loss=float("nan"), missing=None)

    execute(measures, "measures", executor_input(tmp_path, outputs={"report": "system.Metrics"}))

    output = json.loads((tmp_path / "executor_output.json").read_text())
    assert output["artifacts"]["report"]["artifacts"][0]["metadata"] == {"auc": 0.9}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("minio://bucket/a", "/minio/bucket/a"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("/local/a", "/local/a"),
        ("file:///local/a", "/local/a"),
    ],
)
def test_store_is_read_through_its_mount(uri, path):
    assert local_path(uri) == Path(path)


def test_termination_leaves_a_record_and_no_output(tmp_path):
    step = tmp_path / "slow" / "step.py"
    step.parent.mkdir()
    step.write_text(
        "import time\n"
        "from penstock.components.step_io.artifacts import OutputArtifact\n"
        "from penstock.components.step_io.main import main\n"
        "def run(out: OutputArtifact) -> None:\n"
        "    out.path.write_text('half'); print('started', flush=True); time.sleep(60)\n"
        "main(run)\n"
    )
    task = executor_input(tmp_path / "task", outputs={"out": "system.Artifact"})
    process = subprocess.Popen(
        [sys.executable, str(step), "--executor_input", task],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"

    process.send_signal(signal.SIGTERM)

    record = from_line(process.stdout.read().splitlines()[-1])
    assert process.wait() == 143
    assert record is not None
    assert record["error"] == "terminated (exit 143)"
    assert list((tmp_path / "task").iterdir()) == []

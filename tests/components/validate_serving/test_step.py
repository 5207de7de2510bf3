"""The step with the real prediction service."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.step_io.main import execute
from penstock.components.validate_serving.servers import server_process
from penstock.components.validate_serving.settings import Settings
from penstock.components.validate_serving.step import run
from penstock.components.validate_serving.validation import ready
from tests.components.validate_serving.prepared import ROWS, arguments, prepare
from tests.executor_input import read_outputs


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def served(request, tmp_path_factory):
    """A model folder with test data and offline predictions of it, which know nothing of the server."""
    return prepare(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("only-binary"), "binary")


def prove(folder, out, **serving):
    code = execute(run, "validate_serving", arguments(folder, out, **serving))
    assert code == 0
    parameters, _ = read_outputs(out)
    checks = {
        check["name"]: check for check in json.loads((out / "evidence/checks.json").read_text())["checks"]
    }
    return parameters, checks


def test_good_model_passes_every_check(served, tmp_path):
    parameters, checks = prove(served, tmp_path / "out")
    assert {name: check["sentence"] for name, check in checks.items() if not check["passed"]} == {}
    assert parameters == {"verdict": "pass", "reasons": []}
    assert checks["answers over gRPC"]["numbers"]["rows"] == ROWS
    assert checks["load"]["numbers"]["sent"] == 40
    page = (tmp_path / "out/report").read_text()
    assert "All 9 checks passed" in page
    assert "http" not in page.replace("http-equiv", "")


def test_skew_blocks_and_names_row_and_numbers(binary, tmp_path):
    skewed = tmp_path / "skewed"
    skewed.mkdir()
    for name in ("model", "data"):
        (skewed / name).symlink_to(binary / name)
    table = pq.read_table(binary / "predictions/part-00000.parquet")
    scores = table.column("challenger_score").to_pylist()
    scores[7] += 0.01
    (skewed / "predictions").mkdir()
    at = table.schema.get_field_index("challenger_score")
    pq.write_table(
        table.set_column(at, "challenger_score", pa.array(scores)), skewed / "predictions/part-00000.parquet"
    )
    parameters, checks = prove(skewed, tmp_path / "out")
    assert parameters["verdict"] == "block"
    failed = {name for name, check in checks.items() if check["passed"] is False}
    assert failed == {"answers over V1", "answers over V2", "answers over gRPC"}
    assert "1 of 30 answers differ" in parameters["reasons"][0]
    assert "row 7: score" in parameters["reasons"][0]


def test_budgets_that_are_too_small_block(binary, tmp_path):
    parameters, checks = prove(binary, tmp_path / "out", memory_mb=10, p99_ms=0.001)
    assert parameters["verdict"] == "block"
    assert {name for name, check in checks.items() if not check["passed"]} == {"memory", "load"}
    assert "budget 10 MB" in checks["memory"]["sentence"]


def test_model_that_does_not_load_blocks_with_the_servers_log(binary, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("data", "predictions"):
        (broken / name).symlink_to(binary / name)
    (broken / "model" / "saved_model").mkdir(parents=True)
    (broken / "model/model.json").write_text((binary / "model/model.json").read_text())
    (broken / "model/saved_model/saved_model.pb").write_bytes(b"no SavedModel")
    parameters, checks = prove(broken, tmp_path / "out")
    assert parameters["verdict"] == "block"
    assert "before it was ready" in parameters["reasons"][0]
    assert checks["load"]["passed"] is None
    assert "saved_model" in (tmp_path / "out/evidence/server.log").read_text()
    assert "The server&#x27;s log" in (tmp_path / "out/report").read_text()


def test_killed_step_leaves_no_server(binary, tmp_path):
    """A server that outlives a killed step holds its port and its memory for ever."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "penstock.components.validate_serving.step",
            "--executor_input",
            arguments(binary, tmp_path / "out", load_s=60),
        ]
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not (servers := children(child.pid)):
        time.sleep(0.1)
    assert servers, "no server was started"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    while time.monotonic() < end and any(Path(f"/proc/{pid}").exists() for pid in servers):
        time.sleep(0.1)
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
    assert not (tmp_path / "out/evidence").exists()


def test_server_that_ignores_its_signal_is_ended(binary, tmp_path, monkeypatch):
    monkeypatch.setattr("penstock.components.validate_serving.servers.STOP_S", 0.5)
    with server_process(binary / "model", "tips", tmp_path / "log") as server:
        assert ready(server, "tips", Settings()).passed  # from now on it handles signals itself
        pid = server._process.pid
        os.kill(pid, signal.SIGSTOP)
    assert not Path(f"/proc/{pid}").exists()
    assert server.ended().startswith("was killed")


def children(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout.split()

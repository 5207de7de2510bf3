"""How the service starts, changes its model, and ends; with Vertex AI's variables and a dead log beside."""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.components.prediction_service.running import COMMAND, ROOT, Running, free_port

ROW = {"amount": 7.5, "count": 3, "area": 2, "member": True, "color": "red"}


@pytest.fixture(scope="module")
def vertex(models, tmp_path_factory):
    """A service as Vertex AI starts it, whose model is named by a pointer and whose log cannot be written."""
    folder = tmp_path_factory.mktemp("vertex")
    pointer = folder / "model.json"
    pointer.write_text(json.dumps({"model_dir": str(models / "binary"), "version": "1"}))
    (folder / "file").touch()
    port = free_port()
    environment = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/healthy",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/5/deployedModels/7:predict",
        "AIP_STORAGE_URI": str(pointer),
        "PENSTOCK_LOG_URI": str(folder / "file" / "logs"),
        "PENSTOCK_MODEL_NAME": "m",
    }
    running = Running.__new__(Running)
    running.port, running.grpc_port = port, free_port()
    running.url, running.grpc = f"http://127.0.0.1:{port}", f"127.0.0.1:{running.grpc_port}"
    running.folder, running.output = folder, folder / "output.txt"
    with running.output.open("wb") as output:
        running.process = subprocess.Popen(
            [*COMMAND, "--http-port", "1", "--grpc-port", str(running.grpc_port), "--drain-s", "4"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with running:
        yield running


def test_vertex_contract_is_kept(vertex):
    assert vertex.client.get("/healthy").status_code == 200
    answered = vertex.client.post("/v1/endpoints/5/deployedModels/7:predict", json={"instances": [ROW]})
    assert answered.status_code == 200
    assert answered.json()["predictions"][0].keys() == {"score", "label"}
    assert answered.json() == vertex.predict([ROW]).json()
    bad = vertex.client.post(
        "/v1/endpoints/5/deployedModels/7:predict", json={"instances": [{"amount": "x"}]}
    )
    assert (bad.status_code, bad.json()["field"]) == (400, "amount")


def test_log_that_cannot_be_written_is_counted_and_hurts_nobody(vertex):
    for _ in range(5):
        assert vertex.predict([ROW]).status_code == 200
    deadline = time.monotonic() + 30
    while (
        not vertex.metric("penstock_log_records_dropped_total", reason="sink") and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    assert vertex.metric("penstock_log_records_dropped_total", reason="sink") >= 5
    assert vertex.said().count("the request log cannot be written: ") == 1


def test_models_are_not_changed_by_request_unless_the_service_was_started_for_it(vertex):
    answered = vertex.client.post("/v2/repository/models/m/load")
    assert answered.status_code == 403
    assert answered.json()["error"] == (
        "models are not changed by request: start the service with --model-control true"
    )


def test_hangup_loads_what_the_pointer_names_now(vertex, models):
    pointer, new = vertex.folder / "model.json", vertex.folder / "new.json"
    new.write_text(json.dumps({"model_dir": str(models / "regression"), "version": "2"}))
    new.replace(pointer)
    vertex.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 120
    while (answered := vertex.predict([ROW]).json())["model_version"] != "2" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answered["model_version"] == "2"
    assert answered["predictions"][0].keys() == {"prediction"}
    pointer.write_text("{}")
    vertex.process.send_signal(signal.SIGHUP)
    while "is no pointer to a model" not in vertex.said() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "version '2' goes on" in vertex.said()
    assert vertex.predict([ROW]).json()["model_version"] == "2"


def test_termination_drains_and_drops_no_request(vertex):
    """Not ready at once, still serving; who has begun a request gets its answer, after new ones are refused."""
    answers, failed, ended = [], [], threading.Event()

    def client():
        with httpx.Client(base_url=vertex.url, timeout=60) as session:
            while not ended.is_set():
                try:
                    answered = session.post("/v1/models/m:predict", json={"instances": [ROW] * 20})
                    answers.append((time.monotonic(), answered.status_code))
                except httpx.HTTPError as error:
                    failed.append(repr(error))

    def slow_body():
        yield b'{"instances": ['
        while vertex.process.poll() is None and time.monotonic() < gone_by:
            time.sleep(0.1)
        yield json.dumps(ROW).encode() + b"]}"

    gone_by = time.monotonic() + 7
    with ThreadPoolExecutor(4) as pool:
        slow = pool.submit(httpx.post, f"{vertex.url}/v1/models/m:predict", content=slow_body(), timeout=60)
        clients = [pool.submit(client) for _ in range(3)]
        time.sleep(1)
        vertex.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        while vertex.client.get("/v2/health/ready").status_code == 200 and time.monotonic() < told + 3:
            time.sleep(0.02)
        refused = [vertex.client.get(path).status_code for path in ("/v2/health/ready", "/healthy")]
        alive = vertex.client.get("/v2/health/live").status_code
        seen = time.monotonic()
        time.sleep(0.5)  # a balancer sends requests for a moment longer
        ended.set()
        for one in clients:
            one.result()
        assert slow.result().status_code == 200
    assert vertex.process.wait(120) == 0
    assert (refused, alive) == ([503, 503], 200)
    assert failed == []
    assert {status for _, status in answers} == {200}
    assert max(moment for moment, _ in answers) > seen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no model is named: give --model-dir (or PENSTOCK_MODEL_DIR, AIP_STORAGE_URI)"),
        (["--model-dir", "/m", "--max-rows", "many"], "--max-rows is 'many', expected a whole number"),
        (["--model-dir", "/m", "--log-sample", "2"], "--log-sample is 2, expected a share from 0 to 1"),
    ],
)
def test_wrong_setting_ends_the_start_with_a_sentence(arguments, sentence):
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("PENSTOCK_", "AIP_"))
    }
    done = subprocess.run(
        [*COMMAND, *arguments],
        env={**environment, "PYTHONPATH": str(ROOT), "PENSTOCK_LOG_FORMAT": "text"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_taken_port_ends_the_start_with_a_sentence(service, models, tmp_path):
    other = Running(tmp_path, models / "binary", http_port=str(service.port))
    assert other.process.wait(300) == 2
    assert f"cannot listen at 127.0.0.1:{service.port}: Address already in use" in other.said()
    assert "Traceback" not in other.said()

"""The parts of `make demo-rollout`: trips as requests, outcomes by request id, and a copy that is worse."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rollout_demo.replay import Replay, Trip, read_trips, value_of
from penstock.components.analyze_rollout.records import seconds
from penstock.components.serving_model.folder import Input
from penstock.local.envs import ensure_stacks
from tests.rollouts.conftest import PROJECT
from tests.serving.endpoints import wait_until

INPUTS = [
    Input("trip_miles", "float64", "float"),
    Input("hour", "float64", "int"),
    Input("payment", "string"),
]
CSV = """\
trip_miles,hour,payment,tips,fare,other
1.5,7,Cash,0,10,x
,,,3,10,x
2,8,Größe,2,10,x
0,0,Cash,5,0,x
"""


def test_trips_become_requests_with_null_for_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "trips.csv").write_text(CSV, encoding="utf-8")
    trips = list(read_trips(tmp_path / "trips.csv", INPUTS, lambda row: float(row["fare"]) > 0))
    assert trips == [
        Trip({"trip_miles": 1.5, "hour": 7, "payment": "Cash"}, "false"),
        Trip({"trip_miles": None, "hour": None, "payment": None}, "true"),
        Trip({"trip_miles": 2.0, "hour": 8, "payment": "Größe"}, "false"),
    ]
    assert isinstance(value_of("7", INPUTS[1]), int)


class Service(ThreadingHTTPServer):
    """Answers as the prediction service does, always `true`; the third request fails."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        service = self.server
        assert isinstance(service, Service)
        service.seen.append((self.headers["x-request-id"], body["instances"][0]))
        status = 500 if len(service.seen) == 3 else 200
        text = json.dumps({"predictions": [{"score": 0.7, "label": "true"}]}).encode()
        self.send_response(status)
        self.send_header("x-model-version", "4")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_outcomes_join_the_requests_that_were_answered(service: Service, tmp_path: Path) -> None:
    trips = [Trip({"n": 0}, "true"), Trip({"n": 1}, "false")]
    url = f"http://127.0.0.1:{service.server_port}"
    with Replay(trips, url, "taxi", 200, tmp_path) as replay:
        wait_until(lambda: sum(replay.counts.values()) >= 20)
    assert replay.counts["4", 500] == 1
    assert set(replay.counts) == {("4", 200), ("4", 500)}
    (file,) = tmp_path.glob("*.jsonl")
    outcomes = [json.loads(line) for line in file.read_text().splitlines()]
    rows = dict(service.seen)
    assert len(rows) == len(service.seen)
    assert len(outcomes) == replay.counts["4", 200]
    assert {(rows[one["request_id"]]["n"], one["outcome"]) for one in outcomes} == {(0, 1), (1, 0)}
    assert all(seconds(one["time"]) > 0 for one in outcomes)


CHECK = """
import sys, numpy, tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
names = {"miles": [[1.0], [1.0]], "farbe": [["grün"], ["röt"]]}
keys = model.structured_input_signature[1]
print(model(**{k: tf.constant(names[k], keys[k].dtype) for k in keys})["score"].numpy().tolist())
"""


def test_the_worse_copy_sees_one_value_only(tmp_path: Path) -> None:
    python = str(ensure_stacks(PROJECT, ["tensorflow"])["tensorflow"])
    env = {**os.environ, "PYTHONPATH": str(PROJECT.root), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [python, *words], env=env, cwd=PROJECT.root, check=True, capture_output=True, text=True
        )
        return (done.stdout.strip().splitlines() or [""])[-1]

    run("-m", "tests.rollouts.registered", "save", str(tmp_path))
    run("-m", "benchmarks.rollout_demo.spoil", str(tmp_path / "1"), "farbe", "grün", str(tmp_path / "bad"))
    before, after = (
        json.loads(run("-c", CHECK, str(tmp_path / one / "saved_model"))) for one in ("1", "bad")
    )
    assert before[0] != pytest.approx(before[1])
    assert after == pytest.approx([before[0], before[0]])
    assert (tmp_path / "bad" / "model.json").is_file()

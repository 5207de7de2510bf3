"""The request log alone: bounded, never in the way, in every form."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest

from penstock.components.prediction_service import metrics
from penstock.components.prediction_service.account import Account
from penstock.components.prediction_service.log_sinks import CloudEvents, Files
from penstock.components.prediction_service.request_log import RequestLog, is_sampled


def account(number, rows=1):
    found = Account("v1", f"id-{number}", "3")
    found.rows, found.scores, found.labels = rows, [0.5], ["yes"]
    found.instances, found.predictions = (
        [{"x": number}] * rows,
        lambda: [{"score": 0.5, "label": "yes"}] * rows,
    )
    return found


def dropped(reason):
    return metrics.LOG_DROPPED.labels(reason)._value.get()


class Stuck:
    """A sink on a dead disk: its first write does not return until `free`."""

    def __init__(self):
        self.free, self.written = threading.Event(), []

    def write(self, records):
        self.free.wait()
        self.written += records

    def tick(self):
        pass

    def close(self):
        pass


def test_dead_disk_costs_records_and_no_time():
    sink = Stuck()
    log = RequestLog(sink, 1.0, 10)
    before, began = dropped("queue"), time.monotonic()
    for number in range(2000):
        log.add(account(number), "m", 200)
    assert time.monotonic() - began < 5  # 2.5 ms each at most, on a busy machine
    assert dropped("queue") - before >= 2000 - 10 - 500 - 1
    began = time.monotonic()
    log.close(timeout_s=0.2)
    assert time.monotonic() - began < 5
    sink.free.set()


def test_payload_is_given_up_before_memory_is():
    sink = Stuck()
    log = RequestLog(sink, 1.0, 10_000)
    before = dropped("payload")
    for number in range(1000):
        log.add(account(number, rows=1000), "m", 200)
    assert dropped("payload") - before >= 1000 - 200 - 500 - 1
    sink.free.set()
    log.close()
    assert len(sink.written) == 1000  # the light part is there for all
    assert sum(record["sampled"] for record in sink.written) < 800


def test_sample_is_a_share_and_the_same_for_all_versions():
    ids = [f"request-{number}" for number in range(20_000)]
    share = sum(is_sampled(one, 0.1) for one in ids) / len(ids)
    assert share == pytest.approx(0.1, abs=0.01)
    assert [is_sampled(one, 0.1) for one in ids] == [is_sampled(one, 0.1) for one in ids]
    assert all(is_sampled(one, 1.0) for one in ids)
    assert not any(is_sampled(one, 0.0) for one in ids)


def test_files_lie_by_model_version_and_date_and_end_by_size(tmp_path):
    log = RequestLog(Files(str(tmp_path), "jsonl", 2000, 3600), 0.5, 1000)
    for number in range(50):
        log.add(account(number), "taxi/é", 200)
        if number % 10 == 9:
            time.sleep(0.05)
    log.close()
    files = sorted(tmp_path.rglob("*.jsonl"))
    assert len(files) > 1
    assert files[0].relative_to(tmp_path).parts[:2] == ("taxi%2F%C3%A9", "3")
    records = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert [record["request_id"] for record in records] == [f"id-{number}" for number in range(50)]
    for record in records:
        assert record["sampled"] == is_sampled(record["request_id"], 0.5)
        assert (record["instances"] is None) != record["sampled"]
        assert record["scores"] == [0.5]


def test_parquet_holds_the_same_with_payloads_as_json(tmp_path):
    log = RequestLog(Files(str(tmp_path), "parquet", 10**9, 3600), 1.0, 1000)
    for number in range(3):
        log.add(account(number), "taxi", 400 if number else 200)
    log.close()
    (path,) = tmp_path.rglob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["status"] for row in rows] == [200, 400, 400]
    assert json.loads(rows[2]["instances"]) == [{"x": 2}]
    assert json.loads(rows[2]["predictions"]) == [{"score": 0.5, "label": "yes"}]
    assert (rows[0]["scores"], rows[0]["error"]) == ([0.5], None)


def test_store_gets_whole_files(tmp_path):
    log = RequestLog(Files(f"local://{tmp_path}", "jsonl", 10**9, 3600), 1.0, 1000)  # fsspec's file system
    log.add(account(1), "taxi", 200)
    log.close()
    (path,) = tmp_path.rglob("*.jsonl")
    assert json.loads(path.read_text())["request_id"] == "id-1"


@pytest.fixture
def events():
    """A server that keeps what is sent to it: (headers, body)."""
    seen = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(({name.lower(): text for name, text in self.headers.items()}, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", seen
    server.shutdown()
    server.server_close()


def test_cloud_events_have_the_form_of_kserves_payload_logger(events):
    url, seen = events
    log = RequestLog(CloudEvents(url, "taxi"), 1.0, 1000)
    log.add(account(7), "taxi", 200)
    log.close()
    (asked, instances), (answered, predictions) = seen
    assert (instances, predictions) == (
        {"instances": [{"x": 7}]},
        {"predictions": [{"score": 0.5, "label": "yes"}]},
    )
    assert asked["ce-type"] == "org.kubeflow.serving.inference.request"
    assert answered["ce-type"] == "org.kubeflow.serving.inference.response"
    assert asked["ce-id"] == answered["ce-id"] == "id-7"
    assert (asked["ce-inferenceservicename"], asked["ce-modelversion"]) == ("taxi", "3")
    assert asked["content-type"] == "application/json"


def test_sink_that_is_gone_loses_records_only():
    before = dropped("sink")
    log = RequestLog(CloudEvents("http://127.0.0.1:9/", "taxi"), 1.0, 1000)
    log.add(account(1), "taxi", 200)
    log.close()
    assert dropped("sink") == before + 1

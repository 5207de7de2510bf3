"""The load test against a real HTTP server."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from penstock.components.validate_serving.load import drive


@contextmanager
def server(answer):
    """Serve `answer(i)` -> status for the i-th request."""
    lock, count = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            with lock:
                at = count[0]
                count[0] += 1
            status = answer(at)
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/"
    finally:
        httpd.shutdown()


def test_all_requests_are_sent_and_timed():
    with server(lambda _: 200) as url:
        load = drive(url, [b"{}"], rate=50, seconds=1)
    assert (load.sent, load.failed, len(load.latencies_ms)) == (50, 0, 50)
    assert load.seconds >= 0.9
    assert 0 < load.quantile(0.5) <= load.quantile(0.99)


def test_failures_are_counted_and_the_first_is_kept():
    with server(lambda i: 500 if i % 10 == 3 else 200) as url:
        load = drive(url, [b"{}"], rate=50, seconds=1)
    assert (load.sent, load.failed) == (50, 5)
    assert load.first_failure.startswith("status 500")


def test_a_stall_is_charged_to_all_who_wait():
    """With a closed loop a stall of 0.5 s would be one slow request; here at least a quarter of all are."""
    stalled = threading.Event()

    def answer(at):
        if at == 0:
            time.sleep(0.5)
            stalled.set()
        stalled.wait(5)
        return 200

    with server(answer) as url:
        load = drive(url, [b"{}"], rate=40, seconds=1)
    assert load.failed == 0
    slow = (load.latencies_ms > 100).sum()
    assert slow >= 10


def test_no_server_is_a_failure_not_an_exception():
    load = drive("http://127.0.0.1:9/", [b"{}"], rate=10, seconds=0.5)
    assert (load.sent, load.failed) == (5, 5)
    assert load.quantile(0.99) == float("inf")

"""A worker for tests of the target alone: speaks HTTP and gRPC, and says which version and process it is.

The model folder holds behaviour.json: {"start_s": 0.1, "exit": 2, "say": "why"}; all may be missing.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM, signal
from threading import Thread

import grpc

parser = argparse.ArgumentParser()
for option in ("model-dir", "model-name", "model-version", "http-port", "grpc-port"):
    parser.add_argument(f"--{option}", required=True)
given, _ = parser.parse_known_args()
behaviour_file = Path(given.model_dir) / "behaviour.json"
behaviour = json.loads(behaviour_file.read_text()) if behaviour_file.is_file() else {}
ready = False
busy: list[int] = []  # requests in flight


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(200 if ready else 503, {"ready": ready})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        busy.append(1)
        time.sleep(body.get("sleep_s", 0))
        if body.get("die"):
            os.kill(os.getpid(), 9)
        seen = Path(given.model_dir) / "seen.log"
        with seen.open("a") as file:
            file.write(f"{self.headers['x-request-id']}\n")
        self.answer(200, {"version": given.model_version, "pid": os.getpid()})
        busy.pop()

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-model-version", given.model_version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Tiny(grpc.GenericRpcHandler):
    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: given.model_version.encode())


if behaviour.get("exit"):
    print(behaviour.get("say", ""), flush=True)
    sys.exit(behaviour["exit"])
server = grpc.server(ThreadPoolExecutor(4), handlers=[Tiny()])
server.add_insecure_port(f"127.0.0.1:{given.grpc_port}")
server.start()
ThreadingHTTPServer.request_queue_size = 128
http = ThreadingHTTPServer(("127.0.0.1", int(given.http_port)), Handler)
http.daemon_threads = True
signal(SIGTERM, lambda *_: Thread(target=http.shutdown).start())
Thread(
    target=lambda: (time.sleep(behaviour.get("start_s", 0.1)), globals().update(ready=True)), daemon=True
).start()
http.serve_forever(poll_interval=0.05)
http.socket.close()
while busy:
    time.sleep(0.01)
os._exit(0)

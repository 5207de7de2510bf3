"""Real HTTP servers that answer as the KFP API and a web hook do."""

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock.components.step_io.record import KIND


class Server(ThreadingHTTPServer):
    """Answers paths with JSON and remembers what it was sent."""

    daemon_threads = True

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.requests: list[tuple[str, dict[str, str], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.requests.append((self.path, dict(self.headers), body))
        found = self.server.answers.get(self.path)
        content = json.dumps(found if found is not None else {"error": "not found"}).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(answers: dict[str, Any]) -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server(answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class KfpRun:
    """A run as KFP 2.14 tells it: the workflow's nodes, and tasks that know only their children's nodes."""

    def __init__(self, run_id: str = "run-1") -> None:
        self.id = run_id
        self.nodes: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.has_workflow = True
        self._add("w-root-driver", "root-driver", "Succeeded")
        self._add("w-group", "exit-handler-1", "Failed")
        self.last = "w-root-driver"

    def _add(self, node: str, name: str, phase: str, message: str = "", below: str = "") -> None:
        self.nodes[node] = {
            "id": node,
            "name": f"w.root.{below or name}",
            "displayName": name,
            "phase": phase,
            "message": message,
            "startedAt": f"2026-11-21T10:00:{len(self.nodes):02d}Z",
            "finishedAt": "2026-11-21T10:01:00Z",
            "children": [],
        }

    def task(
        self,
        name: str,
        phase: str = "Succeeded",
        record: dict[str, Any] | None = None,
        message: str = "",
        executor_phase: str = "",
    ) -> str:
        """Add a task after the last one: its driver, itself, its container; return the container's node."""
        node = f"w-{name}-container"
        self._add(f"w-{name}-driver", f"{name}-driver", "Succeeded")
        self._add(f"w-{name}", name, phase)
        self._add(node, "executor", executor_phase or phase, message, f"{name}.executor")
        self.nodes[f"w-{name}"]["children"] = [node]
        self.nodes[f"w-{name}-driver"]["children"] = [f"w-{name}"]
        self.nodes[self.last]["children"].append(f"w-{name}-driver")  # what comes next is a child as well
        self.last = node
        if record is not None:
            self.logs[node] = log_with(record)
        return node

    def retried(self, name: str, *attempts: dict[str, Any]) -> None:
        """Add a task with several containers, one for each attempt."""
        node = self.task(name)
        for number, record in enumerate(attempts):
            child = f"{node}-{number}"
            phase = "Failed" if record["state"] == "failed" else "Succeeded"
            self._add(child, f"executor({number})", phase, "", f"{name}.executor({number})")
            self.nodes[node]["children"].append(child)
            self.logs[child] = log_with(record)

    def answers(self) -> dict[str, Any]:
        """Return what the API answers, by path."""
        states = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Skipped": "SKIPPED", "Running": "RUNNING"}
        details = [
            {
                "task_id": f"00000000-0000-0000-0000-{number:012d}",  # of the database, not of the workflow
                "display_name": node["displayName"],
                "state": states.get(node["phase"], "RUNTIME_STATE_UNSPECIFIED"),
                "start_time": node["startedAt"],
                "end_time": node["finishedAt"],
                "child_tasks": [{"pod_name": child} for child in node["children"]],
                "error": None,
                "outputs": None,
            }
            for number, node in enumerate(self.nodes.values())
        ]
        found: dict[str, Any] = {
            f"/apis/v2beta1/runs/{self.id}": {
                "run_id": self.id,
                "created_at": "2026-11-21T10:00:00Z",
                "state": "RUNNING",
                "error": None,
                "runtime_config": {"parameters": {"model_name": "taxi", "until": "2015-01-01"}},
                "run_details": {"task_details": details},
            }
        }
        if self.has_workflow:
            manifest = json.dumps({"status": {"nodes": self.nodes}})
            found[f"/apis/v1beta1/runs/{self.id}"] = {"pipeline_runtime": {"workflow_manifest": manifest}}
        for node, text in self.logs.items():
            path = f"/apis/v2beta1/runs/{self.id}/nodes/{node}/artifacts/main-logs:read"
            found[path] = {"data": base64.b64encode(text.encode()).decode()}
        return found


def record(step: str, state: str = "succeeded", **fields: Any) -> dict[str, Any]:
    """Return a step record."""
    return {"record": KIND, "step": step, "state": state, "started": "2026-11-21T10:00:01+00:00", **fields}


def log_with(found: dict[str, Any]) -> str:
    """Return a container's log: the launcher's lines around the step's own."""
    lines = ["I1121 launcher.go: downloading", '{"severity": "INFO", "message": "rows"}', json.dumps(found)]
    return "\n".join([*lines, "I1121 launcher.go: uploading", ""])

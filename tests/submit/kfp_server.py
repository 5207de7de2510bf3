"""A KFP API on a port of this machine: the routes that submitting and following use, and nothing else.

It is as strict as the real one, which was asked: an unknown route, field or type is refused, a name that is taken
as well, and names are looked for by the filter that the client sends.
"""

import contextlib
import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

API = "/apis/v2beta1"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RUN_FIELDS = {
    "display_name",
    "description",
    "experiment_id",
    "pipeline_version_reference",
    "runtime_config",
    "service_account",
}


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class KfpState:
    """What the API holds, and what it was asked."""

    def __init__(self) -> None:
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.workflows: dict[str, dict[str, Any]] = {}  # of runs
        self.calls: list[str] = []
        self.token = ""  # wanted as a bearer; empty takes everyone
        self.forbidden: set[str] = set()  # routes that nobody may write to
        self.multi_user = False
        self.lock = threading.RLock()
        self.before_run: Any = None  # called when a run is about to be made

    @property
    def written(self) -> list[str]:
        """The calls that changed something, or tried to."""
        return [call for call in self.calls if not call.startswith("GET")]


class Handler(BaseHTTPRequestHandler):
    """Answers as KFP 2.14.3 does."""

    state: KfpState

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {
            key: values[0] for key, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()
        }
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.state.lock:
            self.state.calls.append(f"{method} {parts.path}")
            try:
                status, body = 200, self._route(method, parts.path, query, content)
            except Refused as error:
                status, body = error.status, {"error": error.message, "code": 3, "message": error.message}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _route(self, method: str, path: str, query: dict[str, str], content: bytes) -> dict[str, Any]:
        state = self.state
        if path == f"{API}/healthz":  # told to anyone
            return {"tag_name": "2.14.3", "multi_user": state.multi_user}
        if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
            raise Refused(401, "Unauthenticated")
        if method != "GET" and path in state.forbidden:
            raise Refused(403, "Failed to authorize: PermissionDenied: user cannot create in kubeflow")
        if state.multi_user and method == "GET" and "versions" not in path and "namespace" not in query:
            raise Refused(400, "Invalid input error: a namespace is required in multi-user mode")
        if method == "GET" and path == f"{API}/pipelines":
            return {"pipelines": _chosen(state.pipelines, query)}
        if method == "POST" and path == f"{API}/pipelines":
            return self._make(state.pipelines, "pipeline_id", _json(content, {"display_name", "namespace"}))
        if method == "GET" and (match := re.fullmatch(rf"{API}/pipelines/([^/]+)/versions", path)):
            versions = {key: one for key, one in state.versions.items() if one["pipeline_id"] == match[1]}
            return {"pipeline_versions": _chosen(versions, query)}
        if method == "POST" and path == f"{API}/pipelines/upload_version":
            return self._upload(query, content)
        if method == "GET" and path == f"{API}/experiments":
            return {"experiments": _chosen(state.experiments, query)}
        if method == "POST" and path == f"{API}/experiments":
            return self._make(
                state.experiments, "experiment_id", _json(content, {"display_name", "namespace"})
            )
        if method == "GET" and path == f"{API}/runs":
            return _page("runs", _chosen(state.runs, query), query)
        if method == "POST" and path == f"{API}/runs":
            return self._run(_json(content, RUN_FIELDS))
        if match := re.fullmatch(rf"{API}/runs/([^/]+)", path):
            if match[1] not in state.runs:
                raise Refused(404, f"ResourceNotFoundError: Run {match[1]} not found")
            if method == "GET":
                return state.runs[match[1]]
            if method == "DELETE":
                del state.runs[match[1]]
                return {}
        if method == "GET" and (match := re.fullmatch(r"/apis/v1beta1/runs/([^/]+)", path)):
            manifest = json.dumps(state.workflows.get(match[1], {}))
            return {"pipeline_runtime": {"workflow_manifest": manifest}}
        raise Refused(404, "404 page not found")

    def _make(self, kind: dict[str, dict[str, Any]], key: str, body: dict[str, Any]) -> dict[str, Any]:
        if any(one["display_name"] == body["display_name"] for one in kind.values()):
            raise Refused(409, f"Already exist error: the name {body['display_name']} already exist")
        made = {key: str(uuid.uuid4()), **body}
        kind[made[key]] = made
        return made

    def _upload(self, query: dict[str, str], content: bytes) -> dict[str, Any]:
        if set(query) - {"name", "pipelineid", "description"}:
            raise Refused(400, f"unknown query {sorted(query)}")
        if query["pipelineid"] not in self.state.pipelines:
            raise Refused(400, "error reading pipeline id")
        mail = BytesParser().parsebytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + content
        )
        (part,) = mail.get_payload()  # type: ignore[misc]
        name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
        assert name == "uploadfile", name
        text = part.get_payload(decode=True)  # type: ignore[union-attr]
        documents = list(yaml.load_all(text, LOADER))
        if len(documents) > 2 or documents[0]["schemaVersion"] != "2.1.0":
            raise Refused(400, "Invalid input error: unknown template format")
        body = {"display_name": query["name"], "pipeline_id": query["pipelineid"], "text": text.decode()}
        return self._make(self.state.versions, "pipeline_version_id", body)

    def _run(self, body: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        reference = body["pipeline_version_reference"]
        assert state.versions[reference["pipeline_version_id"]]["pipeline_id"] == reference["pipeline_id"]
        assert body["experiment_id"] in state.experiments
        spec = next(yaml.load_all(state.versions[reference["pipeline_version_id"]]["text"], LOADER))
        declared = spec["root"]["inputDefinitions"]["parameters"]
        if unknown := set(body["runtime_config"]["parameters"]) - set(declared):
            raise Refused(400, f"Invalid input error: unknown parameters {sorted(unknown)}")
        if state.before_run:
            state.before_run(self, body)
        return self.add_run(body)

    def add_run(self, body: dict[str, Any], created: str = "2026-01-01T00:00:05Z") -> dict[str, Any]:
        """Make a run."""
        made = {**body, "run_id": str(uuid.uuid4()), "state": "PENDING", "created_at": created}
        self.state.runs[made["run_id"]] = made
        return made


def _json(content: bytes, fields: set[str]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(content)
    if unknown := set(body) - fields:
        raise Refused(400, f'proto: (line 1:2): unknown field "{sorted(unknown)[0]}"')
    return body


def _chosen(kind: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """Return what the filter lets through."""
    if set(query) - {"filter", "page_size", "page_token", "namespace", "sort_by"}:
        raise Refused(400, f"unknown query {sorted(query)}")
    found = list(kind.values())
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        name = predicate["string_value"]
        assert predicate["key"] == "display_name"
        is_equal = {
            "EQUALS": lambda one, name=name: one == name,
            "IS_SUBSTRING": lambda one, name=name: name in one,
        }
        found = [one for one in found if is_equal[predicate["operation"]](one["display_name"])]
    return found


def _page(field: str, found: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """Return the part of a list that is asked for, and the token of the next."""
    begin = int(query.get("page_token") or 0)
    end = begin + int(query.get("page_size") or 20)
    return {field: found[begin:end], **({"next_page_token": str(end)} if end < len(found) else {})}


@contextlib.contextmanager
def serving(
    state: KfpState, certificate: tuple[Path, Path] | None = None, handler: type[Handler] = Handler
) -> Iterator[str]:
    """Serve a state on a free port; yield its address. With a certificate and its key: by TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("StatefulHandler", (handler,), {"state": state}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

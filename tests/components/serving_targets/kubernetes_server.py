"""A Kubernetes API on a port of this machine: the kinds and verbs that the target uses, and nothing else.

Strict where the real one is, which was asked: resource versions, name conflicts, unknown kinds, selectors. A gateway
controller and a Deployment controller answer at once, as they are told to.
"""

import contextlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]

PLACE = re.compile(
    r"/(?:api/v1|apis/(?:apps/v1|policy/v1|autoscaling/v2|gateway\.networking\.k8s\.io/v1))"
    r"/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>log|scale))?"
)
PLURALS = (
    "pods",
    "services",
    "deployments",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "gateways",
    "httproutes",
)
READY = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}


def container_status(**state: Any) -> Json:
    """Return a pod's status with one container in the given state; `restarts` and `last` beside it."""
    restarts, last = state.pop("restarts", 0), state.pop("last", {})
    container = {"image": "image", "restartCount": restarts, "state": state, "lastState": last}
    return {"phase": "Running", "conditions": [], "containerStatuses": [container]}


class ClusterState:
    """What the API holds, and what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.calls: list[str] = []
        self.pod_status: Json = READY  # of the pods that are made from now on
        self.no_pods_because = ""  # why no pod is made
        self.log = ""  # what every container printed
        self.refusal = ""  # why the gateway refuses routes
        self.gateway_answers = True
        # Next answers to calls that begin so: status (0: no answer after the deed), and the message if it matters.
        self.failures: list[tuple[str, int] | tuple[str, int, str]] = []
        self.before: Callable[[str], None] | None = None  # is told each call before it is done
        self.counter = 100
        self.lock = threading.RLock()

    def apply(self, plural: str, name: str, body: Json) -> Json:
        """Apply or patch an object."""
        found = self.objects.get((plural, name))
        version = body.get("metadata", {}).get("resourceVersion")
        if version is not None and (found is None or version != found["metadata"]["resourceVersion"]):
            raise Refused(
                409, f"Operation cannot be fulfilled on {plural} {name!r}: the object has been modified"
            )
        metadata = {**(found or {}).get("metadata", {}), **body["metadata"]}
        one = {**(found or {}), **body, "metadata": metadata}
        if plural == "deployments":
            kept = (found or {"spec": {"replicas": 1}})["spec"]["replicas"]
            one["spec"] = {"replicas": kept, **body["spec"]}
        self._keep(plural, name, one, changed=found is None or one["spec"] != found["spec"])
        return self.objects[plural, name]

    def touch(self, plural: str, name: str) -> None:
        """Write an object's status, as controllers do at any time."""
        with self.lock:
            one = self.objects[plural, name]
            self._keep(plural, name, one, changed=False)

    def _keep(self, plural: str, name: str, one: Json, *, changed: bool) -> None:
        self.counter += 1
        metadata = one["metadata"]
        generation = metadata.get("generation", 0) + (1 if changed else 0)
        kept = {"uid": str(uuid.uuid4()), **metadata} | {
            "resourceVersion": str(self.counter),
            "generation": generation,
        }
        self.objects[plural, name] = {**one, "metadata": kept}
        if plural == "deployments":
            self._make_pods(name)
        if plural == "httproutes" and self.gateway_answers:
            state = {"status": "False", "reason": "NotAllowed", "message": self.refusal}
            condition = {
                "type": "Accepted",
                "observedGeneration": generation,
                **(state if self.refusal else {"status": "True"}),
            }
            self.objects[plural, name]["status"] = {"parents": [{"conditions": [condition]}]}

    def _make_pods(self, name: str) -> None:
        one = self.objects["deployments", name]
        replicas = one["spec"]["replicas"]
        template = one["spec"]["template"]
        count = 0 if self.no_pods_because else replicas
        for key in [key for key in self.objects if key[0] == "pods" and key[1].startswith(f"{name}-")]:
            del self.objects[key]
        for number in range(count):
            metadata = {**template["metadata"], "name": f"{name}-{number}"}
            self.objects["pods", f"{name}-{number}"] = {
                "metadata": metadata,
                "spec": template["spec"],
                "status": self.pod_status,
            }
        ready = count if self.pod_status == READY else 0
        one["status"] = {
            "observedGeneration": one["metadata"]["generation"],
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        if self.no_pods_because:
            failure = {"type": "ReplicaFailure", "status": "True", "message": self.no_pods_because}
            one["status"]["conditions"] = [failure]


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def answer(state: ClusterState, verb: str, path: str, query: dict[str, list[str]], body: Json) -> Any:
    """Do what is asked and return the answer."""
    place = PLACE.fullmatch(path)
    if place is None or place["plural"] not in PLURALS:
        raise Refused(404, "the server could not find the requested resource")
    plural, name = place["plural"], place["name"] or ""
    key = (plural, name)
    if place["sub"] == "log":
        return state.log
    if verb == "GET" and not name:
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair)
        items = [one for (kind, _), one in state.objects.items() if kind == plural]
        chosen = [one for one in items if wanted.items() <= one["metadata"].get("labels", {}).items()]
        return {"items": chosen}
    if verb == "POST":
        if (plural, body["metadata"]["name"]) in state.objects:
            raise Refused(409, f"{plural} {body['metadata']['name']!r} already exists")
        return state.apply(plural, body["metadata"]["name"], body)
    if verb == "PATCH" and place["sub"] == "scale":
        found = state.objects[key]
        return state.apply(plural, name, {"metadata": {}, "spec": {**found["spec"], **body["spec"]}})
    if verb == "PATCH":
        force = query.get("force", [""])[0].lower()  # clients before 37 write True
        if query.get("fieldManager") != ["penstock"] or force != "true":
            raise Refused(400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
        return state.apply(plural, name, body)
    if key not in state.objects:
        raise Refused(404, f"{plural} {name!r} not found")
    if verb == "DELETE":
        gone = state.objects.pop(key)
        uid = gone["metadata"]["uid"]
        for other, one in list(state.objects.items()):
            owned = any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", []))
            if owned or (plural == "deployments" and other[0] == "pods" and other[1].startswith(f"{name}-")):
                del state.objects[other]
        return {"kind": "Status", "status": "Success"}
    return state.objects[key]


@contextlib.contextmanager
def kubernetes_server(state: ClusterState, folder: Path) -> Iterator[Path]:
    """Serve the state; yields the path of a kubeconfig."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _do(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            call = f"{self.command} {path}"
            if state.before is not None:
                state.before(call)
            with state.lock:
                state.calls.append(call)
                failure = next((one for one in state.failures if call.startswith(one[0])), None)
                if failure is not None:
                    state.failures.remove(failure)
                try:
                    if failure and failure[1]:
                        raise Refused(failure[1], failure[2] if len(failure) > 2 else "injected")
                    status, found = 200, answer(state, self.command, path, parse_qs(parts.query), body)
                except Refused as refused:
                    status = refused.status
                    found = {
                        "kind": "Status",
                        "status": "Failure",
                        "message": refused.message,
                        "code": status,
                    }
            if failure and not failure[1]:
                self.close_connection = True
                self.connection.close()
                return
            text = found if isinstance(found, str) else json.dumps(found)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_DELETE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()

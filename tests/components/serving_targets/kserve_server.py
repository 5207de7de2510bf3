"""A Kubernetes API with InferenceServices, and a controller that moves their status as KServe's does.

The controller does one step each time an object is looked at. Its rules are those of KServe's sources
(inference_service_status.go, ksvc_reconciler.go, and the canaries of pull request 5672): conditions go from Unknown
to True, Knative makes a revision of each new pod template, traffic follows canaryTrafficPercent and the revision that
had all traffic last, canaries of Standard mode are reported in canaryStatuses.
"""

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
PREFIX = "/apis/serving.kserve.io/v1beta1/namespaces/serving/inferenceservices"
CONDITIONS = ("PredictorReady", "IngressReady", "Ready")
KNATIVE_CONDITIONS = (*CONDITIONS, "LatestDeploymentReady", "RoutesReady")


class KserveState:
    """What the API holds, and how its controller behaves."""

    def __init__(self) -> None:
        self.services: dict[str, Json] = {}
        self.calls: list[str] = []
        self.statuses: list[Json] = []  # each status that the controller wrote
        self.steps_until_ready = 2
        self.asleep = False  # the controller does nothing
        self.broken: dict[str, str] = {}  # model URI → why its container does not start
        self.failures: list[tuple[str, int, str]] = []  # next answers to calls that begin so
        self.before_write: Callable[[], None] | None = None
        self.counter = 0
        self.lock = threading.RLock()

    def write(self, name: str, body: Json) -> Json:
        """Create or apply an object: server-side apply with one owner, whose fields replace the earlier ones."""
        found = self.services.get(name, {"metadata": {"generation": 0}, "status": {}})
        spec = body["spec"]
        _validate(spec, body["metadata"]["annotations"]["serving.kserve.io/deploymentMode"])
        generation = found["metadata"]["generation"] + (spec != found.get("spec"))
        self.services[name] = {
            **body,
            "metadata": {**body["metadata"], "generation": generation},
            "status": found["status"],
            "hidden": {**found.get("hidden", {"revisions": [], "age": {}})},
        }
        self.touch(name)
        return self.services[name]

    def touch(self, name: str) -> None:
        """Give an object its next resourceVersion, as each write of a status does."""
        self.counter += 1
        self.services[name]["metadata"]["resourceVersion"] = str(self.counter)

    def step(self, name: str) -> None:
        """Let the controller do one step."""
        one = self.services[name]
        before = copy.deepcopy(one["status"])
        if one["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative":
            self._knative(name, one)
        else:
            self._standard(name, one)
        if one["status"] != before:
            self.touch(name)
            self.statuses.append(copy.deepcopy(one["status"]))

    def _age(self, one: Json, key: str) -> int:
        ages = one["hidden"]["age"]
        ages[key] = ages.get(key, -1) + 1
        return int(ages[key])

    def _standard(self, name: str, one: Json) -> None:
        status, spec = one["status"], one["spec"]
        status["deploymentMode"] = "Standard"
        predictors = [spec["predictor"], *(canary["predictor"] for canary in spec.get("canary", []))]
        kept = {predictor["name"] for predictor in predictors}
        one["hidden"]["age"] = {key: age for key, age in one["hidden"]["age"].items() if key in kept}
        ready = {}
        for predictor in predictors:  # a Deployment <service>-<name>-predictor each
            failed = self.broken.get(_uri(predictor))
            age = self._age(one, predictor["name"])
            ready[predictor["name"]] = not failed and age >= self.steps_until_ready
        main = spec["predictor"]
        _set(status, CONDITIONS, ready[main["name"]], self.broken.get(_uri(main)))
        status["canaryStatuses"] = [
            {
                "name": canary["predictor"]["name"],
                "ready": ready[canary["predictor"]["name"]],
                "trafficPercent": canary["trafficPercent"],
                "modelStatus": _model_status(self.broken.get(_uri(canary["predictor"]))),
            }
            for canary in spec.get("canary", [])
        ]
        status["modelStatus"] = _model_status(self.broken.get(_uri(main)))
        if ready[main["name"]]:
            status["url"] = f"http://{name}-serving.example.com"

    def _knative(self, name: str, one: Json) -> None:
        status, predictor, hidden = one["status"], one["spec"]["predictor"], one["hidden"]
        status["deploymentMode"] = "Knative"
        component = status.setdefault("components", {}).setdefault("predictor", {})
        template = {key: value for key, value in predictor.items() if key != "canaryTrafficPercent"}
        if not hidden["revisions"] or hidden["revisions"][-1] != template:
            hidden["revisions"].append(template)
        latest = f"{name}-predictor-{len(hidden['revisions']):05}"
        # createKnativeService: from the status as it was before this step
        percent, rolled_out = (
            predictor.get("canaryTrafficPercent"),
            component.get("latestRolledoutRevision", ""),
        )
        failed = self.broken.get(_uri(predictor))
        ready = not failed and self._age(one, latest) >= self.steps_until_ready
        ready_revision = latest if ready else component.get("latestReadyRevision", "")
        split = percent is not None and rolled_out
        first = {"latestRevision": True, "revisionName": ready_revision, "percent": percent if split else 100}
        traffic = [first]
        if split and percent < 100:
            rest = {
                "latestRevision": False,
                "revisionName": rolled_out,
                "percent": 100 - percent,
                "tag": "prev",
            }
            traffic.append(rest)
        # PropagateStatus
        component["latestCreatedRevision"] = latest
        both = sum(one["percent"] for one in traffic if one["revisionName"] == ready_revision)
        if ready_revision and rolled_out != ready_revision and first["percent"] == 100:
            component["previousRolledoutRevision"] = rolled_out
            component["latestRolledoutRevision"] = ready_revision
        elif rolled_out == ready_revision == latest and first["percent"] < 100 and both == 100:
            previous = component.get("previousRolledoutRevision")
            component["latestRolledoutRevision"] = previous or rolled_out
        if ready_revision:
            component["latestReadyRevision"] = ready_revision
            component["traffic"] = traffic
            status["url"] = f"http://{name}.serving.example.com"
        _set(status, KNATIVE_CONDITIONS, ready, failed)
        status["modelStatus"] = _model_status(failed)

    def served(self, name: str) -> dict[str, int]:
        """Return where requests really go: percent by model URI."""
        one = self.services[name]
        shares: dict[str, int] = {}
        if one["status"].get("deploymentMode") == "Knative":
            for target in one["status"]["components"]["predictor"]["traffic"]:
                number = int(target["revisionName"].rpartition("-")[2])
                uri = _uri(one["hidden"]["revisions"][number - 1])
                shares[uri] = shares.get(uri, 0) + target["percent"]
        else:
            rest = 100
            for canary in one["spec"].get("canary", []):
                shares[_uri(canary["predictor"])] = canary["trafficPercent"]
                rest -= canary["trafficPercent"]
            shares[_uri(one["spec"]["predictor"])] = rest
        return {uri: share for uri, share in shares.items() if share}


def _validate(spec: Json, mode: str) -> None:
    """Refuse what KServe's webhook refuses."""
    canaries = spec.get("canary", [])
    names = [spec["predictor"].get("name"), *(canary["predictor"].get("name") for canary in canaries)]
    if canaries and mode != "Standard":
        raise Refused(400, "admission webhook denied the request: canary is only supported in Standard mode")
    if canaries and (None in names[1:] or len(set(names)) < len(names)):
        raise Refused(400, "admission webhook denied the request: canary predictor names must be unique")
    if sum(canary["trafficPercent"] for canary in canaries) > 100:
        raise Refused(400, "admission webhook denied the request: the sum of trafficPercent exceeds 100")
    if any(
        key in canary["predictor"]
        for canary in canaries
        for key in ("maxReplicas", "autoScaling", "scaleTarget")
    ):
        raise Refused(400, "admission webhook denied the request: canaries do not scale")
    for predictor in (spec["predictor"], *(canary["predictor"] for canary in canaries)):
        if "canaryTrafficPercent" in predictor and mode == "Standard":
            raise AssertionError("Standard mode would ignore canaryTrafficPercent")


def _uri(predictor: Json) -> str:
    return next(one["value"] for one in predictor["containers"][0]["env"] if one["name"] == "STORAGE_URI")


def _set(status: Json, names: tuple[str, ...], ready: bool, failed: str | None) -> None:
    state = {"status": "True"} if ready else {"status": "Unknown", "reason": "Deploying"}
    if failed:
        state = {"status": "False", "reason": "RevisionFailed", "message": failed}
    status["conditions"] = [{"type": name, **state} for name in names]


def _model_status(failed: str | None) -> Json:
    if failed:
        info = {"reason": "ModelLoadFailed", "message": failed, "exitCode": 2}
        return {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": info}
    return {"transitionStatus": "UpToDate"}


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def answer(state: KserveState, verb: str, path: str, query: dict[str, list[str]], body: Json) -> Any:
    """Do what is asked and return the answer."""
    for failure in list(state.failures):
        if f"{verb} {path}".startswith(failure[0]):
            state.failures.remove(failure)
            raise Refused(failure[1], failure[2])
    if not path.startswith(PREFIX):
        raise Refused(404, "the server could not find the requested resource")
    name = path.removeprefix(PREFIX).strip("/")
    if verb == "POST":
        if body["metadata"]["name"] in state.services:
            raise Refused(409, "already exists")
        return state.write(body["metadata"]["name"], body)
    if name not in state.services:
        raise Refused(404, f'inferenceservices.serving.kserve.io "{name}" not found')
    if verb == "PATCH":
        if query.get("fieldManager") != ["penstock"] or query.get("force", [""])[0].lower() != "true":
            raise Refused(400, "fieldManager: Required value")
        if body["metadata"]["resourceVersion"] != state.services[name]["metadata"]["resourceVersion"]:
            raise Refused(
                409, "the object has been modified; please apply your changes to the latest version"
            )
        return state.write(name, body)
    if not state.asleep:
        state.step(name)
    return state.services[name]


@contextlib.contextmanager
def kserve_server(state: KserveState, folder: Path) -> Iterator[Path]:
    """Serve the state; yields the path of a kubeconfig."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _do(self) -> None:
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.command != "GET" and state.before_write:
                before, state.before_write = state.before_write, None
                before()
            with state.lock:
                state.calls.append(f"{self.command} {parts.path}")
                try:
                    status, found = 200, answer(state, self.command, parts.path, parse_qs(parts.query), body)
                    found = {key: value for key, value in found.items() if key != "hidden"}
                except Refused as refused:
                    status, found = refused.status, {"kind": "Status", "message": refused.message}
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
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

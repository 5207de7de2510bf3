"""A server that speaks the REST methods of Vertex AI that serving uses, in one process, over real HTTP.

Bodies are parsed into the protos of google-cloud-aiplatform, so that a field that Vertex AI does not know is
refused here too. Operations are long-running: they are done after some looks at them, or when a test lets go.
Rules of the real service that matter are kept: etags, unique aliases and ids, traffic that adds up to 100, no
undeployment of what has traffic.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import field_mask_pb2, json_format

PARENT = "projects/shop/locations/europe-west1"
NUMBERED = "projects/123456/locations/europe-west1"  # how the real service answers names


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Vertex:
    """The state of one project in one region."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.endpoints: dict[str, Any] = {}
        self.models: dict[str, list[Any]] = {}
        self.operations: dict[str, operations_pb2.Operation] = {}
        self.effects: dict[str, Any] = {}
        self.looks: dict[str, int] = {}
        self.calls: list[tuple[str, str]] = []  # method and path
        self.looks_needed = 2  # until an operation is done
        self.hold: set[str] = set()  # kinds of operations that do not end while they stand here
        self.fail_operation: dict[str, tuple[int, str]] = {}  # kind → google.rpc code, message; once
        self.refuse: list[tuple[str, Refused, int]] = []  # pattern of "METHOD path", answer, how often
        self.before_update: Any = None  # called once before an update is looked at
        self.stale = Refused(409, "ABORTED", "The etag does not match the current one.")
        self.numbers = 0
        handler = type("Handler", (_Handler,), {"vertex": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.http.shutdown()
        self.http.server_close()

    def count(self, pattern: str) -> int:
        """Return how many calls match."""
        return sum(1 for method, path in self.calls if re.search(pattern, f"{method} {path}"))

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> str:
        """Return the JSON that answers a call."""
        if method == "PATCH" and self.before_update:
            before, self.before_update = self.before_update, None
            before()
        with self.lock:
            self.calls.append((method, path))
            for index, (pattern, refused, times) in enumerate(self.refuse):
                if times and re.search(pattern, f"{method} {path}"):
                    self.refuse[index] = (pattern, refused, times - 1)
                    raise refused
            name = path.removeprefix("/v1/")
            routes = [
                ("POST", rf"{PARENT}/models:upload", self.upload),
                ("POST", rf"{PARENT}/endpoints", self.create),
                ("POST", rf"{PARENT}/endpoints/[^/]+:deployModel", self.deploy),
                ("POST", rf"{PARENT}/endpoints/[^/]+:undeployModel", self.undeploy),
                ("POST", rf"{PARENT}/endpoints/[^/]+:mutateDeployedModel", self.mutate),
                ("PATCH", r"projects/[^/]+/locations/europe-west1/endpoints/[^/]+", self.update),
                ("GET", r"projects/.+/operations", self.list_operations),
                ("GET", r"projects/.+/operations/[^/]+", self.get_operation),
                ("GET", r"projects/[^/]+/locations/europe-west1/endpoints/[^/]+", self.get_endpoint),
                ("GET", r"projects/[^/]+/locations/europe-west1/models/[^/]+", self.get_model),
            ]
            for verb, pattern, handle in routes:
                if verb == method and re.fullmatch(pattern, name):
                    return handle(name, query, body)
            raise Refused(404, "NOT_FOUND", f"no route for {method} {path}")

    def upload(self, name: str, query: dict[str, str], body: bytes) -> str:
        request = types.UploadModelRequest.from_json(body, ignore_unknown_fields=False)
        model = request.model
        if not model.artifact_uri.startswith("gs://") or not model.container_spec.image_uri:
            raise Refused(400, "INVALID_ARGUMENT", "artifact_uri and container_spec.image_uri are required.")
        if request.parent_model:
            key = request.parent_model.rpartition("/")[2]
            if key not in self.models:
                raise Refused(404, "NOT_FOUND", f"The Model {key} does not exist.")
        else:
            key = request.model_id
            if key in self.models:
                raise Refused(409, "ALREADY_EXISTS", f"The Model {key} exists already.")

        def finish() -> Any:
            versions = self.models.setdefault(key, [])
            for alias in model.version_aliases:
                if not re.fullmatch(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]", alias):
                    raise AssertionError(f"Vertex AI would refuse the alias {alias!r}")
                for other in versions:
                    if alias in other.version_aliases:
                        other.version_aliases.remove(alias)
            model.version_id = str(len(versions) + 1)
            model.name = f"{NUMBERED}/models/{key}"
            if not versions:
                model.version_aliases.append("default")
            versions.append(model)
            return types.UploadModelResponse(model=model.name, model_version_id=model.version_id)

        return self.start("upload", f"models/{key}", finish, types.UploadModelOperationMetadata())

    def create(self, name: str, query: dict[str, str], body: bytes) -> str:
        endpoint = types.Endpoint.from_json(body, ignore_unknown_fields=False)
        key = query["endpointId"]
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", key):
            raise Refused(400, "INVALID_ARGUMENT", f"The endpoint ID {key} is invalid.")
        if key in self.endpoints:
            raise Refused(409, "ALREADY_EXISTS", f"The Endpoint {key} exists already.")

        def finish() -> Any:
            endpoint.name = f"{NUMBERED}/endpoints/{key}"
            if endpoint.dedicated_endpoint_enabled:
                endpoint.dedicated_endpoint_dns = f"{key}.europe-west1-123456.prediction.vertexai.goog"
            self.endpoints[key] = endpoint
            self.touch(endpoint)
            return endpoint

        return self.start("create", f"endpoints/{key}", finish, types.CreateEndpointOperationMetadata())

    def deploy(self, name: str, query: dict[str, str], body: bytes) -> str:
        request = types.DeployModelRequest.from_json(body, ignore_unknown_fields=False)
        endpoint = self.endpoint(name.partition(":")[0])
        deployed = request.deployed_model
        model = self.model(deployed.model.rpartition("/")[2])
        if deployed.dedicated_resources.min_replica_count < 1:
            raise Refused(400, "INVALID_ARGUMENT", "min_replica_count must be at least 1.")

        def finish() -> Any:
            self.numbers += 1
            deployed.id = str(4_000_000_000_000_000_000 + self.numbers)
            deployed.model, deployed.model_version_id = model.name, model.version_id
            endpoint.deployed_models.append(deployed)
            self.touch(endpoint)
            return types.DeployModelResponse(deployed_model=deployed)

        metadata = types.DeployModelOperationMetadata(
            deployment_stage=types.DeploymentStage.STARTING_MODEL_SERVER
        )
        return self.start("deploy", name.partition(":")[0], finish, metadata)

    def undeploy(self, name: str, query: dict[str, str], body: bytes) -> str:
        request = types.UndeployModelRequest.from_json(body, ignore_unknown_fields=False)
        endpoint = self.endpoint(name.partition(":")[0])
        if endpoint.traffic_split.get(request.deployed_model_id, 0):
            raise Refused(400, "FAILED_PRECONDITION", "DeployedModel has traffic assigned to it.")

        def finish() -> Any:
            kept = [one for one in endpoint.deployed_models if one.id != request.deployed_model_id]
            endpoint.deployed_models = kept
            self.touch(endpoint)
            return types.UndeployModelResponse()

        return self.start("undeploy", name.partition(":")[0], finish, types.UndeployModelOperationMetadata())

    def mutate(self, name: str, query: dict[str, str], body: bytes) -> str:
        request = types.MutateDeployedModelRequest.from_json(body, ignore_unknown_fields=False)
        endpoint = self.endpoint(name.partition(":")[0])
        [found] = [one for one in endpoint.deployed_models if one.id == request.deployed_model.id]

        def finish() -> Any:
            for path in request.update_mask.paths:
                number = path.removeprefix("dedicated_resources.")
                setattr(
                    found.dedicated_resources,
                    number,
                    getattr(request.deployed_model.dedicated_resources, number),
                )
            self.touch(endpoint)
            return types.MutateDeployedModelResponse(deployed_model=found)

        metadata = types.MutateDeployedModelOperationMetadata()
        return self.start("mutate", name.partition(":")[0], finish, metadata)

    def update(self, name: str, query: dict[str, str], body: bytes) -> str:
        given = types.Endpoint.from_json(body, ignore_unknown_fields=False)
        endpoint = self.endpoint(name)
        if given.etag and given.etag != endpoint.etag:
            raise self.stale
        mask = field_mask_pb2.FieldMask()
        json_format.Parse(json.dumps(query["updateMask"]), mask)
        for path in mask.paths:
            if path == "traffic_split":
                split = dict(given.traffic_split)
                known = {one.id for one in endpoint.deployed_models}
                if not set(split) <= known or (split and sum(split.values()) != 100):
                    raise Refused(400, "INVALID_ARGUMENT", f"The traffic split {split} is invalid.")
                endpoint.traffic_split = split
            else:
                setattr(endpoint, path, getattr(given, path))
        self.touch(endpoint)
        return types.Endpoint.to_json(endpoint)

    def start(self, kind: str, resource: str, finish: Any, metadata: Any) -> str:
        """Begin an operation and answer it."""
        self.numbers += 1
        resource = resource.removeprefix(f"{PARENT}/")
        operation = operations_pb2.Operation(name=f"{NUMBERED}/{resource}/operations/{self.numbers}")
        operation.metadata.Pack(type(metadata).pb(metadata))
        self.operations[operation.name] = operation
        self.effects[operation.name] = (kind, finish)
        self.looks[operation.name] = 0
        return json_format.MessageToJson(operation)

    def get_operation(self, name: str, query: dict[str, str], body: bytes) -> str:
        name = name.replace(PARENT, NUMBERED)
        operation = self.operations[name]
        self.looks[name] += 1
        kind, finish = self.effects[name]
        if not operation.done and kind not in self.hold and self.looks[name] >= self.looks_needed:
            operation.done = True
            if kind in self.fail_operation:
                operation.error.code, operation.error.message = self.fail_operation.pop(kind)
            else:
                answer = finish()
                operation.response.Pack(type(answer).pb(answer))
        return json_format.MessageToJson(operation)

    def list_operations(self, name: str, query: dict[str, str], body: bytes) -> str:
        prefix = name.replace(PARENT, NUMBERED) + "/"
        found = [one for key, one in self.operations.items() if key.startswith(prefix)]
        return json_format.MessageToJson(operations_pb2.ListOperationsResponse(operations=found))

    def get_endpoint(self, name: str, query: dict[str, str], body: bytes) -> str:
        return types.Endpoint.to_json(self.endpoint(name))

    def get_model(self, name: str, query: dict[str, str], body: bytes) -> str:
        return types.Model.to_json(self.model(name.rpartition("/")[2]))

    def endpoint(self, name: str) -> Any:
        """Return an endpoint or refuse."""
        key = name.rpartition("/")[2]
        if key not in self.endpoints:
            raise Refused(404, "NOT_FOUND", f"The Endpoint {key} does not exist.")
        return self.endpoints[key]

    def model(self, reference: str) -> Any:
        """Return a model by id@number or id@alias, or refuse."""
        key, _, version = reference.partition("@")
        for one in self.models.get(key, []):
            if (version or "default") in (one.version_id, *one.version_aliases):
                return one
        raise Refused(404, "NOT_FOUND", f"The Model {reference} does not exist.")

    def touch(self, endpoint: Any) -> None:
        """Give an endpoint its next etag."""
        self.numbers += 1
        endpoint.etag = f"etag-{self.numbers}"


class _Handler(BaseHTTPRequestHandler):
    vertex: Vertex
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PATCH = do_GET

    def _handle(self) -> None:
        url = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            code, text = 200, self.vertex.answer(self.command, unquote(url.path), query, body)
        except Refused as refused:
            error = {"code": refused.code, "status": refused.status, "message": str(refused)}
            code, text = refused.code, json.dumps({"error": error})
        except (json_format.ParseError, AssertionError) as error:
            code, text = (
                400,
                json.dumps({"error": {"code": 400, "message": f"Invalid JSON payload: {error}"}}),
            )
        content = text.encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Keep quiet."""

"""KServe's REST server with our edges: limits, errors as sentences, Vertex AI's routes, loading by URI."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import fastapi
import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.responses import ORJSONResponse
from kserve import InferRequest
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.rest.server import RESTServer, metrics_handler
from kserve.protocol.rest.v1_endpoints import V1Endpoints, register_v1_endpoints
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from starlette.exceptions import HTTPException

from penstock.components.prediction_service import mirrored
from penstock.components.prediction_service.account import current
from penstock.components.prediction_service.batching import Overloaded
from penstock.components.prediction_service.data_plane import GuardedRepository, TruthfulDataPlane
from penstock.components.prediction_service.faults import BadRequest, Forbidden, answer_error
from penstock.components.prediction_service.middleware import Requests
from penstock.components.prediction_service.model_store import Source
from penstock.components.prediction_service.request_log import RequestLog
from penstock.components.prediction_service.served_model import ServedModel
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

ANSWERED = (
    InvalidInput,
    RequestValidationError,
    Forbidden,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
    NotImplementedError,
    Overloaded,
    HTTPException,
    Exception,
)


class RestServer(RESTServer):
    """Serves V1 and V2 over HTTP."""

    def __init__(
        self,
        model: ServedModel,
        data_plane: TruthfulDataPlane,
        repository: GuardedRepository,
        request_log: RequestLog | None,
        bound: socket.socket,
    ) -> None:
        settings = model.settings
        super().__init__(
            "kserve.model_server:app",
            data_plane,
            repository,
            settings.http_port,
            grace_period=max(1, round(settings.grace_s)),
        )
        self.model, self.repository, self.request_log = model, repository, request_log
        self.config.host = settings.host
        self.config.access_log = False  # the request log tells more, and costs the caller less
        self._socket = bound
        # uvicorn would take the signals; the service ends both protocols in order.
        self._server.capture_signals = _no_signals

    async def start(self) -> None:
        """Serve until `stop`."""
        self.create_application()
        await self._server.serve(sockets=[self._socket])

    def stop(self, now: bool = False) -> None:
        """Take no more connections and end when all requests are answered, or at once."""
        self._server.should_exit = True
        self._server.force_exit = self._server.force_exit or now

    def _register_endpoints(self, app: fastapi.FastAPI) -> None:
        settings = self.model.settings
        app.add_api_route("/metrics", metrics_handler, methods=["GET"])
        app.add_api_route("/v2/repository/models/{model_name}/load", self._load, methods=["POST"])
        if settings.health_route:
            app.add_api_route(settings.health_route, self._health, methods=["GET"])
        if settings.predict_route:
            app.add_api_route(settings.predict_route, self._predict, methods=["POST"], response_model=None)
        app.add_api_route(mirrored.ROUTE, self._mirrored, methods=["POST"], response_model=None)
        if settings.health_route != "/":
            app.add_api_route("/", self.dataplane.live, methods=["GET"])
        register_v1_endpoints(app, self.dataplane, self.repository)
        register_v2_endpoints(app, self.dataplane, self.repository)

    def _add_exception_handlers(self, app: fastapi.FastAPI) -> None:
        for kind in ANSWERED:
            app.add_exception_handler(kind, answer_error)

    def _add_middlewares(self, app: fastapi.FastAPI) -> None:
        route = self.model.settings.predict_route
        app.add_middleware(
            Requests,
            model=self.model,
            data_plane=self.dataplane,
            request_log=self.request_log,
            routes=(mirrored.ROUTE, route) if route else (mirrored.ROUTE,),
        )

    async def _health(self) -> dict[str, Any]:
        """Vertex AI: 200 when requests may come."""
        if not await self.dataplane.ready():
            raise ServerNotReady
        return {"ready": True}

    async def _predict(self, request: fastapi.Request) -> Any:
        """Vertex AI: {"instances": …} on its own path."""
        return await V1Endpoints(self.dataplane, self.repository).predict(self.model.name, request)

    async def _mirrored(self, request: fastapi.Request) -> fastapi.Response:
        """KServe's payload logger: a copy of a request that another version answers."""
        body = await request.body()
        if not mirrored.is_prediction(dict(request.headers.raw), body):
            return fastapi.Response(status_code=mirrored.NOTHING_TO_DO)
        if not await self.dataplane.model_ready(self.model.name, True):
            raise ModelNotReady(self.model.name)
        payload = mirrored.decoded_request(body, self.model.name)
        if isinstance(payload, InferRequest) and (account := current()) is not None:
            account.protocol = "v2"
        await self.dataplane.infer(model_name=self.model.name, request=payload)
        return ORJSONResponse({})

    async def _load(self, model_name: str, request: fastapi.Request) -> ORJSONResponse:
        """Load a version: {"parameters": {"model_dir": URI, "model_version": "4"}}, or what --model-dir names."""
        body = await request.body()
        source = None
        if body.strip():
            try:
                parameters = orjson.loads(body).get("parameters") or {}
                if parameters:
                    source = Source(str(parameters["model_dir"]), str(parameters.get("model_version", "")))
            except (ValueError, KeyError, AttributeError, TypeError):
                raise BadRequest(
                    'expected {"parameters": {"model_dir": URI, "model_version": text}}, or no body'
                ) from None
        version = await self.repository.load_source(model_name, source)
        return ORJSONResponse({"name": model_name, "load": True, "model_version": version})


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, which refuses connections until the server begins.

    Raises:
        StepError: The port is taken, or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise StepError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    found.set_inheritable(True)
    return found


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    yield

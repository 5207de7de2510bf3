"""KServe's gRPC service (V2) with our edges: ids, versions, accounts, errors as status codes."""

from concurrent import futures
from typing import Any

from grpc import aio
from kserve import InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from penstock.components.prediction_service.account import begin, current
from penstock.components.prediction_service.data_plane import (
    DECODING,
    GuardedRepository,
    TruthfulDataPlane,
)
from penstock.components.prediction_service.faults import BadRequest, status_of, told
from penstock.components.prediction_service.middleware import finish
from penstock.components.prediction_service.request_log import RequestLog
from penstock.components.prediction_service.served_model import ServedModel
from penstock.components.step_io.errors import StepError

HTTP_OF_OK = 200


class GrpcServer:
    """Serves the Open Inference Protocol over gRPC, in the event loop of REST."""

    def __init__(
        self,
        model: ServedModel,
        data_plane: TruthfulDataPlane,
        repository: GuardedRepository,
        request_log: RequestLog | None,
    ) -> None:
        self.settings = model.settings
        self._servicer = Servicer(model, data_plane, repository, request_log)
        self._server: aio.Server | None = None

    async def start(self) -> None:
        """Serve until `stop`.

        Raises:
            StepError: The port is taken.
        """
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", self.settings.max_body_bytes),
            ("grpc.so_reuseport", 0),
        ]
        self._server = aio.server(
            futures.ThreadPoolExecutor(1), interceptors=(ErrorsToStatus(),), options=options
        )
        add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        try:
            self._server.add_insecure_port(f"{host}:{self.settings.grpc_port}")
        except RuntimeError:
            raise StepError(
                f"cannot listen at {host}:{self.settings.grpc_port} (gRPC): is the port taken?"
            ) from None
        await self._server.start()
        await self._server.wait_for_termination()

    async def stop(self, grace_s: float) -> None:
        """Take no more requests and end when those in flight are answered, or after the grace."""
        if self._server is not None:
            await self._server.stop(grace_s)


class Servicer(InferenceServicer):
    """Answers requests; see KServe's class for the other methods."""

    def __init__(
        self,
        model: ServedModel,
        data_plane: TruthfulDataPlane,
        repository: GuardedRepository,
        request_log: RequestLog | None,
    ) -> None:
        super().__init__(data_plane, repository)
        self.model, self.request_log = model, request_log

    async def ModelInfer(
        self, request: messages.ModelInferRequest, context: Any
    ) -> messages.ModelInferResponse:
        """Predict."""
        metadata = dict(context.invocation_metadata() or ())
        given = str(metadata.get("x-request-id", "") or request.id)
        account, status = begin("grpc", given, self.model.version), 500
        try:
            response = await self._infer(request, metadata)
            status = HTTP_OF_OK
            return response
        except Exception as error:
            status = status_of(error)[0]
            account.error = told(error)["error"]
            raise
        finally:
            context.set_trailing_metadata(
                (
                    ("x-request-id", account.request_id),
                    ("x-model-version", account.version.encode("ascii", "replace").decode()),
                )
            )
            finish(account, self.model.name, status, self.request_log)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        """Load what --model-dir names now."""
        await self._mode_repository_extension.load(request.model_name)
        return messages.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    async def _infer(
        self, request: messages.ModelInferRequest, metadata: dict[str, Any]
    ) -> messages.ModelInferResponse:
        try:
            self.validate_grpc_request(request)
            decoded = InferRequest.from_grpc(request)
        except DECODING as error:
            raise BadRequest(f"the request does not have the form of the protocol: {error}") from None
        response, _ = await self._data_plane.infer(
            request=decoded, headers=metadata, model_name=request.model_name
        )
        assert isinstance(response, InferResponse)
        return response.to_grpc()


class ErrorsToStatus(ExceptionToStatusInterceptor):
    """Gives every error its code and its sentence; KServe's own logs a traceback for a caller's fault."""

    async def handle_exception(
        self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str
    ) -> None:
        """Abort the call."""
        account = current()
        sentence = account.error if account and account.error else told(ex)["error"]
        await context.abort(status_of(ex)[1], sentence)

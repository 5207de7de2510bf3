"""A KServe model server that ends in order: not ready, then no new requests, then gone."""

import asyncio
import contextlib
import gc
import logging
import warnings

import kserve
from kserve.logging import logger as kserve_logger
from kserve.logging import trace_logger

from penstock.components.prediction_service import metrics
from penstock.components.prediction_service.data_plane import GuardedRepository, TruthfulDataPlane
from penstock.components.prediction_service.grpc_server import GrpcServer
from penstock.components.prediction_service.log_sinks import make_sink
from penstock.components.prediction_service.request_log import RequestLog
from penstock.components.prediction_service.rest import RestServer, bound_socket
from penstock.components.prediction_service.served_model import Completion, ServedModel
from penstock.components.prediction_service.server import on_signals
from penstock.components.prediction_service.settings import Settings
from penstock.components.serving_model.predictor import import_tensorflow
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

# KServe answers with this class; FastAPI would print the advice to leave it, three times.
warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")


class Service(kserve.ModelServer):
    """Serves one model over REST and gRPC."""

    def __init__(self, settings: Settings, complete: Completion | None = None) -> None:
        """Load and warm the model.

        Args:
            settings: How to serve.
            complete: Fills in online features; see served_model.Completion.

        Raises:
            StepError: The port of REST is taken, or the model cannot be loaded.
        """
        super().__init__(
            http_port=settings.http_port,
            grpc_port=settings.grpc_port,
            enable_grpc=settings.grpc_port > 0,
            enable_latency_logging=False,
            grace_period=max(1, round(settings.grace_s)),
        )
        for noisy in (
            kserve_logger,
            trace_logger,
            logging.getLogger("uvicorn"),
            logging.getLogger("uvicorn.error"),
        ):
            noisy.handlers, noisy.propagate = [], True
            noisy.setLevel(logging.WARNING)
        self.settings = settings
        self._socket = bound_socket(settings.host, settings.http_port)  # a taken port is told at once
        self.model = ServedModel(settings, complete)
        self.model.load()
        metrics.SERVER.labels(import_tensorflow().__version__).set(1)
        self.register_model(self.model)
        self.model.enable_latency_logging = False
        sink = make_sink(settings)
        self.request_log = RequestLog(sink, settings.log_sample, settings.log_queue) if sink else None
        self.dataplane = TruthfulDataPlane(self.registered_models)
        self.model_repository_extension = GuardedRepository(self.registered_models, settings.model_control)

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            StepError: A port is taken.
        """
        self.setup_event_loop()
        stop, reload = asyncio.Event(), asyncio.Event()
        on_signals(asyncio.get_running_loop(), stop, reload)
        parts = (self.model, self.dataplane, self.model_repository_extension, self.request_log)
        rest = RestServer(*parts, self._socket)
        grpc = GrpcServer(*parts) if self.enable_grpc else None
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(rest.start())]
        if grpc is not None:
            tasks.append(asyncio.create_task(grpc.start()))
        reloading = asyncio.create_task(self._reload_when(reload))
        stopped = asyncio.create_task(stop.wait())
        settings = self.settings
        gc.collect()
        gc.freeze()  # what was imported and loaded stays: no collection walks over it while requests wait
        log.info(
            "serving %s version %r: REST at %s:%d%s",
            settings.model_name,
            self.model.version,
            settings.host,
            settings.http_port,
            f", gRPC at {settings.grpc_port}" if grpc else "",
        )
        try:
            await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await self._drain(rest, grpc)
            else:
                rest.stop(now=True)
            for task in tasks:
                if task.done():
                    task.result()
            if not stop.is_set():
                raise StepError("a server ended by itself; the lines above say why")
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            stopped.cancel()
            reloading.cancel()

    async def _drain(self, rest: RestServer, grpc: GrpcServer | None) -> None:
        log.info("stopping: not ready from now on, serving for %g s more", self.settings.drain_s)
        self.dataplane.draining = True
        await asyncio.sleep(self.settings.drain_s)
        rest.stop()
        if grpc is not None:
            await grpc.stop(self.settings.grace_s)

    async def _reload_when(self, asked: asyncio.Event) -> None:
        """Load what --model-dir names now, each time that it is asked for."""
        while True:
            await asked.wait()
            asked.clear()
            try:
                version = await self.model.reload()
                log.info("version %r answers from now on", version)
            except StepError as error:
                log.error("%s; version %r goes on", error, self.model.version)

    def close(self, timeout_s: float) -> None:
        """Write the request log out."""
        with contextlib.suppress(Exception):
            if self.request_log is not None:
                self.request_log.close(timeout_s)

"""KServe's data plane, with readiness that tells the truth and decoding that never ends in a 500."""

import logging
import struct
from typing import Any

from kserve.errors import InvalidInput, ModelNotFound, UnsupportedProtocol
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from penstock.components.prediction_service.faults import BadRequest, Forbidden
from penstock.components.prediction_service.model_store import Source
from penstock.components.prediction_service.served_model import ServedModel
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

DECODING = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, struct.error)


class TruthfulDataPlane(DataPlane):
    """Ready means: a model is loaded and warm, and the service is not about to stop."""

    draining = False

    async def ready(self) -> bool:
        """Tell whether requests should come here."""
        models = list(self.model_registry.get_models())
        ready = [await self.model_registry.is_model_ready(name) for name in models]
        return bool(models) and all(ready) and not self.draining

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Tell whether a model is ready; while draining, requests (which set the flag) are still answered."""
        if self.model_registry.get_model(model_name) is None:
            raise ModelNotFound(model_name)
        answering = bool(await self.model_registry.is_model_ready(model_name))
        return answering and (disable_predictor_health_check or not self.draining)

    def decode(self, body: Any, headers: Any, *arguments: Any, **options: Any) -> Any:
        """Decode a request.

        Raises:
            InvalidInput: It has another form than the protocol says.
        """
        try:
            return super().decode(body, headers, *arguments, **options)
        except (InvalidInput, UnsupportedProtocol) as error:
            raise BadRequest(
                str(error).replace("Unrecognized request format", "the body is no JSON")
            ) from None
        except DECODING as error:
            log.info("a request could not be decoded: %s: %s", type(error).__name__, error)
            raise BadRequest(
                "the request does not have the form of its protocol: "
                'expected {"instances": […]} (V1) or {"inputs": [{"name", "shape", "datatype", "data"}]} (V2)'
            ) from None


class GuardedRepository(ModelRepositoryExtension):
    """Loads and unloads models on request, where the service was started with --model-control true."""

    def __init__(self, model_registry: Any, allowed: bool) -> None:
        super().__init__(model_registry)
        self.allowed = allowed

    async def load(self, model_name: str) -> None:
        """Load what --model-dir names now (V2 and gRPC, without parameters).

        Raises:
            Forbidden: The service was not started for it.
        """
        await self.load_source(model_name, None)

    async def load_source(self, model_name: str, source: Source | None) -> str:
        """Load a model and let it answer; returns its version.

        Raises:
            Forbidden: The service was not started for it.
            ModelNotFound: The service serves no model of this name.
            BadRequest: The model cannot be loaded; the present one stays.
        """
        self._check()
        model = self._model_registry.get_model(model_name)
        if not isinstance(model, ServedModel):
            raise ModelNotFound(model_name)
        try:
            return await model.reload(source)
        except StepError as error:
            raise BadRequest(f"{error}; version {model.version!r} goes on") from None

    async def unload(self, model_name: str) -> None:
        """Refuse: a service without a model serves nobody."""
        self._check()
        raise BadRequest(
            "the one model of this service cannot be unloaded: load another, or stop the service"
        )

    def _check(self) -> None:
        if not self.allowed:
            raise Forbidden("models are not changed by request: start the service with --model-control true")

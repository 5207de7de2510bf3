"""Requests that KServe's payload logger copies here from another version: answered to nobody, but logged.

The logger runs beside the version with the traffic and posts every request as a CloudEvent in binary mode: the body
as it came, V1 or V2 alike, and the headers that it was told to keep in `ce-metadata`. So one path takes them all.
Source: https://github.com/kserve/kserve/blob/master/pkg/logger/worker.go
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from kserve import InferRequest
from kserve.protocol.rest.v2_datamodels import InferenceRequest

from penstock.components.prediction_service.data_plane import DECODING
from penstock.components.prediction_service.faults import BadRequest

ROUTE = "/mirrored"
NOTHING_TO_DO = 204  # the answer to what asks for no prediction
REQUEST = b"org.kubeflow.serving.inference.request"
REQUEST_ID = "x-request-id"


def is_prediction(headers: Mapping[bytes, bytes], body: bytes) -> bool:
    """Tell whether an event is a request to predict: not an answer, nor a question about the model."""
    return headers.get(b"ce-type", REQUEST) == REQUEST and bool(body.strip())


def request_id(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the id that the request had where it was answered, else the event's own; empty without either."""
    kept = headers.get(b"ce-metadata", b"").decode("latin-1")
    try:
        metadata = orjson.loads(unquote(kept))
        return next(values[0] for name, values in metadata.items() if name.lower() == REQUEST_ID).encode()
    except (ValueError, AttributeError, TypeError, IndexError, KeyError, StopIteration):
        return headers.get(b"ce-id", b"")


def decoded_request(body: bytes, model: str) -> Any:
    """Return a V1 request as JSON has it, a V2 one as KServe's.

    Raises:
        BadRequest: It is neither.
    """
    try:
        found = orjson.loads(body)
        if isinstance(found, dict) and "inputs" in found:
            return InferRequest.from_inference_request(InferenceRequest.model_validate(found), model)
    except DECODING as error:
        raise BadRequest(
            f"the mirrored request has the form of no protocol: {str(error).splitlines()[0]}"
        ) from None
    return found

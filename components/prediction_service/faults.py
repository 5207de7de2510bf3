"""What is wrong with a request, and how REST and gRPC tell it.

A caller's fault is a 400 (gRPC: INVALID_ARGUMENT) with a sentence, the field and the row, and one line in
our log; a fault of ours is a 500 (INTERNAL) with the request's id and nothing of the inside.
"""

import logging
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import ORJSONResponse
from grpc import StatusCode
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from starlette.exceptions import HTTPException

from penstock.components.prediction_service.account import current
from penstock.components.prediction_service.batching import Overloaded
from penstock.components.serving_model.rows import BadRow

log = logging.getLogger(__name__)


class BadRequest(InvalidInput):
    """A request that cannot be answered; `field` and `row` where one of them is to blame."""

    def __init__(self, reason: str, field: str | None = None, row: int | None = None) -> None:
        super().__init__(reason)
        self.field, self.row = field, row

    @classmethod
    def of(cls, fault: BadRow) -> "BadRequest":
        """Return the fault of a row as the fault of its request."""
        return cls(str(fault), fault.field or None, fault.row)


class Forbidden(Exception):
    """Something that the service was not started for."""


def status_of(error: BaseException) -> tuple[int, StatusCode]:
    """Return the HTTP status and the gRPC code of an error."""
    for kinds, http, grpc in (
        ((InvalidInput, RequestValidationError), 400, StatusCode.INVALID_ARGUMENT),
        ((Forbidden,), 403, StatusCode.PERMISSION_DENIED),
        ((ModelNotFound,), 404, StatusCode.NOT_FOUND),
        ((NotImplementedError,), 501, StatusCode.UNIMPLEMENTED),
        ((ModelNotReady, ServerNotReady, Overloaded), 503, StatusCode.UNAVAILABLE),
    ):
        if isinstance(error, kinds):
            return http, grpc
    return 500, StatusCode.INTERNAL


def told(error: BaseException) -> dict[str, Any]:
    """Return the body of an answer: the sentence, and field and row where one is to blame."""
    if isinstance(error, RequestValidationError):
        return {"error": _of_validation(error)}
    if status_of(error)[0] == 500:
        account = current()
        log.error("a request failed", exc_info=error)
        return {
            "error": f"the model could not answer; request id {account.request_id if account else 'unknown'}"
        }
    body: dict[str, Any] = {"error": str(error)}
    if isinstance(error, BadRequest):
        body |= {
            key: value for key, value in (("field", error.field), ("row", error.row)) if value is not None
        }
    return body


async def answer_error(_: Any, error: Exception) -> ORJSONResponse:
    """Answer a request that ended in an error (FastAPI's form of a handler)."""
    if isinstance(error, HTTPException):  # no such path, no such method
        return ORJSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)
    status, body = status_of(error)[0], told(error)
    if (account := current()) is not None:
        account.error = body["error"]
    headers = {"retry-after": "1"} if status == 503 else None
    return ORJSONResponse(body, status, headers=headers)


def _of_validation(error: RequestValidationError) -> str:
    """Return in a sentence what pydantic found in the body of a V2 request."""
    # The body may also be bytes; what pydantic says of that alternative is of no use.
    found = [
        fault for fault in error.errors() if fault["type"] not in ("bytes_type", "model_attributes_type")
    ]
    fault = (found or list(error.errors()))[0]
    if fault["type"] == "json_invalid":
        return f"the body is no JSON: {fault.get('ctx', {}).get('error', fault['msg'])}"
    where = ".".join(str(part) for part in fault["loc"] if part not in ("body", "InferenceRequest"))
    return f"{where or 'the body'}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"

"""What becomes known of a request while it is answered: for metrics, headers and the request log."""

import contextvars
import datetime
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_ID = 128
_CURRENT: contextvars.ContextVar["Account | None"] = contextvars.ContextVar("account", default=None)


@dataclass
class Account:
    """One prediction request."""

    protocol: str  # v1, v2 or grpc
    request_id: str
    version: str  # of the model that answers
    began: float = field(default_factory=time.perf_counter)
    time: float = field(default_factory=time.time)
    rows: int = 0
    scores: Sequence[float | None] = ()
    labels: Sequence[str] = ()
    instances: Any = None  # rows as JSON has them, or a callable that returns them: made only when logged
    predictions: Any = None
    error: str | None = None

    def seconds(self) -> float:
        """Return how long the request takes so far."""
        return time.perf_counter() - self.began

    def record(self, model: str, status: int, sampled: bool) -> dict[str, Any]:
        """Return the line of the request log; the payload only when `sampled`."""
        moment = datetime.datetime.fromtimestamp(self.time, datetime.UTC)
        found: dict[str, Any] = {
            "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "request_id": self.request_id,
            "model": model,
            "version": self.version,
            "protocol": self.protocol,
            "status": status,
            "duration_ms": round(self.seconds() * 1000, 3),
            "rows": self.rows,
            "scores": list(self.scores),
            "labels": list(self.labels),
            "sampled": sampled,
            "instances": None,
            "predictions": None,
            "error": self.error,
        }
        if sampled:
            found["instances"], found["predictions"] = self.instances, self.predictions
        return found


def begin(protocol: str, request_id: str, version: str) -> Account:
    """Open the account of the request that this task answers."""
    account = Account(protocol, valid_id(request_id), version)
    _CURRENT.set(account)
    return account


def current() -> Account | None:
    """Return the account of the request that this task answers."""
    return _CURRENT.get()


def valid_id(text: str) -> str:
    """Return a caller's request id, or a new one where it is absent, too long or not printable ASCII."""
    if text and len(text) <= LONGEST_ID and text.isascii() and text.isprintable():
        return text
    return uuid.uuid4().hex

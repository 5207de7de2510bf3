"""Lines of the request log and of outcomes, as values; what is no record raises ValueError with a reason."""

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from penstock.components.rollout_settings.settings import Segment

# gRPC's own status codes, where a server logs those: the server's faults, and those of the caller.
GRPC_ERRORS = frozenset({2, 4, 8, 12, 13, 14, 15})
GRPC_REFUSALS = frozenset({1, 3, 5, 6, 7, 9, 10, 11, 16})
MISSING = "(missing)"
LARGEST_OUTCOME = 1e100  # beyond, sums of squares overflow
LONGEST_VALUE = 60  # characters of a segment's value


class Request(NamedTuple):
    """One answered request.

    Args:
        time: Seconds since 1970.
        request_id: As the caller knows it; "" when it is not logged.
        version: Who answered.
        model: Of which model.
        error: Whether it was answered with a fault of the server.
        refused: Whether it was refused as the caller's fault.
        duration_ms: How long it took; None when it is not logged.
        scores: Of its rows; NaN for none.
        label: Of its first row, or None.
        row: Its first row, when the payload is logged, else None.
    """

    time: float
    request_id: str
    version: str
    model: str
    error: bool
    refused: bool
    duration_ms: float | None
    scores: list[float]
    label: str | None
    row: Mapping[str, Any] | None


class OutcomeRecord(NamedTuple):
    """What became of a request."""

    time: float
    request_id: str
    value: float


def read_request(record: Mapping[str, Any]) -> Request:
    """Read one record of the request log.

    Raises:
        ValueError: It has no time or version, or something of another type.
    """
    if not isinstance(record, Mapping):
        raise ValueError("not an object")
    status = record.get("status")
    if not _is_number(status) or not float(status).is_integer():
        raise ValueError("without a whole number as status")
    status = int(status)  # a column with gaps has 200.0
    grpc = record.get("protocol") == "grpc" and 0 <= status <= 16
    scores = record.get("scores") or []
    if not isinstance(scores, (list, tuple)):
        raise ValueError("scores are no list")
    duration = record.get("duration_ms")
    labels = record.get("labels") or []
    return Request(
        seconds(record.get("time")),
        str(record.get("request_id") or ""),
        _text(record, "version"),
        str(record.get("model") or ""),
        status in GRPC_ERRORS if grpc else status >= 500,
        status in GRPC_REFUSALS if grpc else 400 <= status < 500,
        float(duration) if _is_number(duration) and 0 <= duration < math.inf else None,
        [float(s) if _is_number(s) else math.nan for s in scores],
        str(labels[0]) if labels else None,
        _first_row(record.get("instances")),
    )


def read_outcome(record: Mapping[str, Any], kind: str) -> OutcomeRecord:
    """Read one outcome.

    Raises:
        ValueError: It lacks something, or is no number (for binary: 0 or 1).
    """
    if not isinstance(record, Mapping):
        raise ValueError("not an object")
    value = record.get("outcome")
    if isinstance(value, bool):
        value = int(value)
    if not _is_number(value) or abs(value) > LARGEST_OUTCOME:
        raise ValueError("without a finite number as outcome")
    if kind == "binary" and value not in (0, 1):
        raise ValueError(f"with the outcome {value!r}, where 0 or 1 is expected")
    return OutcomeRecord(seconds(record.get("time")), _text(record, "request_id"), float(value))


def seconds(time: Any) -> float:
    """Return seconds since 1970 of an ISO 8601 time (without a zone: UTC) or of a timestamp of Parquet.

    Raises:
        ValueError: It is none.
    """
    if isinstance(time, str):
        try:
            time = datetime.datetime.fromisoformat(time)
        except ValueError:
            raise ValueError("without a time that can be read") from None
    if not isinstance(time, datetime.datetime):
        raise ValueError("without a time that can be read")
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()


def key_of(request_id: str) -> int:
    """Return 64 bits that stand for a request id: two of ten million differ but for a chance of 1 in 300,000."""
    return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=8).digest(), "big", signed=True)


def segment_values(row: Mapping[str, Any] | None, segments: Sequence[Segment]) -> tuple[str, ...] | None:
    """Return the value of each segment column in words; None without a row."""
    if row is None:
        return None
    return tuple(_in_words(row.get(s.column), s.edges) for s in segments)


def _in_words(value: Any, edges: tuple[float, ...]) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value == "":
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float)):
        return str(value)[:LONGEST_VALUE]
    if edges:
        at = sum(value >= e for e in edges)
        if at == 0:
            return f"below {edges[0]:g}"
        return f"{edges[-1]:g} or more" if at == len(edges) else f"{edges[at - 1]:g} to {edges[at]:g}"
    if float(value).is_integer() and abs(value) <= 31:
        return f"{value:g}"
    # Without edges: bands of 1, 2, 5 times powers of ten, which need no look at all values first.
    size = abs(value)
    power = 10.0 ** math.floor(math.log10(size))
    low = max(m for m in (1, 2, 5) if m * power <= size * (1 + 1e-12)) * power
    high = next(m * power for m in (1, 2, 5, 10) if m * power > low * (1 + 1e-9))
    return f"{low:g} to {high:g}" if value > 0 else f"{-high:g} to {-low:g}"


def _first_row(instances: Any) -> Mapping[str, Any] | None:
    if isinstance(instances, str):  # as Parquet has them
        try:
            instances = json.loads(instances)
        except ValueError:
            return None
    if isinstance(instances, Sequence) and instances and isinstance(instances[0], Mapping):
        return instances[0]
    return None


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if value is None or value == "":
        raise ValueError(f"without {key}")
    return str(value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)

"""The step record: one JSON object, the last line that a step logs.

On KFP it is what the API still gives of any step, also of a failed one; on Vertex it is in Cloud
Logging; locally the runner reads it.
"""

import datetime
import json
import os
import re
from typing import Any

KIND = "penstock.step/1"
LONGEST_TEXT = 2_000  # characters of one text; the whole record stays one readable log line
PASSWORD_IN_URI = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")


def now() -> str:
    """Return the time in UTC, ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def make_record(step: str, started: str, **fields: Any) -> dict[str, Any]:
    """Return the record of a step that ends now.

    Fields: state (succeeded, failed or blocked), exit_code, parameters, inputs and outputs (URIs by
    name), results (output parameters), metrics, verdict, reasons, error.
    """
    return {
        "record": KIND,
        "step": step,
        "version": {
            "image": os.environ.get("PENSTOCK_IMAGE", ""),
            "code": os.environ.get("PENSTOCK_CODE_VERSION", ""),
        },
        "started": started,
        "ended": now(),
        **_presentable(fields),
    }


def to_line(record: dict[str, Any]) -> str:
    """Return the record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)


def from_line(line: str) -> dict[str, Any] | None:
    """Return the record that a log line holds, or None."""
    if KIND not in line:
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("record") == KIND else None


def _presentable(value: Any) -> Any:
    """Shorten long texts and take passwords out of URIs."""
    if isinstance(value, str):
        value = PASSWORD_IN_URI.sub("***", value)
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, dict):
        return {str(key): _presentable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_presentable(item) for item in value]
    return value

"""What a model must prove before it gets traffic: the section `serving` of app.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from penstock.components.step_io.errors import StepError

POSITIVE = ("start_s", "cpu", "memory_mb", "replayed_rows", "rate", "load_s")


@dataclass(frozen=True)
class Settings:
    """Budgets and objectives of one server.

    Attributes:
        start_s: Seconds from the start of the server to its readiness, at most.
        cpu: Cores that it may use on average under load.
        memory_mb: Resident memory that it may use, in MB (10^6 bytes).
        replayed_rows: Rows of the test data that are sent as requests.
        tolerance: Largest difference between an answer and the offline prediction: absolute for scores
            and probabilities, relative to the larger of 1 and the prediction for regression.
        rate: Requests per second that it must sustain, of one row each.
        load_s: Seconds of the load test.
        p99_ms: 99th percentile of the time to the answer under that load, at most, in milliseconds; 0 measures
            it and judges nothing.
        max_error_rate: Share of the load's requests that may fail.
    """

    start_s: float = 120.0
    cpu: float = 1.0
    memory_mb: float = 2000.0
    replayed_rows: int = 200
    tolerance: float = 1e-5
    rate: float = 50.0
    load_s: float = 10.0
    p99_ms: float = 0.0
    max_error_rate: float = 0.0


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings, with defaults for what is not given.

    Raises:
        StepError: A setting is unknown, no number or out of its range.
    """
    known = {field.name: field for field in fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise StepError(f"serving: {name!r} is no setting; there are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise StepError(f"serving.{name} is {value!r}; it must be a number")
        if value < 0 or (name in POSITIVE and value == 0):
            raise StepError(
                f"serving.{name} is {value}; it must be {'more than 0' if name in POSITIVE else '0 or more'}"
            )
        if known[name].type is int and value != int(value):
            raise StepError(f"serving.{name} is {value}; it must be a whole number")
        values[name] = int(value) if known[name].type is int else float(value)
    return Settings(**values)

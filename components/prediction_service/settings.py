"""The options of the service: command line first, then PENSTOCK_… of the environment, then the defaults.

On Vertex AI the variables of its custom-container contract win over all: AIP_HTTP_PORT, AIP_HEALTH_ROUTE,
AIP_PREDICT_ROUTE and AIP_STORAGE_URI.
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from penstock.components.step_io.errors import StepError

LOG_FORMATS = ("jsonl", "parquet", "stdout", "cloudevents")
VERTEX = {
    "AIP_HTTP_PORT": "http_port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
    "AIP_STORAGE_URI": "model_dir",
}
# PENSTOCK_LOG_FORMAT is the form of a process's own lines, everywhere in Penstock.
OWN_VARIABLES = {"log_format": "PENSTOCK_REQUEST_LOG_FORMAT"}


def _option(default: Any, doc: str, kind: Callable[[str], Any] = str) -> Any:
    return field(default=default, metadata={"doc": doc, "kind": kind})


def _yes(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        raise ValueError(text)
    return text.lower() in ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Settings:
    """How the service serves one model."""

    model_dir: str = _option("", "model folder: a path or a URI (s3://, gs://), or a JSON pointer file")
    model_name: str = _option("model", "name of the model in the paths of requests")
    model_version: str = _option("", "version of the model, as answers and logs tell it")
    host: str = _option("0.0.0.0", "address to listen at")
    http_port: int = _option(8080, "port of REST", int)
    grpc_port: int = _option(8081, "port of gRPC; 0 turns gRPC off", int)
    max_rows: int = _option(10_000, "most rows of one request", int)
    max_explained_rows: int = _option(16, "most rows of one request for explanations", int)
    max_body_bytes: int = _option(16 * 1024 * 1024, "largest body of one request", int)
    max_batch_rows: int = _option(1024, "most waiting rows that are predicted together", int)
    max_waiting: int = _option(1000, "requests that may wait for the model; more are answered 503", int)
    threads: int = _option(0, "threads of TensorFlow; 0 leaves it to TensorFlow", int)
    drain_s: float = _option(0.0, "seconds not ready, but serving, before the service stops", float)
    grace_s: float = _option(30.0, "seconds that requests in flight get to finish at a stop", float)
    model_control: bool = _option(False, "allow to load other models through the repository API", _yes)
    log_uri: str = _option("", "folder, URI or URL for the request log; empty logs nothing")
    log_format: str = _option("jsonl", f"form of the request log: {', '.join(LOG_FORMATS)}")
    log_sample: float = _option(
        1.0, "share of the requests whose instances and predictions are logged", float
    )
    log_rotate_bytes: int = _option(64 * 1024 * 1024, "a log file ends after so many bytes", int)
    log_rotate_s: float = _option(60.0, "a log file ends after so many seconds; stores get it then", float)
    log_queue: int = _option(10_000, "records that wait for the log; more are dropped and counted", int)
    health_route: str = _option("", "a further path for readiness (Vertex AI)")
    predict_route: str = _option("", "a further path for V1 predictions (Vertex AI)")

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings of a command line and an environment.

        Raises:
            StepError: A value is wrong, or no model is named.
        """
        parser = argparse.ArgumentParser(
            prog="prediction_service", description="Serve a model over REST and gRPC.", allow_abbrev=False
        )
        for option in fields(cls):
            shown = "" if option.default in ("", None) else f" (default {option.default})"
            parser.add_argument(f"--{option.name.replace('_', '-')}", help=option.metadata["doc"] + shown)
        given = {name: text for name, text in vars(parser.parse_args(arguments)).items() if text is not None}
        values: dict[str, Any] = {}
        for option in fields(cls):
            variable = OWN_VARIABLES.get(option.name) or f"PENSTOCK_{option.name.upper()}"
            if option.name in given:
                values[option.name] = _value(option, given[option.name], f"--{option.name.replace('_', '-')}")
            elif environment.get(variable):
                values[option.name] = _value(option, environment[variable], variable)
        by_name = {option.name: option for option in fields(cls)}
        for variable, name in VERTEX.items():
            if environment.get(variable):
                values[name] = _value(by_name[name], environment[variable], variable)
        return cls(**values).checked()

    def checked(self) -> "Settings":
        """Return the settings, if they can be used."""
        faults = []
        if not self.model_dir:
            faults.append("no model is named: give --model-dir (or PENSTOCK_MODEL_DIR, AIP_STORAGE_URI)")
        if self.log_format not in LOG_FORMATS:
            faults.append(f"--log-format is {self.log_format!r}, expected one of {', '.join(LOG_FORMATS)}")
        if self.log_format == "cloudevents" and not self.log_uri.startswith(("http://", "https://")):
            faults.append(f"--log-uri is {self.log_uri!r}, CloudEvents need a URL (http://…)")
        if not 0 <= self.log_sample <= 1:
            faults.append(f"--log-sample is {self.log_sample:g}, expected a share from 0 to 1")
        for name in (
            "max_rows",
            "max_explained_rows",
            "max_body_bytes",
            "max_batch_rows",
            "max_waiting",
            "log_queue",
        ):
            if getattr(self, name) < 1:
                faults.append(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected 1 or more")
        for name in ("health_route", "predict_route"):
            if getattr(self, name) and not getattr(self, name).startswith("/"):
                faults.append(f"{name} is {getattr(self, name)!r}, expected a path (/…)")
        if faults:
            raise StepError("; ".join(faults))
        return self


def _value(option: Any, text: str, source: str) -> Any:
    kind = option.metadata["kind"]
    try:
        return kind(text)
    except ValueError:
        words = {int: "a whole number", float: "a number", _yes: "true or false"}
        raise StepError(f"{source} is {text!r}, expected {words[kind]}") from None

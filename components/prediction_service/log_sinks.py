"""The sinks of the request log: JSON Lines or Parquet files, standard output, CloudEvents to a URL.

Files lie at <log-uri>/<model>/<version>/<date>/<host>-<pid>-<n>.jsonl (or .parquet). On a file system a
.jsonl grows line by line; in a store, which cannot append, a file is written whole when it is due, and
Parquet always so.
"""

import io
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote

import orjson

from penstock.components.prediction_service.model_store import local_path
from penstock.components.prediction_service.request_log import Sink
from penstock.components.prediction_service.settings import Settings

PARQUET_ROWS = 20_000  # records of one Parquet file, at most
REQUEST_EVENT = "org.kubeflow.serving.inference.request"  # as KServe's payload logger names them
RESPONSE_EVENT = "org.kubeflow.serving.inference.response"
SEND_S = 5.0


def make_sink(settings: Settings) -> Sink | None:
    """Return the sink that the settings ask for, or None."""
    if settings.log_format == "stdout":
        return Stdout()
    if not settings.log_uri:
        return None
    if settings.log_format == "cloudevents":
        return CloudEvents(settings.log_uri, settings.model_name)
    return Files(settings.log_uri, settings.log_format, settings.log_rotate_bytes, settings.log_rotate_s)


class Stdout:
    """One JSON object per line on standard output."""

    def write(self, records: list[dict[str, Any]]) -> None:
        sys.stdout.buffer.write(_lines(records))
        sys.stdout.buffer.flush()

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class _File:
    """A file that grows: on disk, or in memory until it is due."""

    path: str
    began: float
    size: int = 0
    handle: BinaryIO | None = None
    records: list[dict[str, Any]] = field(default_factory=list)


class Files:
    """Files by model, version and date, which end by size or age."""

    def __init__(self, uri: str, form: str, rotate_bytes: int, rotate_s: float) -> None:
        self.uri, self.form = uri.rstrip("/"), form
        self.rotate_bytes, self.rotate_s = rotate_bytes, rotate_s
        self.root = local_path(self.uri)
        self._open: dict[str, _File] = {}
        # A restarted container has the same host and process id: the time keeps their files apart.
        self._count = int(time.time() * 1000) * 1000

    def write(self, records: list[dict[str, Any]]) -> None:
        by_folder: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            parts = (record["model"], record["version"] or "unversioned", record["time"][:10])
            by_folder.setdefault("/".join(quote(part, safe="") for part in parts), []).append(record)
        for folder, some in by_folder.items():
            file = self._open.get(folder) or self._begin(folder)
            if file.handle is not None:
                lines = _lines(some)
                file.handle.write(lines)
                file.size += len(lines)
            else:
                file.records += some
                file.size += sum(300 + 200 * len(record["instances"] or ()) for record in some)

    def tick(self) -> None:
        now = time.monotonic()
        for folder, file in list(self._open.items()):
            due = file.size >= self.rotate_bytes or now - file.began >= self.rotate_s
            if due or len(file.records) >= PARQUET_ROWS:
                self._end(folder)

    def close(self) -> None:
        for folder in list(self._open):
            self._end(folder)

    def _begin(self, folder: str) -> _File:
        self._count += 1
        name = f"{socket.gethostname()}-{os.getpid()}-{self._count}.{self.form}"
        file = _File(f"{folder}/{name}", time.monotonic())
        if self.root is not None and self.form == "jsonl":
            path = self.root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            file.handle = path.open("ab", buffering=0)
        self._open[folder] = file
        return file

    def _end(self, folder: str) -> None:
        file = self._open.pop(folder)
        if file.handle is not None:
            file.handle.close()
            return
        content = _parquet(file.records) if self.form == "parquet" else _lines(file.records)
        if self.root is not None:
            path = self.root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_bytes(content)
            partial.replace(path)
            return
        import fsspec

        with fsspec.open(f"{self.uri}/{file.path}", "wb") as handle:
            handle.write(content)


class CloudEvents:
    """Two events per sampled request, as KServe's payload logger sends them: the request and the response."""

    def __init__(self, url: str, model: str) -> None:
        import httpx

        self.url = url
        self.attributes = {
            "source": f"penstock/{model}",
            "datacontenttype": "application/json",
            "inferenceservicename": os.environ.get("INFERENCE_SERVICE", model),
            "namespace": os.environ.get("POD_NAMESPACE", "default"),
            "component": "predictor",
            "endpoint": "default",
        }
        self._client = httpx.Client(timeout=SEND_S)

    def write(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            if record["sampled"]:
                self._send(REQUEST_EVENT, record, {"instances": record["instances"]})
                self._send(RESPONSE_EVENT, record, {"predictions": record["predictions"]})

    def tick(self) -> None:
        pass

    def close(self) -> None:
        self._client.close()

    def _send(self, kind: str, record: dict[str, Any], data: dict[str, Any]) -> None:
        from cloudevents.conversion import to_binary
        from cloudevents.http import CloudEvent

        attributes = {
            **self.attributes,
            "type": kind,
            "id": record["request_id"],
            "time": record["time"],
            "modelversion": record["version"],
        }
        headers, body = to_binary(CloudEvent(attributes, data))
        self._client.post(self.url, content=body, headers=headers).raise_for_status()


def _lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(
        orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
        for record in records
    )


def _parquet(records: list[dict[str, Any]]) -> bytes:
    """Return a Parquet file; instances and predictions, which differ by model, are JSON texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ("time", "request_id", "model", "version", "protocol")
    schema = pa.schema(
        [(name, pa.string()) for name in texts]
        + [("status", pa.int64()), ("duration_ms", pa.float64()), ("rows", pa.int64())]
        + [("scores", pa.list_(pa.float64())), ("labels", pa.list_(pa.string())), ("sampled", pa.bool_())]
        + [(name, pa.string()) for name in ("instances", "predictions", "error")]
    )
    rows = [
        {
            **record,
            **{
                name: None if record[name] is None else orjson.dumps(record[name]).decode()
                for name in ("instances", "predictions")
            },
        }
        for record in records
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), content, compression="zstd")
    return content.getvalue()

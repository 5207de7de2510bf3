"""The request log: serving hands records over and forgets them; a thread of its own writes them.

A full queue drops records, a sink that fails loses them; both are counted in /metrics and told once a
minute, and neither slows or ends serving. Every request leaves a light record (time, id, status, duration,
scores); a sample also its instances and predictions.
"""

import contextlib
import logging
import queue
import threading
import time
import zlib
from typing import Any, Protocol

from penstock.components.prediction_service import metrics
from penstock.components.prediction_service.account import Account

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 1.0  # between two looks at whether a file is due
AT_ONCE = 500  # records that go to the sink together
ROWS_WAITING = 200_000  # of payloads, over all records in the queue
PAYLOAD_ROWS = 1000  # of one request
SILENCE_S = 60.0  # between two lines about the same trouble


class Sink(Protocol):
    """Where records go. Called by one thread only; what it raises costs the records and nothing else."""

    def write(self, records: list[dict[str, Any]]) -> None:
        """Write records."""

    def tick(self) -> None:
        """End files that are due."""

    def close(self) -> None:
        """Write what is left."""


class RequestLog:
    """A bounded queue and the thread that empties it."""

    def __init__(self, sink: Sink, sample: float, size: int) -> None:
        self.sink, self.sample = sink, sample
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(size)
        self._rows = 0
        self._told = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def add(self, account: Account, model: str, status: int) -> None:
        """Hand a finished request over; never waits, never raises."""
        try:
            sampled = is_sampled(account.request_id, self.sample) and account.instances is not None
            rows = min(account.rows, PAYLOAD_ROWS) if sampled else 0
            if rows and self._rows + rows > ROWS_WAITING:
                sampled, rows = False, 0
                metrics.LOG_DROPPED.labels("payload").inc()
            record = account.record(model, status, sampled)
            self._rows += rows
            record["_rows"] = rows
            self._queue.put_nowait(record)
        except queue.Full:
            self._rows -= rows
            metrics.LOG_DROPPED.labels("queue").inc()
            self._tell("the request log is full: records are dropped; its sink is too slow")
        except Exception as error:  # noqa: BLE001 - whatever it is, the request has its answer
            metrics.LOG_DROPPED.labels("record").inc()
            self._tell(f"a record of the request log could not be made: {type(error).__name__}: {error}")

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, but leave it after `timeout_s`: a dead disk does not hold a shutdown."""
        self._closing = True
        with contextlib.suppress(queue.Full):  # the thread looks at _closing as well
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning(
                "the request log did not end within %g s: %d records are lost", timeout_s, self._queue.qsize()
            )

    def _run(self) -> None:
        while True:
            records, ended = self._next()
            if records:
                self._guarded(self.sink.write, len(records), [_written_out(record) for record in records])
            self._guarded(self.sink.tick, 0)
            if ended or (self._closing and self._queue.empty()):
                self._guarded(self.sink.close, 0)
                return

    def _next(self) -> tuple[list[dict[str, Any]], bool]:
        """Return what waits, and whether that was the last."""
        records: list[dict[str, Any]] = []
        try:
            found = self._queue.get(timeout=LONGEST_WAIT_S)
            while found is not None:
                self._rows -= found.pop("_rows")
                records.append(found)
                if len(records) == AT_ONCE:
                    return records, False
                found = self._queue.get_nowait()
        except queue.Empty:
            return records, False
        return records, True

    def _guarded(self, act: Any, records: int, *arguments: Any) -> None:
        try:
            act(*arguments)
            if records:
                metrics.LOG_WRITTEN.inc(records)
        except Exception as error:  # noqa: BLE001 - every sink has errors of its own
            metrics.LOG_DROPPED.labels("sink").inc(records)
            self._tell(f"the request log cannot be written: {type(error).__name__}: {error}")

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if now - self._told >= SILENCE_S or not self._told:
            self._told = now
            log.warning("%s (serving goes on; told once a minute)", text)


def is_sampled(request_id: str, share: float) -> bool:
    """Tell whether a request belongs to the sample: by its id, so that all versions choose the same."""
    return zlib.crc32(request_id.encode()) < share * 2**32


def _written_out(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record whose payload is made, and cut to its first rows."""
    for key in ("instances", "predictions"):
        value = record[key]() if callable(record[key]) else record[key]
        record[key] = value[:PAYLOAD_ROWS] if isinstance(value, list) else value
    return record

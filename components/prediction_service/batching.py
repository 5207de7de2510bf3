"""Adaptive micro-batching: what waits while the model is busy is predicted together.

One thread per model. Nothing is ever delayed to fill a batch: a request that finds the model idle is
predicted at once, alone. The busier the model, the larger its batches, up to a limit.
"""

import asyncio
import logging
import queue
import threading
from dataclasses import dataclass

import numpy as np

from penstock.components.prediction_service import metrics
from penstock.components.serving_model.predictor import Packed, Predictor

log = logging.getLogger(__name__)

Outputs = dict[str, np.ndarray]


class Overloaded(Exception):
    """Too many requests wait for the model."""


@dataclass
class _Waiting:
    packed: Packed
    rows: int
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Outputs]"


class Batcher:
    """Predicts for many requests with one model."""

    def __init__(self, predictor: Predictor, max_rows: int, max_waiting: int) -> None:
        self.predictor, self.max_rows = predictor, max_rows
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(max_waiting)
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    async def predict(self, packed: Packed) -> Outputs:
        """Return the outputs for the rows of one request.

        Raises:
            Overloaded: The queue is full.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(packed, len(packed[0]), loop, loop.create_future())
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise Overloaded(f"{self._queue.maxsize} requests wait for the model already") from None
        return await waiting.future

    def close(self) -> None:
        """End the thread once all that waits is predicted; returns at once."""
        threading.Thread(target=self._queue.put, args=(None,), daemon=True).start()

    def _run(self) -> None:
        left: _Waiting | None = None
        while True:
            first = left or self._queue.get()
            left = None
            if first is None:
                return
            batch, rows, ended = [first], first.rows, False
            while rows < self.max_rows:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                if rows + more.rows > self.max_rows:
                    left = more
                    break
                batch.append(more)
                rows += more.rows
            self._predict(batch, rows)
            if ended:
                return

    def _predict(self, batch: list[_Waiting], rows: int) -> None:
        """Predict a batch; where that fails, each request alone, so that only the guilty one fails."""
        metrics.BATCH_ROWS.observe(rows)
        try:
            outputs = self.predictor.predict_packed(*_joined([waiting.packed for waiting in batch]))
        except Exception as error:
            if len(batch) > 1:
                for waiting in batch:
                    self._predict([waiting], waiting.rows)
                return
            log.exception("the model failed for a request of %d rows", rows)
            _tell(batch[0], None, error)
            return
        at = 0
        for waiting in batch:
            part = {name: values[at : at + waiting.rows] for name, values in outputs.items()}
            at += waiting.rows
            _tell(waiting, part, None)


def _joined(parts: list[Packed]) -> Packed:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([numbers for numbers, _ in parts]), np.concatenate([texts for _, texts in parts])


def _tell(waiting: _Waiting, outputs: Outputs | None, error: Exception | None) -> None:
    def settle() -> None:
        if waiting.future.done():  # its client went away
            return
        if error is not None:
            waiting.future.set_exception(error)
        else:
            waiting.future.set_result(outputs or {})

    try:
        waiting.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        log.warning("the event loop is closed: the answer to a request of %d rows is lost", waiting.rows)

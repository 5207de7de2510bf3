"""Replays trips as requests at a fixed rate, and tells later how each prediction turned out.

    with Replay(trips, "http://127.0.0.1:8080", "taxi", rate=50, outcomes=folder) as replay:
        ...
    replay.counts   # {("3", 200): 1204, ...}: by version and status; status 0: the connection broke

The outcome of a request is 1 where the predicted label was right and 0 where it was wrong: what a business
knows once the trip is over. It is written as analyze_rollout reads it, joined by the request's id.
"""

import csv
import gzip
import http.client
import json
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.components.serving_model.folder import Input

ANSWER_S = 30.0
CLIENTS = 4


@dataclass(frozen=True)
class Trip:
    """A request and what became of it."""

    row: Mapping[str, Any]
    label: str


def read_trips(
    path: Path, inputs: Sequence[Input], keep: Callable[[Mapping[str, str]], bool]
) -> Iterator[Trip]:
    """Yield the trips of a CSV file (.gz too) as requests: what the model takes, missing values as null.

    Args:
        path: With the columns of the sample app.
        inputs: Of the model.
        keep: Which rows; gets the texts by column.
    """
    open_text = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt", encoding="utf-8") as lines:
        for texts in csv.DictReader(lines):
            if keep(texts):
                big = float(texts["tips"]) > 0.2 * float(texts["fare"])
                yield Trip({one.name: value_of(texts[one.name], one) for one in inputs}, str(big).lower())


def value_of(text: str, of: Input) -> Any:
    """Return a cell as JSON has it; an empty one is null."""
    if text == "":
        return None
    if of.dtype == "string":
        return text
    number = float(text)
    return int(number) if of.type == "int" and math.isfinite(number) else number


class Replay:
    """Clients that ask on time, whether answers come or not, until the block ends or the trips do."""

    def __init__(self, trips: Sequence[Trip], url: str, model: str, rate: float, outcomes: Path) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self._trips, self._rate = trips, rate
        self._host, self._path = urlsplit(url).netloc, f"/v1/models/{model}:predict"
        outcomes.mkdir(parents=True, exist_ok=True)
        self._name = secrets.token_hex(4)
        self._outcomes = outcomes / f"{self._name}.jsonl"
        self._next, self._begun = 0, 0.0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self._next

    def __enter__(self) -> "Replay":
        self._begun = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=ANSWER_S)
        while (number := self._take()) is not None:
            if self._stop.wait(max(0.0, self._begun + number / self._rate - time.monotonic())):
                return
            trip = self._trips[number % len(self._trips)]
            request_id = f"{self._name}-{number}"
            headers = {"content-type": "application/json", "x-request-id": request_id}
            try:
                connection.request("POST", self._path, json.dumps({"instances": [trip.row]}), headers)
                response = connection.getresponse()
                text, version = response.read(), response.getheader("x-model-version", "")
            except (OSError, http.client.HTTPException):
                connection.close()
                self._count("", 0)
                continue
            self._count(version, response.status)
            if response.status == 200:
                self._tell(request_id, json.loads(text)["predictions"][0]["label"] == trip.label)
        connection.close()

    def _take(self) -> int | None:
        with self._lock:
            if self._stop.is_set():
                return None
            self._next += 1
            return self._next - 1

    def _count(self, version: str, status: int) -> None:
        with self._lock:
            self.counts[version, status] += 1

    def _tell(self, request_id: str, right: bool) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = json.dumps({"request_id": request_id, "outcome": int(right), "time": now})
        with self._lock, self._outcomes.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

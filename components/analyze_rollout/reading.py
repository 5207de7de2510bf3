"""Takes what is new in the logs into the store."""

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from penstock.components.analyze_rollout.log_files import find_files, grows, read_lines
from penstock.components.analyze_rollout.records import (
    key_of,
    read_outcome,
    read_request,
    segment_values,
)
from penstock.components.analyze_rollout.setup import CLOCKS_APART_S
from penstock.components.analyze_rollout.store import Store
from penstock.components.rollout_settings.settings import Rollout
from penstock.components.rollout_statistics.histograms import duration_bin, score_bin
from penstock.components.source_files.listing import SourceFile

log = logging.getLogger(__name__)

AT_ONCE = 20_000  # records between two writes: bounds the memory
MOST_VERSIONS_NOTED = 20

MALFORMED, MALFORMED_OUTCOMES = "malformed lines", "malformed outcomes"
OTHER_VERSION, OTHER_MODEL = "requests of version ", "requests of other models"
BEFORE, AFTER = "requests before the rollout", "records from the future"
REQUESTS, OUTCOMES = "requests", "outcomes"
NEW_FILES = "files with something new"


@dataclass(frozen=True)
class Interest:
    """Which requests count.

    Args:
        versions: Of the rollout.
        model: Name of the model; "" for any.
        started: When the rollout began, seconds since 1970; 0 for any time.
        now: Time of the look.
        rollout: The settings.
        join: Whether outcomes will be joined.
    """

    versions: Collection[str]
    model: str
    started: float
    now: float
    rollout: Rollout
    join: bool


def read_all(store: Store, logs: str, outcomes: str, interest: Interest) -> None:
    """Read what is new of requests and outcomes; from the start when a file that was read is another now.

    Raises:
        StepError: A file cannot be read.
    """
    sources = [(f, False) for uri in _uris(logs) for f in find_files(uri, interest.started)]
    sources += [(f, True) for uri in _uris(outcomes) for f in find_files(uri, 0.0)]
    for file, _ in sources:
        version, offset = store.cursor(file.name)
        replaced = file.size < offset if grows(file) else bool(version) and version != file.version
        if replaced:
            store.begin_anew(f"{file.name} was read before and has been written anew")
            break
    for file, is_outcomes in sources:
        _read_file(store, file, is_outcomes, interest)
    store.flush()


def _uris(text: str) -> list[str]:
    return [uri.strip() for uri in text.split(",") if uri.strip()]


def _read_file(store: Store, file: SourceFile, is_outcomes: bool, interest: Interest) -> None:
    version, offset = store.cursor(file.name)
    if (offset >= file.size and version) if grows(file) else version == file.version:
        return
    take = _take_outcome if is_outcomes else _take_request
    n, end = 0, offset
    for line in read_lines(file, offset):
        take(store, line.value, interest)
        n, end = n + 1, line.end
        if n % AT_ONCE == 0:
            store.flush()
    if n:
        store.notes[NEW_FILES] += 1
        store.move_cursor(file.name, file.version, end)
        store.flush()
        log.info("%s: %d new records", file.name, n)


def _take_request(store: Store, value: Any, interest: Interest) -> None:
    try:
        request = read_request(value)
    except ValueError:
        store.notes[MALFORMED] += 1
        return
    if interest.model and request.model and request.model != interest.model:
        store.notes[OTHER_MODEL] += 1
    elif request.time < interest.started:
        store.notes[BEFORE] += 1
    elif request.time > interest.now + CLOCKS_APART_S:
        store.notes[AFTER] += 1
    elif request.version not in interest.versions:
        known = sum(note.startswith(OTHER_VERSION) for note in store.notes)
        store.notes[OTHER_VERSION + (request.version[:60] if known < MOST_VERSIONS_NOTED else "others")] += 1
    else:
        store.notes[REQUESTS] += 1
        _count(store, request, interest)


def _count(store: Store, request: Any, interest: Interest) -> None:
    period = int(request.time // interest.rollout.period_s)
    at = (request.version, period)
    counts = store.counts
    counts[(*at, "requests")] += 1
    if request.error:
        counts[(*at, "errors")] += 1
    elif request.refused:
        counts[(*at, "refused")] += 1
    elif request.duration_ms is not None:
        store.bins[(*at, "latency", duration_bin(request.duration_ms))] += 1
    if request.scores:
        counts[(*at, "rows")] += len(request.scores)
        for score in request.scores:
            if math.isfinite(score):
                store.bins[(*at, "score", score_bin(score))] += 1
            else:
                counts[(*at, "nans")] += 1
    if not request.request_id:
        return
    if interest.join:
        values = segment_values(request.row, interest.rollout.segments) if interest.rollout.segments else None
        segment = store.segment(values) if values is not None else None
        store.requests.append((key_of(request.request_id), request.version, request.time, segment))
    if interest.rollout.strategy == "shadow" and request.scores:
        score = request.scores[0] if math.isfinite(request.scores[0]) else None
        store.answers.append((key_of(request.request_id), request.version, score, request.label))


def _take_outcome(store: Store, value: Any, interest: Interest) -> None:
    try:
        outcome = read_outcome(value, interest.rollout.outcome.kind)
    except ValueError:
        store.notes[MALFORMED_OUTCOMES] += 1
        return
    if outcome.time > interest.now + CLOCKS_APART_S:
        store.notes[AFTER] += 1
        return
    store.notes[OUTCOMES] += 1
    store.outcomes.append((key_of(outcome.request_id), outcome.value, outcome.time))

"""One version of the model in memory: read, warm, with its own thread that predicts."""

import asyncio
import contextlib
import functools
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.components.explanations.explainer import BACKGROUND_FILE, Explainer, read_background
from penstock.components.prediction_service.batching import Batcher
from penstock.components.prediction_service.model_store import Source, fetch
from penstock.components.prediction_service.settings import Settings
from penstock.components.serving_model.answers import answers
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from penstock.components.serving_model.rows import columns_of
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

WARM_CALLS = 20  # the first calls of a graph are slow: memory is planned, threads begin
WARM_ROWS = (1, 8, 64)
FAR = 1e-3  # an example's score further than this from the stored one is told


class Loaded:
    """A version that answers requests until it is closed."""

    def __init__(self, folder: ModelFolder, predictor: Predictor, version: str, settings: Settings) -> None:
        self.folder, self.predictor, self.version = folder, predictor, version
        self.batcher = Batcher(predictor, settings.max_batch_rows, settings.max_waiting)
        self.copy: Path | None = None  # of a model that came from a store
        self._users = 0
        self._retired = False
        self._explaining = asyncio.Lock()

    @classmethod
    def load(cls, source: Source, settings: Settings) -> "Loaded":
        """Fetch, read and warm a model; takes seconds.

        Raises:
            StepError: It cannot be fetched, loaded, or made to answer its examples.
        """
        began = time.monotonic()
        path, is_copy = fetch(source.uri)
        try:
            folder = ModelFolder.read(path)
            predictor = Predictor(folder, settings.threads or None)
            make_warm(predictor)
        except BaseException:
            if is_copy:
                shutil.rmtree(path, ignore_errors=True)
            raise
        loaded = cls(folder, predictor, source.version, settings)
        loaded.copy = path if is_copy else None
        log.info(
            "version %r from %s is loaded and warm after %.1f s",
            source.version,
            source.uri,
            time.monotonic() - began,
        )
        return loaded

    async def explain(self, columns: Mapping[str, np.ndarray], target: str) -> list[dict[str, Any]]:
        """Return an explanation of each row, made beside the event loop, one request after the other.

        Raises:
            ValueError: The model has no class `target`.
            NotImplementedError: The model folder holds no rows to compare with.
        """
        async with self._explaining:  # an explanation costs hundreds of predictions: those go first
            return await asyncio.to_thread(self._explain, columns, target)

    def _explain(self, columns: Mapping[str, np.ndarray], target: str) -> list[dict[str, Any]]:
        try:
            explainer = self._explainer
        except StepError as error:
            raise NotImplementedError(f"this model cannot be explained: {error}") from error
        return explainer.explain(columns, target)

    @functools.cached_property
    def _explainer(self) -> Explainer:
        """Compares with the rows that explain_model chose, where they lie in the model folder, else its examples."""
        chosen = self.folder.path / BACKGROUND_FILE
        return Explainer(self.predictor, read_background(self.folder, chosen if chosen.is_file() else None))

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep this version alive while a request is answered by it. For the event loop's thread only."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._retired and not self._users:
                self._end()

    def retire(self) -> None:
        """End once the requests that this version answers have their answers."""
        self._retired = True
        if not self._users:
            self._end()

    def _end(self) -> None:
        self.batcher.close()
        if self.copy is not None:
            shutil.rmtree(self.copy, ignore_errors=True)


def make_warm(predictor: Predictor) -> None:
    """Predict the model's examples (rows of missing values for a model without any) at several sizes.

    Raises:
        StepError: The model cannot predict them.
    """
    folder = predictor.folder
    try:
        if folder.examples:
            columns = columns_of(folder.examples, folder.inputs)
            _compare(folder, predictor, columns)
        else:
            columns = {
                found.name: np.full(
                    1, "" if found.dtype == "string" else np.nan, object if found.dtype == "string" else float
                )
                for found in folder.inputs
            }
        for rows in WARM_ROWS:
            some = {name: np.resize(column, rows) for name, column in columns.items()}
            for _ in range(WARM_CALLS):
                predictor.predict(some)
    except Exception as error:
        raise StepError(
            f"the model in {folder.path} cannot predict its own examples: {type(error).__name__}: {error}"
        ) from error


def _compare(folder: ModelFolder, predictor: Predictor, columns: dict[str, np.ndarray]) -> None:
    """Tell when the examples are answered otherwise here than where the model was exported."""
    found = answers(folder, predictor.predict(columns))
    name = {"binary": "score", "regression": "prediction"}.get(folder.task)
    if name is None:
        return
    for row, (now, then) in enumerate(zip(found, folder.example_answers, strict=False)):
        here, there = now[name], then.get(name)
        if here is not None and there is not None and abs(here - there) > FAR * max(1.0, abs(there)):
            log.warning("example %d has the %s %g, at the export it was %g", row, name, here, there)
            return

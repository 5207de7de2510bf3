"""The model as KServe's server sees it: requests in, answers out, V1 and V2 alike."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from kserve import InferRequest, InferResponse, Model

from penstock.components.prediction_service import metrics
from penstock.components.prediction_service.account import Account, current
from penstock.components.prediction_service.faults import BadRequest
from penstock.components.prediction_service.loaded import Loaded
from penstock.components.prediction_service.model_store import Source, resolve
from penstock.components.prediction_service.settings import Settings
from penstock.components.prediction_service.tensors import (
    check_rows,
    columns_of_tensors,
    input_types,
    output_types,
    respond,
    rows_of_tensors,
    tensor_values,
)
from penstock.components.serving_model.answers import answers, scores_of
from penstock.components.serving_model.rows import BadRow, columns_of, shown

log = logging.getLogger(__name__)

MANY_ROWS = 200  # checked in a thread: other requests are answered meanwhile
SCORES_LOGGED = 100

Rows = Sequence[Mapping[str, Any]]
Columns = dict[str, np.ndarray]
# The seam for online features. Called with the rows as they came, before they are checked; returns them with
# the features that the app declares as online filled in by entity key (and the key taken out where it is no
# input of the model). What it raises as BadRow is a 400, anything else a 500. It must not block.
Completion = Callable[[Rows], Awaitable[Rows]]


class ServedModel(Model):
    """A model of which one version answers; another can take its place between two requests."""

    def __init__(self, settings: Settings, complete: Completion | None = None) -> None:
        super().__init__(settings.model_name)
        self.settings, self.complete = settings, complete
        self.loaded: Loaded | None = None
        self._changing = asyncio.Lock()

    def load(self) -> bool:
        """Load what --model-dir names; for the start, before requests come.

        Raises:
            StepError: It cannot be loaded.
        """
        self._take(Loaded.load(resolve(self.settings.model_dir, self.settings.model_version), self.settings))
        self.ready = True
        return True

    async def reload(self, source: Source | None = None) -> str:
        """Load another version (None: what --model-dir names now) and let it answer from then on.

        Requests that wait for the old version are still answered by it; where the new one cannot be
        loaded the old one stays. Returns the version.

        Raises:
            StepError: It cannot be loaded.
        """
        async with self._changing:
            wanted = source or resolve(self.settings.model_dir, self.settings.model_version)
            loaded = await asyncio.to_thread(Loaded.load, wanted, self.settings)
            self._take(loaded)
            return loaded.version

    def _take(self, loaded: Loaded) -> None:
        old, self.loaded = self.loaded, loaded
        if old is not None:
            metrics.MODEL.remove(self.name, old.version)
            old.retire()
        metrics.MODEL.labels(self.name, loaded.version).set(1)

    @property
    def version(self) -> str:
        """The version that answers now."""
        return self.loaded.version if self.loaded else ""

    async def healthy(self) -> bool:
        """Tell whether a version is loaded and warm."""
        return self.loaded is not None and self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs for the model's metadata (V2)."""
        return input_types(self._present().folder)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs for the model's metadata (V2)."""
        return output_types(self._present().folder)

    def validate(self, payload: Any) -> Any:
        """Leave checking to `predict`, which names the field and the row."""
        return payload

    async def predict(
        self,
        payload: Any,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any] | InferResponse:
        """Answer a V1 request (a dict) or a V2 one.

        Raises:
            BadRequest: It cannot be answered.
            Overloaded: Too many requests wait.
        """
        loaded, account = self._present(), current() or Account("v1", "", "")
        account.version = loaded.version
        with loaded.in_use():
            try:
                if isinstance(payload, InferRequest):
                    return await self._answer_tensors(payload, loaded, account)
                return await self._answer_rows(payload, loaded, account)
            except BadRow as fault:
                raise BadRequest.of(fault) from None

    async def explain(self, payload: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Answer a V1 request with what moved the output of each row, and by how much (Shapley values).

        Explained is what `predict` answers; `"class"` beside the instances asks for another class.

        Raises:
            BadRequest: It cannot be answered.
            NotImplementedError: The model folder holds no rows to compare with.
        """
        loaded, account = self._present(), current() or Account("v1", "", "")
        account.version = loaded.version
        with loaded.in_use():
            try:
                body = decoded(payload)
                rows = self._instances(body)
                account.rows, account.instances = len(rows), rows
                check_rows(len(rows), self.settings.max_explained_rows)
                columns = await self._columns(rows, loaded)
                found = await loaded.explain(columns, str(body.get("class", ""))) if rows else []
            except BadRow as fault:
                raise BadRequest.of(fault) from None
            except ValueError as fault:  # no such class
                raise BadRequest(str(fault)) from None
        return {"explanations": found, "model_name": self.name, "model_version": loaded.version}

    async def _answer_rows(self, payload: Any, loaded: Loaded, account: Account) -> dict[str, Any]:
        rows = self._instances(payload)
        account.rows, account.instances = len(rows), rows
        columns = await self._columns(rows, loaded)
        outputs = await self._outputs(columns, loaded, account)
        found = answers(loaded.folder, outputs)
        account.predictions = found
        return {"predictions": found, "model_name": self.name, "model_version": loaded.version}

    async def _answer_tensors(self, request: InferRequest, loaded: Loaded, account: Account) -> InferResponse:
        inputs, most = loaded.folder.inputs, self.settings.max_rows
        if self.complete is not None:
            count = rows_of_tensors(request.inputs, most)
            values = {tensor.name: tensor_values(tensor, count).tolist() for tensor in request.inputs}
            columns = await self._columns(_as_rows(values, count), loaded)
        else:
            columns = columns_of_tensors(request.inputs, inputs, most)
            count = len(next(iter(columns.values())))
        account.rows, account.instances = count, lambda: _json_rows(columns, count)
        outputs = await self._outputs(columns, loaded, account)
        account.predictions = lambda: answers(loaded.folder, outputs)
        return respond(loaded.folder, outputs, request, self.name, loaded.version, account.request_id)

    def _instances(self, payload: Any) -> Rows:
        """Return the rows of a V1 request."""
        payload = decoded(payload)
        if not isinstance(payload, dict) or "instances" not in payload:
            raise BadRequest(
                'the body has no "instances": expected {"instances": [{"feature": value, …}, …]}'
            )
        rows = payload["instances"]
        if not isinstance(rows, list):
            raise BadRequest(f'"instances" is {shown(rows)}, expected a list of objects of features by name')
        check_rows(len(rows), self.settings.max_rows)
        return rows

    async def _columns(self, rows: Rows, loaded: Loaded) -> Columns:
        if self.complete is not None:
            rows = await self.complete(rows)
        if len(rows) > MANY_ROWS:
            return await asyncio.to_thread(columns_of, rows, loaded.folder.inputs)
        return columns_of(rows, loaded.folder.inputs)

    async def _outputs(self, columns: Columns, loaded: Loaded, account: Account) -> Columns:
        outputs = await loaded.batcher.predict(loaded.predictor.pack(columns))
        account.scores = scores_of(loaded.folder, outputs, SCORES_LOGGED)
        if "label" in outputs:
            account.labels = outputs["label"][:SCORES_LOGGED].tolist()
        metrics.ROWS_PREDICTED.labels(self.name, loaded.version).inc(account.rows)
        return outputs

    def _present(self) -> Loaded:
        assert self.loaded is not None, "KServe asks a model only when it is ready"
        return self.loaded


def decoded(payload: Any) -> Any:
    """Return a body that KServe has not decoded, for its content type, as JSON.

    Raises:
        BadRequest: It is none.
    """
    if not isinstance(payload, bytes | str):
        return payload
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def _as_rows(values: Mapping[str, list[Any]], rows: int) -> list[dict[str, Any]]:
    """Return columns of plain values as rows; bytes are texts."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return None if isinstance(value, float) and np.isnan(value) else value

    return [{name: plain(column[row]) for name, column in values.items()} for row in range(rows)]


def _json_rows(columns: Columns, rows: int) -> list[dict[str, Any]]:
    """Return columns as the rows of a V1 request: null for what is missing."""
    found = _as_rows({name: column.tolist() for name, column in columns.items()}, rows)
    return [{name: None if value == "" else value for name, value in row.items()} for row in found]

"""Predicts a dataset shard by shard: every row once, in order, in bounded memory.

Each shard of the dataset becomes one shard of the same name, finished as a whole: after a kill, what is finished is
taken over and the rest predicted. At the end rows are counted in the files that were really written.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.predict_batch.columns import Reader
from penstock.components.predict_batch.progress import Progress, batch_key, file_hash
from penstock.components.predict_batch.table import choose_keys, make_table, schema_of
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from penstock.components.source_files.shards import shard_paths
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
ROWS_AT_ONCE = 16_384
VALUES_AT_ONCE = 2_000_000  # a batch of a wide dataset has fewer rows
BLOCK_ROWS = 65_536  # of a row group
TELL_S = 10.0  # seconds between two lines of the log


@dataclass(frozen=True)
class Batch:
    """What is to be predicted, and how.

    Attributes:
        shards: Of the dataset, in their order, with the number of rows of each.
        types: The dataset's columns.
        model: The model.
        keys: Columns beside the predictions; [] is the row's number.
        schema: Columns of a shard of predictions.
    """

    shards: Sequence[tuple[Path, int]]
    types: Mapping[str, pa.DataType]
    model: ModelFolder
    keys: list[str]
    schema: pa.Schema

    @classmethod
    def read(cls, dataset: Path, model: ModelFolder, key: Sequence[str]) -> "Batch":
        """Look at a dataset, of which only the shards' footers are read.

        Raises:
            StepError: It has no shards, they differ in their columns, or a key is wrong.
        """
        paths = shard_paths(dataset)
        first = pq.read_schema(paths[0])
        for path in paths[1:]:
            if not pq.read_schema(path).equals(first):
                raise StepError(f"{path.name} has other columns than {paths[0].name}: extract the data again")
        types = dict(zip(first.names, first.types, strict=True))
        keys = choose_keys(key, types, model)
        shards = [(path, pq.read_metadata(path).num_rows) for path in paths]
        return cls(shards, types, model, keys, schema_of(keys, types, model))

    @property
    def rows(self) -> int:
        """Rows of the dataset."""
        return sum(rows for _, rows in self.shards)


@dataclass
class Scored:
    """What was written.

    Attributes:
        rows: Rows.
        unscored: Rows without a prediction by reason, the most frequent first.
        missing: Rows in which an input is missing, by input.
        shards: Entries of the manifest.
        resumed: Shards that an earlier attempt had finished.
    """

    rows: int = 0
    unscored: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0

    @property
    def without(self) -> int:
        """Rows without a prediction."""
        return sum(self.unscored.values())

    def add(self, entry: dict[str, Any]) -> None:
        """Add a finished shard."""
        self.shards.append(entry)
        self.rows += entry["rows"]
        for name in ("unscored", "missing"):
            counts: dict[str, int] = getattr(self, name)
            for key, count in entry[name].items():
                counts[key] = counts.get(key, 0) + count
        self.unscored = dict(sorted(self.unscored.items(), key=lambda pair: (-pair[1], pair[0])))


def predict_shards(batch: Batch, folder: Path, resume_uri: str) -> Scored:
    """Write a shard of predictions for each shard of a dataset, and the manifest's figures.

    Args:
        batch: What is to be predicted.
        folder: Where the shards go; it is made.
        resume_uri: Where finished shards are kept until the end; empty keeps none.

    Raises:
        StepError: The model cannot be loaded, or fails on rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"keys": batch.keys, "columns": [f"{f.name}:{f.type}" for f in batch.schema]}
    identity = [(path.name, rows, path.stat().st_size) for path, rows in batch.shards]
    key = batch_key(batch.model.path, identity, settings) if resume_uri else ""
    scorer, scored = _Scorer(batch), Scored()
    with Progress(resume_uri, key) as progress:
        began = told = time.monotonic()
        first_row = 0
        for path, rows in batch.shards:
            name, target = path.name, folder / path.name
            digest = file_hash(path)
            entry = progress.take(name, target, digest)
            if entry is None:
                entry = scorer.shard(path, first_row, target)
                entry |= {"file": name, "of_sha256": digest, "sha256": file_hash(target)}
                entry["bytes"] = target.stat().st_size
                progress.keep(name, target, entry)
            else:
                scored.resumed += 1
            scored.add(entry)
            first_row += rows
            if (now := time.monotonic()) - told >= TELL_S:
                told = now
                log.info("%d of %d rows predicted", scored.rows, batch.rows)
        check_rows(batch, folder, scored)
        seconds = time.monotonic() - began
    if scored.resumed:
        log.info("%d of %d shards were finished by an earlier attempt", scored.resumed, len(batch.shards))
    log.info("predicted %d rows in %.1f s, %d without a prediction", scored.rows, seconds, scored.without)
    return scored


def check_rows(batch: Batch, folder: Path, scored: Scored) -> None:
    """Make sure that each row of the dataset stands in the predictions once, by what the files hold.

    Raises:
        RuntimeError: A shard is absent, too many, or has another number of rows: a bug, or a broken disk.
    """
    found = {path.name: pq.read_metadata(path).num_rows for path in folder.glob("*.parquet")}
    expected = {path.name: rows for path, rows in batch.shards}
    told = {entry["file"]: entry["rows"] for entry in scored.shards}
    if not found == expected == told:
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise RuntimeError(f"the predictions do not hold each row once: {wrong[:5] or told}")


def write_manifest(path: Path, batch: Batch, scored: Scored, model_name: str, model_version: str) -> None:
    """Write what the folder of predictions holds: who reads it can tell that it is whole."""
    content = {
        "format": 1,
        "rows": scored.rows,
        "unscored": scored.without,
        "keys": batch.keys,
        "columns": [{"name": f.name, "type": str(f.type)} for f in batch.schema],
        "model": {
            "name": model_name,
            "version": model_version,
            "task": batch.model.task,
            "label": batch.model.label,
            "classes": list(batch.model.classes),
            "positive": batch.model.positive,
        },
        "shards": [
            {name: entry[name] for name in ("file", "rows", "bytes", "sha256")} for entry in scored.shards
        ],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class _Scorer:
    """Predicts shards with one model, which is loaded when the first one needs it."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.reader = batch, Reader(batch.model.inputs, batch.types)
        width = max(len(batch.model.inputs) + len(batch.schema), 1)
        self.rows_at_once = max(256, min(ROWS_AT_ONCE, VALUES_AT_ONCE // width))
        self.predictor: Predictor | None = None

    def shard(self, path: Path, first_row: int, target: Path) -> dict[str, Any]:
        """Predict one shard and return its counts."""
        partial = target.with_name(f".{target.name}.partial")
        rows = 0
        counts = np.zeros(len(self.reader.reasons), np.int64)
        missing: dict[str, int] = {}
        waiting: list[pa.Table] = []
        with pq.ParquetWriter(partial, self.batch.schema, compression="zstd", version="2.6") as writer:
            for batch in self._batches(path):
                table, codes = self._predict(
                    batch, first_row + rows, missing, f"{path.name} from row {rows} on"
                )
                counts += np.bincount(codes, minlength=len(counts))
                waiting.append(table)
                rows += table.num_rows
                if sum(one.num_rows for one in waiting) >= BLOCK_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        partial.replace(target)
        unscored = {
            reason: int(count)
            for reason, count in zip(self.reader.reasons, counts, strict=True)
            if reason and count
        }
        return {"rows": rows, "unscored": unscored, "missing": missing}

    def _batches(self, path: Path) -> Iterator[pa.RecordBatch]:
        wanted = list(dict.fromkeys([*self.reader.names, *self.batch.keys]))
        if not wanted:  # none of the inputs is there, and no key: rows alone
            wanted = list(self.batch.types)[:1]
        reader = pq.ParquetFile(path)
        try:
            yield from reader.iter_batches(self.rows_at_once, columns=wanted)
        finally:
            reader.close()

    def _predict(
        self, batch: pa.RecordBatch, first_row: int, missing: dict[str, int], where: str
    ) -> tuple[pa.Table, np.ndarray]:
        columns, codes = self.reader.read(batch, missing)
        good = codes == 0
        if not good.all():
            columns = {name: values[good] for name, values in columns.items()}
        outputs = self._outputs(columns, where) if good.any() else _no_outputs(self.batch.model)
        numbers = next(values for name, values in outputs.items() if name != "label")
        finite = np.isfinite(numbers)
        finite = finite.all(axis=1) if finite.ndim > 1 else finite
        if not finite.all():
            outputs = {name: values[finite] for name, values in outputs.items()}
            codes[np.flatnonzero(good)[~finite]] = len(self.reader.reasons) - 1
        model, reasons = self.batch.model, self.reader.reasons
        return make_table(self.batch.schema, batch, first_row, outputs, codes, reasons, model), codes

    def _outputs(self, columns: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
        if self.predictor is None:
            logging.getLogger("absl").setLevel(logging.ERROR)  # it warns of columns that are no Python names
            self.predictor = Predictor(self.batch.model)
        try:
            return self.predictor.predict(columns)
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "tensorflow":
                raise
            line = (str(error).strip().splitlines() or [""])[0][:300]
            raise StepError(f"the model fails on rows of {where}: {type(error).__name__}: {line}") from error


def _no_outputs(model: ModelFolder) -> dict[str, np.ndarray]:
    """Return the outputs for no rows."""
    label = np.empty(0, object)
    if model.task == "regression":
        return {"prediction": np.empty(0)}
    if model.task == "binary":
        return {"score": np.empty(0), "label": label}
    return {"probabilities": np.empty((0, len(model.classes))), "label": label}

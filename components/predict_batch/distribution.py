"""What predictions are like: read from the shards that were written, whichever attempt wrote them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.components.predict_batch.table import output_fields
from penstock.components.serving_model.folder import ModelFolder

BINS = 20
ROWS_AT_ONCE = 262_144
SAMPLE = 1_000_000  # values of which quantiles are taken: of more rows, every second, third, ...
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass
class Distribution:
    """Counts and moments of the predictions of a batch.

    Attributes:
        values: Rows with a prediction.
        labels: Rows by predicted class, in the order of the model's classes.
        means: Mean of each number: score, prediction, or the probability of each class.
        low, high, deviation: Of the score or the prediction.
        quantiles: Of the same.
        edges, counts: Its histogram.
    """

    values: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict)
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: value for name, value in vars(self).items() if value not in ({}, [], None)}


def describe(folder: Path, model: ModelFolder) -> Distribution:
    """Return the distribution of the predictions under `folder`, in two passes over a few columns."""
    numbers = [field.name for field in output_fields(model) if field.name != "label"]
    found = Distribution(labels=dict.fromkeys(model.classes, 0))
    sums = dict.fromkeys(numbers, 0.0)
    main = numbers[0] if model.task != "multiclass" else ""
    low, high, squares = np.inf, -np.inf, 0.0
    for batch in _batches(folder, [*numbers, *(["label"] if model.classes else [])]):
        scored = batch.filter(pc.is_valid(batch.column(numbers[0])))
        if not scored.num_rows:
            continue
        found.values += scored.num_rows
        for name in numbers:
            sums[name] += pc.sum(scored.column(name)).as_py()
        if model.classes:
            for pair in pc.value_counts(scored.column("label")).to_pylist():
                found.labels[pair["values"]] = found.labels.get(pair["values"], 0) + pair["counts"]
        if main:
            values = scored.column(main).to_numpy()
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not found.values:
        return found
    found.means = {name: total / found.values for name, total in sums.items()}
    if main:
        found.low, found.high = low, high
        found.edges = _edges(model.task, low, high)
        counts = np.zeros(len(found.edges) - 1, np.int64)
        sample: list[np.ndarray] = []
        step, seen = -(-found.values // SAMPLE), 0
        for batch in _batches(folder, [main]):
            values = batch.column(main).drop_null().to_numpy()
            counts += np.histogram(values, found.edges)[0]
            squares += float(((values - found.means[main]) ** 2).sum())
            sample.append(values[-seen % step :: step])
            seen += len(values)
        found.counts = counts.tolist()
        found.deviation = float(np.sqrt(squares / found.values))
        points = np.quantile(np.concatenate(sample), QUANTILES)
        found.quantiles = {f"p{round(100 * q):02d}": float(v) for q, v in zip(QUANTILES, points, strict=True)}
    return found


def _edges(task: str, low: float, high: float) -> list[float]:
    if task == "binary":
        return [i / BINS for i in range(BINS + 1)]
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    edges: list[float] = np.linspace(low, high, BINS + 1).tolist()
    return edges


def _batches(folder: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(path) as reader:
            yield from reader.iter_batches(ROWS_AT_ONCE, columns=list(columns))

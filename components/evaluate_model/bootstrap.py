"""The bootstrap: metrics of many resamples at once, from weighted counts of a few cells for each group.

A resample gives each row a random count (see weights.py). All that a metric needs of a resample are sums of
counts over cells: for the order of the scores the cells (group, bin of scores, class), for the rest (group),
(group, class, predicted class). The sums of all cells for a block of resamples are one sparse matrix product.
Both models, all metrics and all slices are computed from the same counts, so that differences are paired.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from penstock.components.evaluate_model import weights as random_weights
from penstock.components.evaluate_model.outcomes import Codes, Counts

ROWS_AT_ONCE = 1 << 18
RESAMPLES_AT_ONCE = 128  # part of what a seed means: another value gives other weights
MOST_ENTRIES = 1 << 25  # entries of the sparse matrices that are kept at a time: 256 MiB


@dataclass(frozen=True)
class Cells:
    """Sums over cells: row i adds amounts[i] x count to cell at[i].

    Args:
        at: (n,) cell of each row; -1 for none.
        amounts: (n,) what the row adds for each time it is drawn; None adds 1.
        size: Number of cells.
    """

    at: Codes
    amounts: NDArray[np.float32] | None
    size: int


@dataclass(frozen=True)
class Statistic:
    """Statistics of one model on one slicing: from sums over cells to metrics.

    Args:
        cells: The sums that `compute` takes.
        compute: Takes a (size, k) array for each of `cells`, gives (groups, metrics, k) values for k resamples.
    """

    cells: Sequence[Cells]
    compute: Callable[[Sequence[Counts]], NDArray[np.float64]]


def resample(
    statistics: Sequence[Statistic], rows: int, resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    """Return for each statistic its (groups, metrics, 1 + resamples) values.

    The first value is that of the data as they are: in it each row counts once. The same rows, resamples and
    seed give the same weights whatever the statistics are.
    """
    results: list[NDArray[np.float64]] = [np.empty(0)] * len(statistics)
    for batch in _batches(statistics, rows):
        chosen = [statistics[i] for i in batch]
        for at, values in _resample_batch(chosen, rows, resamples, seed):
            for i, value in zip(batch, values, strict=True):
                if not results[i].size:
                    results[i] = np.empty((*value.shape[:2], 1 + resamples))
                results[i][:, :, at] = value
    return results


def _batches(statistics: Sequence[Statistic], rows: int) -> Iterator[list[int]]:
    """Yield indices of statistics that are computed together, as many as fit in memory."""
    batch: list[int] = []
    entries = 0
    for i, statistic in enumerate(statistics):
        size = rows * len(statistic.cells)
        if batch and entries + size > MOST_ENTRIES:
            yield batch
            batch, entries = [], 0
        batch.append(i)
        entries += size
    if batch:
        yield batch


def _resample_batch(
    statistics: Sequence[Statistic], rows: int, resamples: int, seed: int
) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
    cells = [part for statistic in statistics for part in statistic.cells]
    offsets = np.cumsum([0, *(part.size for part in cells)])
    chunks = [
        (start, _matrix(cells, offsets, start, min(start + ROWS_AT_ONCE, rows)))
        for start in range(0, rows, ROWS_AT_ONCE)
    ]
    for first in range(0, 1 + resamples, RESAMPLES_AT_ONCE):
        columns = min(RESAMPLES_AT_ONCE, 1 + resamples - first)
        sums: Counts = np.empty(0, np.float32)
        for start, matrix in chunks:
            counts = random_weights.draw(matrix.shape[1], columns, (seed, first, start))
            if first == 0:
                counts[:, 0] = 1.0
            product = matrix @ counts
            sums = np.add(sums, product, out=sums) if start else product
        parts = iter([sums[a:b] for a, b in itertools.pairwise(offsets)])
        values = [s.compute([next(parts) for _ in s.cells]) for s in statistics]
        yield slice(first, first + columns), values


def _matrix(
    cells: Sequence[Cells], offsets: NDArray[np.int64], start: int, end: int
) -> scipy.sparse.csc_array:
    """Return the (cells, rows) matrix of what each row adds to each cell."""
    n = end - start
    at = np.empty((n, len(cells)), np.int32)
    amounts = np.empty((n, len(cells)), np.float32)
    for j, (part, offset) in enumerate(zip(cells, offsets, strict=False)):
        chosen = part.at[start:end]
        at[:, j] = np.maximum(chosen, 0) + offset
        amounts[:, j] = (
            (chosen >= 0) if part.amounts is None else np.where(chosen >= 0, part.amounts[start:end], 0)
        )
    pointers = np.arange(0, n * len(cells) + 1, len(cells), dtype=np.int32)
    return scipy.sparse.csc_array((amounts.ravel(), at.ravel(), pointers), shape=(int(offsets[-1]), n))

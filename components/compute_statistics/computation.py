"""Statistics of a whole dataset: each part in one of several processes, merged in the parts' order.

TFDV's own way to several cores, parallel Beam runs, is known to lose and double rows; here each row
group is read once by one process, and the rows counted are compared with the files' footers.
"""

import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.components.compute_statistics.combiner import Accumulator, Combiner
from penstock.components.compute_statistics.parts import Part, Shards, batches, open_shards
from penstock.components.compute_statistics.slices import Slice, find_slices
from penstock.components.step_io.cores import cores
from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library.summary import ALL_EXAMPLES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is computed of each part."""

    columns: pa.Schema
    slices: tuple[Slice, ...]
    weight: str

    def combiner(self) -> Combiner:
        """Return what makes the accumulators."""
        return Combiner(self.columns, self.weight)


def compute(
    folder: Path, slices: Sequence[str] = (), weight: str = "", processes: int = 0
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Compute the statistics of a Dataset artifact.

    Args:
        folder: Folder of Parquet shards.
        slices: Columns by whose values statistics are computed as well.
        weight: Column with the weight of each row; empty weighs all alike.
        processes: How many processes work; 0 takes one for each core. The result is the same.

    Returns:
        The statistics of all rows, then those of the slices.

    Raises:
        StepError: The dataset cannot be read, a column is not there, or a weight is missing.
    """
    began = time.monotonic()
    shards = open_shards(folder)
    if not len(shards.columns):
        raise StepError(f"the dataset {folder} has no columns")
    if weight:
        _check_weight(shards, weight)
    plan = Plan(shards.columns, tuple(find_slices(shards, slices)), weight)
    combiner = plan.combiner()
    totals = [combiner.empty() for _ in range(1 + len(plan.slices))]
    if not shards.rows:  # columns without rows are columns all the same
        totals[0] = combiner.add(totals[0], pa.RecordBatch.from_pylist([], schema=shards.columns))
    counted = 0
    processes = min(processes or cores(), max(len(shards.parts), 1))
    for rows, accumulators in _each_part(plan, shards.parts, processes):
        counted += rows
        totals = [combiner.merge(total, part) for total, part in zip(totals, accumulators, strict=True)]
    names = [ALL_EXAMPLES, *(found.name for found in plan.slices)]
    result = statistics_pb2.DatasetFeatureStatisticsList(
        datasets=[combiner.statistics(total, name) for total, name in zip(totals, names, strict=True)]
    )
    if not counted == shards.rows == result.datasets[0].num_examples:
        raise RuntimeError(
            f"{shards.rows} rows are in the files, {counted} were read, "
            f"{result.datasets[0].num_examples} are in the statistics"
        )
    log.info(
        "counted %d rows of %d columns and %d slices with %d processes in %.1f s",
        counted,
        len(shards.columns),
        len(plan.slices),
        processes,
        time.monotonic() - began,
    )
    return result


def _each_part(plan: Plan, parts: Sequence[Part], processes: int) -> Iterator[tuple[int, list[Accumulator]]]:
    """Yield the rows and the accumulators of each part, in order."""
    if processes <= 1:
        for part in parts:
            yield _count(plan, part)
        return
    # Children of a fork have what is imported here; nothing in this process runs threads yet.
    with multiprocessing.get_context("fork").Pool(processes, _set_plan, (plan,)) as pool:
        yield from pool.imap(_count_in_child, parts)


_PLAN: Plan | None = None  # of a child process, set once instead of sent with each part


def _set_plan(plan: Plan) -> None:
    global _PLAN
    _PLAN = plan


def _count_in_child(part: Part) -> tuple[int, list[Accumulator]]:
    assert _PLAN is not None
    return _count(_PLAN, part)


def _count(plan: Plan, part: Part) -> tuple[int, list[Accumulator]]:
    """Return the rows of a part and what was counted of them, for all rows and for each slice."""
    combiner = plan.combiner()
    totals = [combiner.empty() for _ in range(1 + len(plan.slices))]
    rows = 0
    for batch in batches(part, plan.columns.names):
        rows += batch.num_rows
        totals[0] = combiner.add(totals[0], batch)
        texts: dict[str, pa.Array] = {}
        for i, found in enumerate(plan.slices, start=1):
            selected = found.select(batch, texts)
            if selected.num_rows:
                totals[i] = combiner.add(totals[i], selected)
    return rows, [combiner.compact(total) for total in totals]


def _check_weight(shards: Shards, weight: str) -> None:
    """Refuse weights that are no numbers, missing, negative or infinite."""
    if weight not in shards.columns.names:
        raise StepError(f"the weight {weight!r} is no column of the data")
    kind = shards.columns.field(weight).type
    if pa.types.is_string(kind) or pa.types.is_boolean(kind):
        raise StepError(f"the weight {weight!r} is a {kind} column, expected numbers")
    wrong = 0
    for part in shards.parts:
        for batch in batches(part, [weight]):
            column = batch.column(0).cast(pa.float64())
            good = pc.and_(pc.is_finite(column), pc.greater_equal(column, 0.0))
            wrong += batch.num_rows - (pc.sum(good).as_py() or 0)
    if wrong:
        raise StepError(f"the weight {weight!r} is missing, negative or infinite in {wrong:,} rows")

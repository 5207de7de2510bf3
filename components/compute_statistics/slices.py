"""Slices: the rows that share the value of a column.

A slice is named `payment_type=Cash`, or `payment_type is missing` for the rows without a value. In the
name of the column, `%` and `=` are written %25 and %3D, so the first `=` always ends it. A long value is cut
and ends in a part of its hash.
"""

import difflib
import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.compute_statistics.parts import Shards, batches
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

LONGEST_VALUE = 100  # characters of a value in the name of its slice
MOST_VALUES = 50  # slices of one column: its most frequent values


@dataclass(frozen=True)
class Slice:
    """The rows in which `column` has `value`, written as text; None: has no value."""

    column: str
    value: str | None

    @property
    def name(self) -> str:
        """The name of the slice's statistics."""
        column = self.column.replace("%", "%25").replace("=", "%3D")
        if self.value is None:
            return f"{column} is missing"
        if len(self.value) <= LONGEST_VALUE:
            return f"{column}={self.value}"
        digest = hashlib.sha256(self.value.encode()).hexdigest()[:8]
        return f"{column}={self.value[:LONGEST_VALUE]}…{digest}"

    def select(self, batch: pa.RecordBatch, texts: dict[str, pa.Array]) -> pa.RecordBatch:
        """Return the rows of the slice; `texts` keeps columns as text from one slice to the next."""
        if self.column not in texts:
            texts[self.column] = as_text(batch.column(batch.schema.get_field_index(self.column)))
        column = texts[self.column]
        mask = pc.is_null(column) if self.value is None else pc.fill_null(pc.equal(column, self.value), False)
        return batch.filter(mask)


def find_slices(shards: Shards, columns: Sequence[str]) -> list[Slice]:
    """Return the slices of the given columns, the most frequent values first.

    Raises:
        StepError: A column is not in the data.
    """
    known = shards.columns.names
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise StepError(f"statistics.slices: {column!r} is no column of the data{advice}")
    wanted = list(dict.fromkeys(columns))
    counts: dict[str, Counter[str | None]] = {column: Counter() for column in wanted}
    for part in shards.parts if wanted else ():
        for batch in batches(part, wanted):
            for column in wanted:
                found = as_text(batch.column(batch.schema.get_field_index(column))).value_counts()
                for value, count in zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True):
                    counts[column][value] += count
    slices = []
    for column in wanted:
        ordered = sorted(counts[column].items(), key=lambda found: (-found[1], found[0] or ""))
        if len(ordered) > MOST_VALUES:
            log.warning(
                "the column %r has %d values: slices are made of the %d most frequent ones",
                column,
                len(ordered),
                MOST_VALUES,
            )
        slices += [Slice(column, value) for value, _ in ordered[:MOST_VALUES]]
    return slices


def as_text(column: pa.Array) -> pa.Array:
    """Return a column as text."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())

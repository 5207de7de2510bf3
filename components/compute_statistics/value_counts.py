"""Counts the values of a numeric column: each one while they are few, how many there are always.

TFDV counts values of text only. A numeric column's number of distinct values is what tells an
identifier from a measure and a code from a quantity, so it is counted here beside TFDV.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_COUNTED = 1_000  # distinct values of which each is counted; more are only estimated
FEW_VALUES = 100
KEPT_HASHES = 16_384  # standard error of the estimate: 1 / sqrt(KEPT_HASHES) = 0.8 %

Count = tuple[float | int, int]


class ValueCounts:
    """Values of one column with their counts, mergeable; exact up to `most` distinct values."""

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self.most = most
        self._counts: dict[float | int, int] | None = {}
        self._distinct = DistinctValues()
        self.infinite = 0

    def add(self, column: pa.Array) -> None:
        """Count the values of a column of int64, double or bool; null, NaN and infinity are left out."""
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        column = column.drop_null()
        if len(column) and pa.types.is_floating(column.type):
            finite = pc.is_finite(column)
            if not pc.all(finite).as_py():
                self.infinite += pc.sum(pc.is_inf(column)).as_py()
                column = column.filter(finite)
        if not len(column):
            return
        if self._counts is None:
            self._distinct.add(column.to_numpy())
            return
        found = column.value_counts()
        if len(found) > self.most:
            self._give_up()
            self._distinct.add(found.field(0).to_numpy())
            return
        for value, count in zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + count
        self._give_up_if_many()

    def merge(self, other: "ValueCounts") -> None:
        """Add what another one has counted."""
        self.infinite += other.infinite
        if self._counts is not None and other._counts is not None:
            for value, count in other._counts.items():
                self._counts[value] = self._counts.get(value, 0) + count
            self._give_up_if_many()
            return
        for one in (self, other):
            one._give_up()
        self._distinct.merge(other._distinct)

    def distinct(self) -> int:
        """Return the number of distinct values: exact up to KEPT_HASHES, an estimate above."""
        return len(self._counts) if self._counts is not None else self._distinct.estimate()

    def counts(self) -> list[Count]:
        """Return each value with its count, the most frequent first; empty when there were too many."""
        return sorted((self._counts or {}).items(), key=lambda found: (-found[1], found[0]))

    def worth_listing(self) -> list[Count]:
        """Return the counts when they say more than a distribution does: of few values, or of codes.

        That is up to FEW_VALUES of any number, and more of whole numbers that come twice on average.
        """
        counts = self.counts()
        whole = all(isinstance(value, int) for value, _ in counts)
        repeated = 2 * len(counts) <= sum(count for _, count in counts)
        return counts if len(counts) <= FEW_VALUES or (whole and repeated) else []

    def _give_up_if_many(self) -> None:
        if self._counts is not None and len(self._counts) > self.most:
            self._give_up()

    def _give_up(self) -> None:
        if self._counts is not None:
            kind = np.float64 if any(isinstance(value, float) for value in self._counts) else np.int64
            self._distinct.add(np.array(list(self._counts), dtype=kind))
            self._counts = None


class DistinctValues:
    """Estimates how many different values came (k minimum values): keeps the k smallest hashes.

    With k hashes kept, the k-th smallest being the share u of the range of hashes, there were about
    (k - 1) / u values. Source: Bar-Yossef et al., Counting distinct elements in a data stream, 2002.
    """

    def __init__(self, kept: int = KEPT_HASHES) -> None:
        self.kept = kept
        self._hashes = np.empty(0, np.uint64)

    def add(self, values: np.ndarray) -> None:
        """Take in an array of int64 or float64."""
        hashes = _hash(values)
        if len(self._hashes) == self.kept:
            hashes = hashes[hashes < self._hashes[-1]]
        self._keep(hashes)

    def merge(self, other: "DistinctValues") -> None:
        """Take in what another one has seen."""
        self._keep(other._hashes)

    def estimate(self) -> int:
        """Return the number of distinct values; exact while fewer than k were seen."""
        if len(self._hashes) < self.kept:
            return len(self._hashes)
        return round((self.kept - 1) / (float(self._hashes[-1]) / 2.0**64))

    def _keep(self, hashes: np.ndarray) -> None:
        if len(hashes):
            self._hashes = np.unique(np.concatenate([self._hashes, hashes]))[: self.kept]


def _hash(values: np.ndarray) -> np.ndarray:
    """Mix the bits of 8-byte values (splitmix64, Steele et al. 2014); 0.0 and -0.0 are one value."""
    bits = (values + 0.0 if values.dtype == np.float64 else values).view(np.uint64)
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

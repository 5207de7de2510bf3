"""Counts the rows that break a rule, exactly, with examples: read from the shards, a column at a time.

Only for what the statistics do not tell: which values there were, when they were too many to list, and
how many numbers lay outside a range.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.components.step_io.errors import StepError
from penstock.components.validate_data.findings import MOST_EXAMPLES

BATCH_ROWS = 131_072
MOST_KEPT = 10_000  # different offending values counted; examples are the most frequent of them
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"

Rule = Callable[[pa.Array], pa.Array]


@dataclass
class Offending:
    """How many rows break a rule, and up to five of their values, the most frequent first."""

    rows: int
    examples: list[object]


class Shards:
    """The rows of a Dataset artifact."""

    def __init__(self, folder: Path) -> None:
        import pyarrow_hotfix  # noqa: F401 - closes CVE-2023-47248 of pyarrow 10

        self.paths = sorted(folder.glob("part-*.parquet"))
        if not self.paths:
            raise StepError(f"the dataset {folder} holds no part-*.parquet")

    def rows(self) -> int:
        """Return the number of rows, by the files' footers."""
        return sum(pq.read_metadata(path).num_rows for path in self.paths)

    def find(self, column: str, rule: Rule) -> Offending:
        """Return the rows whose value (never null) breaks a rule: those for which it is true."""
        counts: Counter[object] = Counter()
        rows = 0
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=[column], use_threads=False):
                    values = batch.column(0).drop_null()
                    wrong = values.filter(pc.fill_null(rule(values), False))
                    rows += len(wrong)
                    if len(wrong) and len(counts) < MOST_KEPT:
                        found = wrong.value_counts()
                        counts.update(
                            dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True))
                        )
        ordered = sorted(counts.items(), key=lambda found: (-found[1], str(found[0])))
        return Offending(rows, [value for value, _ in ordered[:MOST_EXAMPLES]])

    def repeated(self, column: str) -> Offending:
        """Return the rows beyond the first one of each value."""
        values = pa.chunked_array(
            [pq.read_table(path, columns=[column]).column(0).combine_chunks() for path in self.paths]
        )
        counts = values.drop_null().value_counts()
        often = counts.filter(pc.greater(counts.field(1), 1))
        rows = (pc.sum(often.field(1)).as_py() or 0) - len(often)
        pairs = zip(often.field(0).to_pylist(), often.field(1).to_pylist(), strict=True)
        ordered = sorted(pairs, key=lambda found: (-found[1], str(found[0])))
        return Offending(rows, [value for value, _ in ordered[:MOST_EXAMPLES]])


def outside(allowed: list[str]) -> Rule:
    """Return the rule that a text is among the allowed ones."""
    known = pa.array(allowed, pa.string())
    return lambda values: pc.invert(pc.is_in(values, value_set=known))


def below(least: float) -> Rule:
    """Return the rule that a number is at least `least`."""
    return lambda values: pc.less(_numbers(values), least)


def above(most: float) -> Rule:
    """Return the rule that a number is at most `most`."""
    return lambda values: pc.greater(_numbers(values), most)


def neither_zero_nor_one(values: pa.Array) -> pa.Array:
    """Break for numbers that are no truth values."""
    return pc.invert(pc.is_in(_numbers(values), value_set=pa.array([0.0, 1.0])))


def no_number(values: pa.Array) -> pa.Array:
    """Break for texts that cannot be read as a number."""
    return pc.invert(pc.match_substring_regex(values, NUMBER))


def not_whole(values: pa.Array) -> pa.Array:
    """Break for numbers with a fraction, NaN and infinity."""
    return pc.or_(pc.invert(pc.is_finite(values)), pc.not_equal(pc.floor(values), values))


def _numbers(values: pa.Array) -> pa.Array:
    return values.cast(pa.float64(), safe=False)

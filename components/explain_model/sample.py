"""The rows that are explained and the background rows, drawn from Parquet shards without reading all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from penstock.components.explain_model.settings import LEAST_ROWS, Settings
from penstock.components.explanations.shapley import Columns
from penstock.components.serving_model.folder import Input
from penstock.components.step_io.errors import StepError


@dataclass(frozen=True)
class Sample:
    """Rows of the data.

    Args:
        table: The rows, with the model's inputs and the slices' columns.
        places: (n,) place of each row in the data, from 0, ascending.
    """

    table: pa.Table
    places: NDArray[np.int64]


class Data:
    """A Dataset artifact."""

    def __init__(self, folder: Path) -> None:
        """Open the shards.

        Raises:
            StepError: There are none, or they hold too few rows.
        """
        self.shards = sorted(folder.glob("*.parquet"))
        if not self.shards:
            raise StepError(
                f"the data {folder} hold no Parquet shards; they should be prepare_data's test_data"
            )
        self.schema = pq.read_schema(self.shards[0])
        self.rows = sum(pq.read_metadata(shard).num_rows for shard in self.shards)
        if self.rows < LEAST_ROWS:
            raise StepError(f"the data hold {self.rows} rows, explanations need {LEAST_ROWS} or more")

    def check_fit(self, inputs: Sequence[Input]) -> None:
        """Check that the data have what the model takes.

        Raises:
            StepError: Inputs are absent, or text where the model takes numbers; the message names all.
        """
        types = dict(zip(self.schema.names, self.schema.types, strict=True))
        faults = []
        if absent := [found.name for found in inputs if found.name not in types]:
            faults.append(f"it needs {_list(absent)}, which they do not have")
        texts = [i.name for i in inputs if i.dtype != "string" and _is_text(types.get(i.name, pa.null()))]
        if texts:
            faults.append(f"it takes {_list(texts)} as numbers, which they hold as text")
        if faults:
            raise StepError(f"the model does not fit the data: {'; '.join(faults)}")

    def draw(self, columns: Sequence[str], settings: Settings) -> tuple[Sample, Sample]:
        """Return the rows to explain and the background rows; disjoint where there are enough."""
        random = np.random.default_rng([settings.seed, self.rows])
        order = random.permutation(self.rows)
        wanted, size = min(settings.rows, self.rows), min(settings.background, self.rows)
        picked = np.sort(order[:wanted])
        # Taken from the end, so that `rows` does not change which they are, as long as there are enough.
        base = np.sort(order[-size:])
        return self._take(picked, columns), self._take(base, columns)

    def _take(self, places: NDArray[np.int64], columns: Sequence[str]) -> Sample:
        names, parts, start = list(dict.fromkeys(columns)), [], 0
        for shard in self.shards:
            with pq.ParquetFile(shard) as file:
                for group in range(file.num_row_groups):
                    end = start + file.metadata.row_group(group).num_rows
                    low, high = np.searchsorted(places, [start, end])
                    if high > low:
                        part = file.read_row_group(group, columns=names)
                        parts.append(part.take(pa.array(places[low:high] - start)))
                    start = end
        return Sample(pa.concat_tables(parts), places)


def model_columns(table: pa.Table, inputs: Sequence[Input]) -> Columns:
    """Return the model's inputs as it takes them: NaN or "" where they are missing."""
    found = {}
    for one in inputs:
        column = table.column(one.name).combine_chunks()
        if one.dtype == "string":
            texts = pc.fill_null(pc.cast(column, pa.string()), "")
            found[one.name] = texts.to_numpy(zero_copy_only=False).astype(object)
        else:
            found[one.name] = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def instances(columns: Columns) -> list[dict[str, float | str | None]]:
    """Return rows as JSON has them: None for missing."""
    rows = len(next(iter(columns.values())))
    lists = {name: [plain(value) for value in values.tolist()] for name, values in columns.items()}
    return [{name: values[row] for name, values in lists.items()} for row in range(rows)]


def plain(value: float | str) -> float | str | None:
    """Return a value of a column as JSON has it; whole numbers as int, infinity as missing."""
    if isinstance(value, str):
        return value or None
    if not np.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _list(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10} more" if len(names) > 10 else "")

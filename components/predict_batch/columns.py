"""The columns of a batch as a model takes them, and which rows it cannot take.

The rules are those of the prediction service: missing is NaN or "", a row without a required value or with a
value of another type has no prediction. A number in a text column is written as text, as in training.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.serving_model.folder import Input

NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
# Why a row has no prediction: {0} is the input's name.
MISSING, NO_NUMBER, NO_WHOLE, NO_BOOL = KINDS = (
    "{0!r} is missing",
    "{0!r} is no number",
    "{0!r} is no whole number",
    "{0!r} is neither true nor false",
)
NOT_FINITE = "the model gives no finite number"


class Reader:
    """Turns batches of a dataset into columns of one model."""

    def __init__(self, inputs: Sequence[Input], types: Mapping[str, pa.DataType]) -> None:
        """Take a model's inputs and the types of the dataset's columns."""
        self.inputs, self.types = list(inputs), types
        self.absent = [found for found in self.inputs if found.name not in types]
        # 0: no reason; then kind by kind for each input, at last the model's own.
        self.reasons = ["", *(kind.format(found.name) for found in inputs for kind in KINDS), NOT_FINITE]

    @property
    def names(self) -> list[str]:
        """The inputs that the dataset has."""
        return [found.name for found in self.inputs if found.name in self.types]

    def read(
        self, batch: pa.RecordBatch, missing: dict[str, int]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return a column of shape (n,) for each input, and the code of each row's reason (0: none).

        Args:
            batch: Rows of the dataset.
            missing: By input, the number of rows in which it is missing: it is added to.
        """
        codes = np.zeros(batch.num_rows, np.int32)
        columns = {}
        for at, found in enumerate(self.inputs):
            if found.name in self.types:
                column = batch.column(found.name)
                values, empty, wrong = (_texts if found.dtype == "string" else _numbers)(column, found)
            else:
                values, empty = _nothing(found, batch.num_rows), np.ones(batch.num_rows, bool)
                wrong = []
            missing[found.name] = missing.get(found.name, 0) + int(empty.sum())
            faults = [(KINDS.index(kind), rows) for kind, rows in wrong]
            for kind, rows in [(0, empty), *faults] if found.required else faults:
                codes[rows & (codes == 0)] = 1 + at * len(KINDS) + kind
            columns[found.name] = values
        return columns, codes


Found = tuple[
    np.ndarray, np.ndarray, list[tuple[str, np.ndarray]]
]  # values, missing rows, wrong rows by kind


def _numbers(column: pa.Array, found: Input) -> Found:
    wrong = []
    if pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, column.type), column)
        good = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
        wrong.append((NO_NUMBER, _bools(pc.and_(pc.is_valid(text), pc.invert(good)))))
        column = pc.utf8_trim_whitespace(pc.if_else(good, text, pa.scalar(None, column.type)))
        column = pc.replace_substring_regex(column, r"^\+", "")
    values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    empty = np.isnan(values)
    if wrong:
        empty &= ~wrong[0][1]
    if found.type == "int":
        wrong.append((NO_WHOLE, ~np.isnan(values) & (values != np.floor(values))))
    elif found.type == "bool":
        wrong.append((NO_BOOL, ~np.isnan(values) & (values != 0) & (values != 1)))
    return values, empty, wrong


def _texts(column: pa.Array, found: Input) -> Found:
    empty = _bools(pc.is_null(column))
    coded = pc.fill_null(pc.cast(column, pa.string()), "").dictionary_encode()
    words = np.array([word.encode() for word in coded.dictionary.to_pylist()] or [b""], object)
    return words[coded.indices.to_numpy(zero_copy_only=False)], empty, []


def _nothing(found: Input, rows: int) -> np.ndarray:
    return np.full(rows, b"", object) if found.dtype == "string" else np.full(rows, np.nan)


def _bools(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(bool)

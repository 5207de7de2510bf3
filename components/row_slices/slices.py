"""Slices: the groups of test rows that share a column's value, or the values of several columns."""

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from penstock.components.step_io.errors import StepError

Codes: TypeAlias = NDArray[np.int32]

MISSING = "(missing)"
OTHER = "(other)"
MOST_VALUES = 30  # values of one slicing that are shown by name; the rest is OTHER
QUANTILE_BUCKETS = 4


@dataclass(frozen=True)
class Slicing:
    """A partition of the rows.

    Args:
        columns: The columns whose values make the groups; () for all rows in one group.
        codes: (n,) group of each row.
        values: For each group its value, as text, by column.
    """

    columns: tuple[str, ...]
    codes: Codes
    values: tuple[dict[str, str], ...]

    def name(self, group: int) -> str:
        """Return the group as people read it: `payment_type = Cash, hour = 3`."""
        return ", ".join(f"{column} = {text}" for column, text in self.values[group].items())


def everything(rows: int) -> Slicing:
    """Return the slicing that holds all rows in one group."""
    return Slicing((), np.zeros(rows, np.int32), ({},))


def read_slices(slices: Sequence[Any], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Check the setting `slices` and return the columns of each slicing.

    Raises:
        StepError: An entry is no column name or list of them, or names an unknown column.
    """
    found: list[tuple[str, ...]] = []
    for i, entry in enumerate(slices):
        names = [entry] if isinstance(entry, str) else entry
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise StepError(
                f"slices[{i}] is {entry!r}: expected the name of a column, or a list of names for a cross"
            )
        for name in names:
            if name not in columns:
                raise StepError(
                    f"slices[{i}] {name!r} is no column of the test data; {_nearest(name, columns)}"
                )
        key = tuple(dict.fromkeys(names))
        if key not in found:
            found.append(key)
    return found


def make_slicings(wanted: Sequence[tuple[str, ...]], columns: Mapping[str, pa.ChunkedArray]) -> list[Slicing]:
    """Return a slicing for each entry of `wanted`; each column's values are grouped once."""
    single = {
        name: group_column(columns[name], keep_all=False)
        for name in dict.fromkeys(names[0] for names in wanted if len(names) == 1)
    }
    crossed = {
        name: group_column(columns[name], keep_all=True)
        for name in dict.fromkeys(n for names in wanted if len(names) > 1 for n in names)
    }
    slicings = []
    for names in wanted:
        if len(names) == 1:
            codes, texts = single[names[0]]
            slicings.append(Slicing(names, codes, tuple({names[0]: text} for text in texts)))
        else:
            slicings.append(_cross(names, crossed))
    return slicings


def group_column(column: pa.ChunkedArray, keep_all: bool) -> tuple[Codes, list[str]]:
    """Return the group of each row and each group's text, most natural order first.

    Texts and booleans group by value, and so do whole numbers with at most MOST_VALUES values (in the order
    of the numbers); other numbers by quartile. Null, NaN and "" are MISSING, the last group. Beyond
    MOST_VALUES values, the most frequent keep their name, unless `keep_all` (a cross limits its own).
    """
    values = column.combine_chunks()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    elif pa.types.is_string(values.type):
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, len(distinct)).to_numpy(zero_copy_only=False).astype(np.int32)
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if is_number and (len(distinct) > MOST_VALUES or not all(float(v).is_integer() for v in distinct)):
        return _quartiles(np.asarray(distinct, np.float64), codes)
    texts = [_text(value) for value in distinct]
    order = sorted(range(len(distinct)), key=lambda i: distinct[i])
    codes, texts = _reorder(codes, [*order, len(distinct)], [*texts, MISSING])
    return (codes, texts) if keep_all else _limit(codes, texts)


def _cross(names: tuple[str, ...], grouped: Mapping[str, tuple[Codes, list[str]]]) -> Slicing:
    joint = np.zeros(len(grouped[names[0]][0]), np.int64)
    for name in names:
        codes, texts = grouped[name]
        joint = joint * len(texts) + codes
    present, codes = np.unique(joint, return_inverse=True)
    parts: list[dict[str, str]] = []
    for key in present.tolist():
        value = {}
        for name in reversed(names):
            texts = grouped[name][1]
            key, i = divmod(key, len(texts))
            value[name] = texts[i]
        parts.append({name: value[name] for name in names})
    codes, kept = _limit(codes.astype(np.int32), list(range(len(parts))))
    values = tuple(dict.fromkeys(names, OTHER) if k == OTHER else parts[k] for k in kept)
    return Slicing(names, codes, values)


def _quartiles(distinct: np.ndarray, codes: Codes) -> tuple[Codes, list[str]]:
    """Group numbers by quantile buckets with equal shares of the rows, as far as ties allow."""
    missing = codes == len(distinct)
    numbers = np.append(distinct, np.nan)[codes]
    known = numbers[~missing]
    if not len(known):
        return _limit(codes, [MISSING])
    cuts = np.unique(np.quantile(known, np.arange(1, QUANTILE_BUCKETS) / QUANTILE_BUCKETS, method="lower"))
    cuts = cuts[cuts < known.max()]
    bounds = [known.min(), *cuts, known.max()]
    shown = _distinct_texts(bounds)
    texts = [f"{shown[0]} to {shown[1]}", *(f"over {a} to {b}" for a, b in itertools.pairwise(shown[1:]))]
    bucket = np.searchsorted(cuts, numbers, side="left").astype(np.int32)
    bucket[missing] = len(texts)
    return _reorder(bucket, list(range(len(texts) + 1)), [*texts, MISSING])


def _distinct_texts(bounds: Sequence[float]) -> list[str]:
    """Return bounds with as few digits as tell them apart."""
    texts: list[str] = []
    for digits in range(4, 18):
        texts = [f"{b:.0f}" if float(b).is_integer() and abs(b) < 1e15 else f"{b:.{digits}g}" for b in bounds]
        if len(set(texts)) == len(set(bounds)):
            break
    return texts


def _limit(codes: Codes, texts: list[Any]) -> tuple[Codes, list[Any]]:
    """Keep the MOST_VALUES largest groups in their order, the rest as OTHER; leave out empty groups."""
    counts = np.bincount(codes, minlength=len(texts))
    present = [i for i in range(len(texts)) if counts[i]]
    if len(present) <= MOST_VALUES:
        return _reorder(codes, present, texts)
    ranked = sorted(present, key=lambda i: (texts[i] == MISSING, -counts[i], i))
    if texts[ranked[-1]] == MISSING:  # stays visible beside the values
        ranked = [*ranked[: MOST_VALUES - 1], ranked[-1], *ranked[MOST_VALUES - 1 : -1]]
    kept = sorted(ranked[:MOST_VALUES])
    new = np.full(len(texts), len(kept), np.int32)
    new[kept] = np.arange(len(kept))
    return new[codes], [*(texts[i] for i in kept), OTHER]


def _reorder(codes: Codes, order: list[int], texts: list[Any]) -> tuple[Codes, list[Any]]:
    """Renumber groups into `order`, which names all groups that occur; leave out the empty ones."""
    counts = np.bincount(codes, minlength=len(texts))
    order = [i for i in order if counts[i]]
    new = np.zeros(len(texts), np.int32)
    new[order] = np.arange(len(order))
    return new[codes], [texts[i] for i in order]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}"
    return str(value)


def _nearest(name: str, columns: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(sorted(columns))}"

"""Shapley values of a model's raw inputs, sampled over permutations, many rows of the model in one call.

The value of a set S of features for a row x is the mean of f over background rows b in which the features of S
are replaced by those of x (the interventional game: Lundberg & Lee 2017, Janzing et al. 2020). A walk
begins at b and takes over the features of x one after another, in the order of a permutation; each
feature gets the change of f at its step (Castro et al. 2009; Štrumbelj & Kononenko, "Explaining
prediction models and individual predictions with feature contributions", Knowl. Inf. Syst. 41, 2014).
Each permutation is walked in reverse as well, from the same b: the two errors partly cancel (antithetic
sampling: Mitchell, Cooper, Frank & Holmes, "Sampling Permutations for Shapley Value Estimation", JMLR 23,
2022). As a walk's changes add up to f(x) - f(b), and each b is used equally often, attributions and baseline add
up to f(x) whatever the number of permutations.

Knows neither TensorFlow nor what the outputs mean.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = Mapping[str, NDArray[Any]]
Predict: TypeAlias = Callable[[Columns], NDArray[Any]]

ROWS_IN_A_CALL = 16_384
VALUES_IN_A_CALL = 4_000_000  # rows x features, or rows x outputs: about 32 MB


@dataclass(frozen=True)
class Attributions:
    """What each feature adds to each output of n rows: baseline + values.sum(axis=1) == outputs.

    Args:
        features: Names of the m features.
        values: (n, m, k) attributions, in units of the output.
        errors: (n, m, k) standard errors of `values`, from the spread between background rows; NaN for
            a single background row.
        outputs: (n, k) outputs of the model for the rows.
        baseline: (k,) mean outputs of the model for the background rows.
        model_rows: Rows that the model was asked for.
    """

    features: tuple[str, ...]
    values: Floats
    errors: Floats
    outputs: Floats
    baseline: Floats
    model_rows: int


def attribute(
    predict: Predict,
    columns: Columns,
    background: Columns,
    pairs: int = 1,
    seed: int = 0,
    keys: Sequence[int] | None = None,
) -> Attributions:
    """Return the attributions of all rows, with at most n x 2 x background rows x pairs x m rows of the model.

    Steps that change nothing, because row and background row have the same value, ask the model nothing.

    Args:
        predict: From columns by name, each (rows,), to outputs (rows,) or (rows, k).
        columns: The rows to explain: float64 (NaN is missing) or objects (str), each (n,).
        background: The rows that stand for "not known", with the same names.
        pairs: Permutations, each walked in both directions, from each background row.
        seed: Seed of the permutations.
        keys: A number for each row: rows with equal numbers get equal permutations. None gives all rows the same
            ones, so that a row's explanation does not depend on its neighbours; different numbers keep
            the sampling errors of the rows independent, as means over rows need it.

    Raises:
        ValueError: There is no feature, no background row, or no pair.
    """
    features = tuple(background)
    rows = len(next(iter(columns.values()), ()))
    size = len(next(iter(background.values()), ()))
    if not features or not size or pairs < 1:
        raise ValueError(f"{len(features)} features, {size} background rows, {pairs} pairs: need 1 of each")
    m, calls = len(features), _Calls(predict)
    at_background = calls.outputs(background)
    k = at_background.shape[1]
    at_rows = calls.outputs({name: columns[name] for name in features}) if rows else np.empty((0, k))
    sums = np.zeros((rows, m, k))
    squares = np.zeros((rows, m, k))
    limit = calls.limit(max(m, k))
    groups = max(1, limit // (2 * pairs * m))  # a group: the walks between one row and one background row
    orders = _Orders(m, size, pairs, seed, keys)
    for start in range(0, rows * size, groups):
        row, base = np.divmod(np.arange(start, min(start + groups, rows * size)), size)
        found = _walk(calls, columns, background, row, base, orders(row, base), at_rows, at_background)
        np.add.at(sums, row, found)
        np.add.at(squares, row, found**2)
    values = sums / size
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(squares - size * values**2, 0.0) / np.float64(size - 1)
        errors = np.sqrt(spread / size)
    return Attributions(features, values, errors, at_rows, at_background.mean(axis=0), calls.rows)


def _walk(
    calls: "_Calls",
    columns: Columns,
    background: Columns,
    row: NDArray[np.intp],
    base: NDArray[np.intp],
    order: NDArray[np.intp],
    at_rows: Floats,
    at_background: Floats,
) -> Floats:
    """Return the mean contributions (g, m, k) of the walks of each group.

    Args:
        calls: The model.
        columns: The rows to explain.
        background: The background rows.
        row: (g,) row of each group.
        base: (g,) background row of each group.
        order: (g, walks, m) the feature that each step takes over.
        at_rows: (n, k) outputs of the rows.
        at_background: (b, k) outputs of the background rows.
    """
    g, walks, m = order.shape
    order = order.reshape(-1, m)
    row, base = np.repeat(row, walks), np.repeat(base, walks)
    place = np.empty_like(order)  # the step at which a feature is taken over
    np.put_along_axis(place, order, np.broadcast_to(np.arange(m), order.shape), axis=1)
    differs = np.stack([_differ(columns[name][row], background[name][base]) for name in background], axis=1)
    taken = np.take_along_axis(differs, order, axis=1)
    so_far = np.cumsum(taken, axis=1)
    arrived = so_far == so_far[:, -1:]  # nothing is left to change: the output is that of the row
    asked = taken & ~arrived
    walk, step = np.nonzero(asked)
    mixed = {
        name: np.where(place[walk, i] <= step, columns[name][row[walk]], background[name][base[walk]])
        for i, name in enumerate(background)
    }
    # One table of outputs: background rows, rows, then what is asked; a step that asks nothing keeps the last.
    known = np.concatenate([at_background, at_rows])
    table = np.concatenate([known, calls.outputs(mixed)]) if len(walk) else known
    source = np.zeros(order.shape, np.intp)
    source[walk, step] = len(known) + np.arange(len(walk))
    source = np.maximum.accumulate(np.column_stack([base, source]), axis=1)
    source[:, 1:][arrived] = np.broadcast_to((len(at_background) + row)[:, None], order.shape)[arrived]
    changes = np.diff(table[source], axis=1)
    by_feature = np.take_along_axis(changes, place[:, :, None], axis=1)
    return by_feature.reshape(g, walks, m, -1).mean(axis=1)


def _differ(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    if a.dtype == object:
        return (a != b).astype(bool)
    return (a != b) & ~(np.isnan(a) & np.isnan(b))


class _Orders:
    """The permutations of each row and background row, made when they are needed: (groups, walks, m)."""

    def __init__(self, m: int, size: int, pairs: int, seed: int, keys: Sequence[int] | None) -> None:
        self.shape = (size, pairs, m)
        self.seed, self.keys = seed, keys
        self.made: dict[int, NDArray[np.intp]] = {}

    def __call__(self, row: NDArray[np.intp], base: NDArray[np.intp]) -> NDArray[np.intp]:
        keys = [0 if self.keys is None else self.keys[r] for r in row.tolist()]
        made = {key: self.made[key] if key in self.made else self._make(key) for key in dict.fromkeys(keys)}
        self.made = made  # a row that goes on in the next block keeps its own, the others are not kept
        return np.stack([made[key][b] for key, b in zip(keys, base.tolist(), strict=True)])

    def _make(self, key: int) -> NDArray[np.intp]:
        random = np.random.default_rng([self.seed, key])
        order = random.permuted(np.broadcast_to(np.arange(self.shape[-1]), self.shape), axis=-1)
        return np.concatenate([order, order[:, :, ::-1]], axis=1)


class _Calls:
    """The model, called with blocks of limited size; counts its rows."""

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.rows = 0

    def limit(self, width: int) -> int:
        """Return the rows that one call may have at this width."""
        return max(1, min(ROWS_IN_A_CALL, VALUES_IN_A_CALL // width))

    def outputs(self, columns: Columns) -> Floats:
        """Return (rows, k) outputs."""
        rows = len(next(iter(columns.values())))
        self.rows += rows
        parts = [
            np.asarray(self.predict(part), np.float64) for part in _blocks(columns, self.limit(len(columns)))
        ]
        found = np.concatenate(parts)
        return found.reshape(rows, -1)


def _blocks(columns: Columns, size: int) -> Iterator[Columns]:
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, size):
        yield {name: values[start : start + size] for name, values in columns.items()}

"""One pass over the training rows: what the encoding of each feature must know."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.row_features import Feature

log = logging.getLogger(__name__)

SAMPLE_ROWS = 200_000  # quantiles come from all rows up to here, from a uniform sample beyond
SAMPLE_VALUES = 20_000_000  # 160 MB; wide data is sampled with fewer rows
MOST_DISTINCT = 1_000_000  # values of one feature that are counted exactly
TAIL = 0.005  # share of the values on each side that mean and deviation do not count at full size
SPLINE_WIDTH = 4096  # pieces of all numeric features together
RECURRING = 0.5  # values seen often enough to be categories make up this share, else it is text
TINY = 1e-290  # smaller magnitudes count as 0: some processors flush them to it, others do not
UNIQUE = 0.9  # more distinct one-word texts than this share of the rows: an identifier


@dataclass(frozen=True)
class Numeric:
    """How a number is scaled. `edges` are the ends of its quantile bins, ascending and distinct."""

    name: str
    mean: float
    deviation: float
    edges: tuple[float, ...]
    has_missing: bool
    largest: float  # greatest distance from the mean, in deviations, among the training values


@dataclass(frozen=True)
class Categorical:
    """The values that a category keeps, most frequent first."""

    name: str
    dtype: str
    vocabulary: tuple[str, ...]


@dataclass
class Plan:
    """What the training rows said about each feature."""

    numeric: list[Numeric] = field(default_factory=list)
    categorical: list[Categorical] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)  # reason by name
    rows: int = 0

    def describe(self) -> list[tuple[str, str]]:
        """Return each feature used and, in words, how it enters the network."""
        found = [
            (
                n.name,
                f"number, {max(len(n.edges) - 1, 0)} bins" + (", missing indicator" if n.has_missing else ""),
            )
            for n in self.numeric
        ]
        found += [(c.name, f"category, {len(c.vocabulary)} values") for c in self.categorical]
        return found + [(name, "text, hashed words") for name in self.text]


def analyse(
    features: Sequence[Feature],
    blocks: Iterable[Mapping[str, Any]],
    rows: int,
    settings: Mapping[str, Any],
    seed: int,
) -> Plan:
    """Return the plan for features whose rows come in blocks of tensors of shape (n,).

    Memory does not grow with the rows: vocabularies are counted up to a limit, quantiles taken from a
    uniform sample (all rows up to 200,000 of them).

    Raises:
        StepError: No feature is left that varies.
    """
    plan = Plan(rows=rows)
    numbers = _Numbers([f.name for f in features if f.kind == "numeric"], rows, seed)
    counts = {f.name: _Counts(f) for f in features if f.kind in ("categorical", "text")}
    for block in blocks:
        numbers.add(block)
        for count in counts.values():
            count.add(block[count.feature.name])
    bins = min(settings["numeric_bins"], max(2, SPLINE_WIDTH // max(len(numbers.names), 1)))
    for feature in features:
        if feature.kind == "drop":
            plan.dropped[feature.name] = "model.kinds says drop"
        elif feature.kind == "numeric":
            numbers.plan(feature.name, bins, plan)
        else:
            counts[feature.name].plan(rows, settings, plan)
    plan.categorical.sort(key=lambda found: found.dtype != "string")  # stable: texts first, then numbers
    for name, reason in plan.dropped.items():
        log.info("the feature %r is not used: %s", name, reason)
    if not (plan.numeric or plan.categorical or plan.text):
        raise StepError(
            "no feature is left to learn from: "
            + "; ".join(f"{name!r}: {reason}" for name, reason in plan.dropped.items())
        )
    return plan


class _Numbers:
    """Counts and a sample of all numeric features."""

    def __init__(self, names: Sequence[str], rows: int, seed: int) -> None:
        self.names = list(names)
        size = min(rows, SAMPLE_ROWS, max(10_000, SAMPLE_VALUES // max(len(names), 1)))
        if size < rows:
            self.picks = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
        else:
            self.picks = np.arange(rows)
        self.sample = np.empty((len(names), size))
        self.seen = self.taken = 0
        self.missing = np.zeros(len(names), np.int64)
        self.low = np.full(len(names), np.inf)
        self.high = np.full(len(names), -np.inf)

    def add(self, block: Mapping[str, Any]) -> None:
        if not self.names:
            return
        rows = 0
        upto = self.taken
        for i, name in enumerate(self.names):
            values = block[name].numpy()
            rows = len(values)
            upto = int(np.searchsorted(self.picks, self.seen + rows))
            self.sample[i, self.taken : upto] = values[self.picks[self.taken : upto] - self.seen]
            missing = np.isnan(values)
            self.missing[i] += int(missing.sum())
            if not missing.all():
                self.low[i] = min(self.low[i], np.nanmin(values))
                self.high[i] = max(self.high[i], np.nanmax(values))
        self.seen += rows
        self.taken = upto

    def plan(self, name: str, bins: int, plan: Plan) -> None:
        i = self.names.index(name)
        values = self.sample[i, : self.taken]
        values = np.sort(values[np.isfinite(values)])
        values[np.abs(values) < TINY] = 0.0
        has_missing = bool(self.missing[i])
        if self.missing[i] == self.seen:
            plan.dropped[name] = "it is missing in all training rows"
        elif self.low[i] == self.high[i] and not has_missing:
            plan.dropped[name] = "it has the same value in all training rows"
        elif len(values) == 0:
            plan.dropped[name] = "it has no finite value in the training rows"
        else:
            mean, deviation = _moments(values)
            edges = _edges(values, bins)
            reach = max(abs(self.low[i] / 2 - mean / 2), abs(self.high[i] / 2 - mean / 2))
            largest = min(float(reach / (deviation / 2)), np.finfo(float).max)
            plan.numeric.append(Numeric(name, mean, deviation, edges, has_missing, largest))


class _Counts:
    """Values of one categorical or text feature and how often they come."""

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.counts: dict[Any, int] = {}
        self.missing = 0
        self.too_many = False

    def add(self, tensor: Any) -> None:
        import tensorflow as tf

        if self.feature.dtype == "string":
            values, _, counts = tf.unique_with_counts(tensor)
            found = zip(values.numpy().tolist(), counts.numpy().tolist(), strict=True)
        else:
            numbers, counts = np.unique(as_category(tensor.numpy()), return_counts=True)
            found = zip((b"%d" % n if n == n else b"" for n in numbers), counts.tolist(), strict=True)
        for value, count in found:
            if not value:
                self.missing += count
            elif value in self.counts or len(self.counts) < MOST_DISTINCT:
                self.counts[value] = self.counts.get(value, 0) + count
            else:
                self.too_many = True

    def plan(self, rows: int, settings: Mapping[str, Any], plan: Plan) -> None:
        name, present = self.feature.name, rows - self.missing
        if not present:
            plan.dropped[name] = "it is missing in all training rows"
        elif len(self.counts) == 1 and not self.missing:
            plan.dropped[name] = "it has the same value in all training rows"
        elif self.feature.kind == "text":
            plan.text.append(name)
        else:
            ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            least = settings["min_count"] if rows >= 20 * settings["min_count"] else 1
            kept = [(v, n) for v, n in ranked[: settings["max_vocabulary"]] if n >= least]
            share = sum(n for _, n in kept) / present
            if present < least:
                plan.dropped[name] = f"only {present} training rows have a value"
                return
            if share >= RECURRING or self.feature.dtype != "string":
                words = tuple(value.decode("utf-8", "replace") for value, _ in kept)
                plan.categorical.append(Categorical(name, self.feature.dtype, words))
            elif not self.too_many and self._is_identifier(present):
                plan.dropped[name] = "it is an identifier: nearly every row has a value of its own"
            else:
                log.info(
                    "the feature %r is taken for free text: its %d most frequent values cover only %.0f %% of the rows",
                    name,
                    len(kept),
                    100 * share,
                )
                plan.text.append(name)

    def _is_identifier(self, present: int) -> bool:
        spaces = sum(value.strip().count(b" ") * n for value, n in self.counts.items())
        return len(self.counts) > UNIQUE * present and spaces < 0.5 * present


def as_category(values: np.ndarray) -> np.ndarray:
    """Return float64 values as whole numbers; NaN where they are missing or none.

    Beyond 2^53 a float64 no longer tells whole numbers apart: those are missing as well.
    """
    fine = (np.abs(values) <= 2.0**53) & (np.floor(values) == values)
    return np.where(fine, values, np.nan) + 0.0  # -0.0 becomes 0.0


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of sorted values, their tails drawn in; the deviation is never 0."""
    low, high = values[int(TAIL * (len(values) - 1))], values[int(np.ceil((1 - TAIL) * (len(values) - 1)))]
    if low == high:
        low, high = values[0], values[-1]
    drawn = np.clip(values, low, high)
    scale = float(np.max(np.abs(drawn))) or 1.0
    mean, deviation = float(np.mean(drawn / scale)) * scale, float(np.std(drawn / scale)) * scale
    return mean, deviation if deviation > TINY else 1.0


def _edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Return the ends of at most `bins` quantile bins of sorted values.

    A value that makes up a bin of its own (a zero fare) also gets its neighbours as ends, so that the
    network can tell it from them.
    """
    if bins == 0 or values[0] == values[-1]:
        return ()
    distinct, first = np.unique(values, return_index=True)
    if len(distinct) <= bins + 1:
        return tuple(distinct.tolist())
    at = np.round(np.linspace(0, len(values) - 1, bins + 1)).astype(int)
    picked = np.searchsorted(distinct, values[at])
    heavy = np.diff(np.append(first, len(values))) > len(values) / bins
    alone = np.flatnonzero(heavy)
    picked = np.concatenate([picked, alone, alone - 1, alone + 1])
    return tuple(distinct[np.unique(np.clip(picked, 0, len(distinct) - 1))].tolist())

"""Reads statistics.pb: a plain record for each feature, whatever TFDV's proto keeps where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library import custom_statistics as custom

STATISTICS_FILE = "statistics.pb"
ALL_EXAMPLES = "All Examples"  # TFDV's name of the dataset without slices
LARGE_TEXT = "__LARGE_BYTES__"  # TFDV counts texts of more than 1024 bytes under this one name

Types = statistics_pb2.FeatureNameStatistics


@dataclass
class Distribution:
    """A distribution function by its steps: `shares[i]` of the values are at most `edges[i]`."""

    edges: list[float]
    shares: list[float]

    def at(self, value: float) -> float:
        """Return the share of values up to `value`, linear between two edges."""
        if value < self.edges[0]:
            return 0.0
        if value >= self.edges[-1]:
            return self.shares[-1]
        low = _last_not_above(self.edges, value)
        left, right = self.edges[low], self.edges[low + 1]
        part = (value - left) / (right - left) if math.isfinite(right - left) else 0.0
        return self.shares[low] + part * (self.shares[low + 1] - self.shares[low])

    def quantile(self, share: float) -> float:
        """Return the smallest edge up to which at least `share` of the values are."""
        return next(
            (edge for edge, upto in zip(self.edges, self.shares, strict=True) if upto >= share - 1e-12),
            self.edges[-1],
        )


@dataclass
class Feature:
    """What statistics tell of one column."""

    name: str
    column_type: str  # string, int64, double or bool
    rows: int
    missing: int
    unique: int = 0
    zeros: int = 0
    nan: int = 0
    infinite: int = 0
    minimum: float = math.nan
    maximum: float = math.nan
    mean: float = math.nan
    median: float = math.nan
    deviation: float = math.nan
    average_length: float = math.nan
    top: list[tuple[str, int]] = field(default_factory=list)  # values by frequency
    distribution: Distribution | None = None

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def is_text(self) -> bool:
        return self.column_type == "string"

    @property
    def is_bool(self) -> bool:
        return self.column_type == "bool"

    @property
    def finite(self) -> int:
        """Rows that have a value which is neither NaN nor infinite."""
        return self.present - self.nan - self.infinite

    @cached_property
    def counts(self) -> dict[str, int]:
        """Each value with its exact count; empty when there are too many different ones to list."""
        listed = sum(count for _, count in self.top)
        known = self.present if self.is_text else self.finite
        return dict(self.top) if known and listed == known and LARGE_TEXT not in dict(self.top) else {}


@dataclass
class Dataset:
    """What statistics tell of a dataset or of a slice of it."""

    name: str
    rows: int
    features: dict[str, Feature]
    proto: statistics_pb2.DatasetFeatureStatistics


def read_statistics(folder: Path) -> list[Dataset]:
    """Return the statistics of all rows, then those of the slices.

    Raises:
        StepError: The file is missing or is no statistics proto.
    """
    path = folder / STATISTICS_FILE
    found = statistics_pb2.DatasetFeatureStatisticsList()
    try:
        found.ParseFromString(path.read_bytes())
    except FileNotFoundError:
        raise StepError(f"the statistics artifact {folder} holds no {STATISTICS_FILE}") from None
    except DecodeError as error:
        raise StepError(f"{path} is no DatasetFeatureStatisticsList (binary proto): {error}") from error
    if not found.datasets:
        raise StepError(f"{path} holds no dataset: compute the statistics again")
    return [summarize(dataset) for dataset in found.datasets]


def summarize(dataset: statistics_pb2.DatasetFeatureStatistics) -> Dataset:
    """Return the plain record of a dataset's statistics."""
    rows = int(dataset.num_examples)
    features = [_feature(found, rows) for found in dataset.features]
    return Dataset(dataset.name, rows, {feature.name: feature for feature in features}, dataset)


def _feature(found: statistics_pb2.FeatureNameStatistics, rows: int) -> Feature:
    extra = {statistic.name: statistic for statistic in found.custom_stats}
    textual = found.HasField("string_stats")
    common = found.string_stats.common_stats if textual else found.num_stats.common_stats
    feature = Feature(
        name=".".join(found.path.step) or found.name,
        column_type=extra[custom.COLUMN_TYPE].str if custom.COLUMN_TYPE in extra else _type(found),
        rows=rows,
        missing=rows - int(common.num_non_missing),
    )
    if textual:
        _read_text(feature, found.string_stats)
    else:
        _read_numbers(feature, found.num_stats, extra)
    return feature


def _read_text(feature: Feature, stats: statistics_pb2.StringStatistics) -> None:
    feature.unique = int(stats.unique)
    feature.average_length = stats.avg_length
    buckets = stats.rank_histogram.buckets
    feature.top = [(bucket.label, round(bucket.sample_count)) for bucket in buckets]


def _read_numbers(
    feature: Feature,
    stats: statistics_pb2.NumericStatistics,
    extra: dict[str, statistics_pb2.CustomStatistic],
) -> None:
    feature.nan = int(max((histogram.num_nan for histogram in stats.histograms), default=0))
    feature.infinite = int(extra[custom.INFINITE].num) if custom.INFINITE in extra else 0
    feature.unique = int(extra[custom.UNIQUE].num) if custom.UNIQUE in extra else 0
    feature.zeros = int(stats.num_zeros)
    if feature.present > feature.nan:
        feature.minimum, feature.maximum = stats.min, stats.max
        feature.mean, feature.median, feature.deviation = stats.mean, stats.median, stats.std_dev
    if custom.VALUES in extra:
        buckets = extra[custom.VALUES].rank_histogram.buckets
        feature.top = [(bucket.label, round(bucket.sample_count)) for bucket in buckets]
    histogram = extra[custom.QUANTILES].histogram if custom.QUANTILES in extra else _quantiles(stats)
    feature.distribution = _distribution(histogram)


def _quantiles(stats: statistics_pb2.NumericStatistics) -> statistics_pb2.Histogram:
    """Return TFDV's own quantiles: statistics that another program computed have no finer ones."""
    wanted = statistics_pb2.Histogram.QUANTILES
    return next((found for found in stats.histograms if found.type == wanted), statistics_pb2.Histogram())


def _distribution(histogram: statistics_pb2.Histogram) -> Distribution | None:
    """Return the distribution function of the finite values."""
    buckets = [found for found in histogram.buckets if math.isfinite(found.high_value)]
    total = sum(found.sample_count for found in buckets)
    if not total:
        return None
    edges: list[float] = []
    shares: list[float] = []
    counted = 0.0
    for found in buckets:
        if not edges and found.low_value < found.high_value and math.isfinite(found.low_value):
            edges, shares = [found.low_value], [0.0]
        counted += found.sample_count
        if edges and edges[-1] == found.high_value:
            shares[-1] = counted / total
        else:
            edges.append(found.high_value)
            shares.append(counted / total)
    return Distribution(edges, shares)


def _type(found: statistics_pb2.FeatureNameStatistics) -> str:
    return {Types.INT: "int64", Types.FLOAT: "double"}.get(found.type, "string")


def _last_not_above(edges: Sequence[float], value: float) -> int:
    low, high = 0, len(edges) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if edges[middle] <= value:
            low = middle
        else:
            high = middle - 1
    return low

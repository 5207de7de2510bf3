"""What Penstock adds to TFDV's statistics of a feature, as custom statistics that TFDV carries along."""

from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2

COLUMN_TYPE = "penstock/column_type"  # string, int64, double or bool, as in the Parquet file
UNIQUE = "penstock/unique"  # distinct values of a number column
INFINITE = "penstock/infinite"  # infinite values; NaN are in TFDV's own histograms
VALUES = "penstock/values"  # each value of a number column with its count, when there are few
QUANTILES = "penstock/quantiles"  # (low, high] with its count, about 1 % of the values each


def text(name: str, value: str) -> statistics_pb2.CustomStatistic:
    """Return a statistic that is a text."""
    return statistics_pb2.CustomStatistic(name=name, str=value)


def number(name: str, value: float) -> statistics_pb2.CustomStatistic:
    """Return a statistic that is a number."""
    return statistics_pb2.CustomStatistic(name=name, num=value)


def values(name: str, counts: Sequence[tuple[float | int, int]]) -> statistics_pb2.CustomStatistic:
    """Return a statistic that lists values with their counts."""
    result = statistics_pb2.CustomStatistic(name=name)
    for rank, (value, count) in enumerate(counts):
        result.rank_histogram.buckets.add(
            low_rank=rank, high_rank=rank, label=repr(value), sample_count=count
        )
    return result


def quantiles(name: str, edges: Sequence[float], at_most: Sequence[float]) -> statistics_pb2.CustomStatistic:
    """Return a statistic that holds a distribution.

    Args:
        name: Name of the statistic.
        edges: Values in ascending order, the smallest and the largest included; some may be equal.
        at_most: For each edge, how many values there are up to it.
    """
    result = statistics_pb2.CustomStatistic(name=name)
    result.histogram.type = statistics_pb2.Histogram.QUANTILES
    low, counted = edges[0], 0.0
    for edge, count in zip(edges, at_most, strict=True):
        if count > counted:
            result.histogram.buckets.add(low_value=low, high_value=edge, sample_count=count - counted)
            low, counted = edge, count
    return result

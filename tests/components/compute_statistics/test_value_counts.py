import numpy as np
import pyarrow as pa
import pytest

from penstock.components.compute_statistics.value_counts import DistinctValues, ValueCounts


def test_lists_values_by_frequency_while_they_are_few() -> None:
    counts = ValueCounts()
    counts.add(pa.array([3, 1, 3, None, 2, 3]))
    assert counts.counts() == [(3, 3), (1, 1), (2, 1)]
    assert counts.distinct() == 3


def test_gives_up_listing_but_still_counts_distinct_values() -> None:
    counts = ValueCounts()
    counts.add(pa.array(range(900)))
    counts.add(pa.array(range(500, 5_000)))
    assert counts.counts() == []
    assert counts.distinct() == 5_000


def test_merging_equals_counting_at_once() -> None:
    first, second = ValueCounts(), ValueCounts()
    first.add(pa.array([1.5, 2.5]))
    second.add(pa.array([2.5, float("nan"), float("inf")]))
    first.merge(second)
    assert first.counts() == [(2.5, 2), (1.5, 1)]
    assert first.infinite == 1


def test_merging_with_one_that_gave_up_counts_all_distinct_values() -> None:
    few, many = ValueCounts(), ValueCounts()
    few.add(pa.array([1, 2, 10_000]))
    many.add(pa.array(range(2_000)))
    few.merge(many)
    assert few.distinct() == 2_001


def test_estimates_many_distinct_values_to_three_percent() -> None:
    distinct = DistinctValues()
    values = np.random.default_rng(3).normal(size=300_000)
    for part in np.split(values, 6):
        distinct.add(part)
        distinct.add(part)
    assert distinct.estimate() == pytest.approx(300_000, rel=0.03)


def test_lists_codes_and_few_values_but_not_what_differs_in_each_row() -> None:
    def listed(values: list[float] | list[int]) -> int:
        counts = ValueCounts()
        counts.add(pa.array(values))
        return len(counts.worth_listing())

    assert listed([i % 300 for i in range(900)]) == 300
    assert listed(list(range(900))) == 0
    assert listed([i % 300 + 0.5 for i in range(900)]) == 0
    assert listed([0.5, 1.5]) == 2

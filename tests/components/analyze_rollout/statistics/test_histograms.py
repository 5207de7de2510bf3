"""Bins, quantiles and distances: against numpy and scipy, and the error rates by simulation."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from penstock.components.rollout_statistics.histograms import (
    distance,
    duration_bin,
    duration_edges,
    in_groups,
    quantile,
    radius,
    score_bin,
    score_edges,
)


@pytest.mark.parametrize("value", [0.002, 0.9, 1.0, 3.7, 250.0, 61_000.0])
def test_duration_lies_between_the_limits_of_its_bin(value):
    low, high = duration_edges(duration_bin(value))
    assert low <= value < high
    assert high / low == pytest.approx(2 ** (1 / 16))


@pytest.mark.parametrize("value", [-1e9, -3.2, -0.001, 0.0, 0.3, 0.999, 1.0, 1.5, 42.0, 1e12])
def test_score_lies_between_the_limits_of_its_bin(value):
    low, high = score_edges(score_bin(value))
    assert low <= value <= high


def test_bins_of_scores_are_in_order():
    values = [-1e9, -50.0, -3.2, -0.5, 0.0, 0.2, 0.7, 1.1, 4.0, 1e6]
    edges = [score_edges(score_bin(v))[0] for v in values]
    assert edges == sorted(edges)


def durations(n, seed=0, scale=1.0):
    return np.random.default_rng(seed).lognormal(np.log(10), 0.5, n) * scale


def test_quantile_is_numpys_but_for_the_bins():
    values = durations(50_000)
    found = quantile(Counter(map(duration_bin, values)), 0.99, 0.01)
    assert found.value == pytest.approx(np.quantile(values, 0.99), rel=0.03)
    assert found.low < np.quantile(values, 0.99) < found.high
    assert found.n == 50_000


def test_quantile_of_few_has_no_upper_bound_and_of_none_no_value():
    few = quantile(Counter(map(duration_bin, durations(40))), 0.99, 0.01)
    assert few.high == np.inf
    assert np.isnan(quantile({}, 0.99, 0.01).value)


def test_quantile_bounds_hold_the_truth_at_all_looks_together():
    truth = 10 * np.exp(0.5 * 2.3263)
    outside = 0
    for seed in range(150):
        values = durations(4000, seed)
        counts, wrong = Counter(), False
        for t in range(0, 4000, 400):
            counts.update(map(duration_bin, values[t : t + 400]))
            found = quantile(counts, 0.99, 0.05)
            wrong |= found.low > truth or found.high < truth
        outside += wrong
    assert outside / 150 <= 0.10 + 0.03  # two bounds of 5 % each


def scores(n, seed, moved=0.0):
    random = np.random.default_rng(seed)
    values = random.beta(2, 5, n)
    return Counter(map(score_bin, np.where(random.random(n) < moved, 0.97, values)))


def test_jensen_shannon_is_scipys():
    one, zero = scores(5000, 0, 0.3), scores(5000, 1)
    groups = in_groups(one, zero)
    expected = jensenshannon(groups[0], groups[1], base=2) ** 2
    found = distance(one, zero, 0.01)
    assert found.jensen_shannon == pytest.approx(expected)
    assert found.total_variation == pytest.approx(0.3, abs=0.04)
    assert 0 < found.low < found.total_variation


def test_groups_hold_a_tenth_of_the_champions_each():
    _, zero = in_groups(scores(5000, 0), scores(20_000, 1))
    assert len(zero) == 10
    assert zero == pytest.approx(2000, rel=0.25)


def test_distance_of_few_scores_is_unknown():
    assert distance(scores(199, 0), scores(5000, 1), 0.01) is None


def test_same_scores_are_not_called_apart():
    assert all(distance(scores(3000, s), scores(9000, s + 1000), 0.05).low == 0 for s in range(40))


def test_constant_predictions_are_called_apart_soon():
    constant = Counter({score_bin(0.5): 400})
    assert distance(constant, scores(8000, 1), 0.01).low > 0.25


def test_radius_holds_the_truth():
    random = np.random.default_rng(0)
    p = np.array([0.4, 0.3, 0.2, 0.05, 0.05])
    counts = random.multinomial(50, p, (400, 40)).cumsum(axis=1).astype(float)
    off = 0.5 * np.abs(counts / counts.sum(-1, keepdims=True) - p).sum(-1)
    assert (off > radius(counts, 0.05)).any(axis=1).mean() <= 0.05

"""Sample ratio, Thompson sampling, segments and weights."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from penstock.components.rollout_statistics.decision import whole_percents
from penstock.components.rollout_statistics.means import Moments
from penstock.components.rollout_statistics.sample_ratio import log_evidence
from penstock.components.rollout_statistics.segments import compare_segments, e_bh
from penstock.components.rollout_statistics.thompson import best_shares, draw_numbers, with_floor


def test_sample_ratio_evidence_is_scipys_beta_binomial_for_two_arms():
    expected = stats.betabinom.logpmf(530, 1000, 500, 500) - stats.binom.logpmf(530, 1000, 0.5)
    assert log_evidence([530, 470], [50, 50]) == pytest.approx(expected)


def test_right_split_is_seldom_called_wrong_at_any_look():
    random = np.random.default_rng(0)
    counts = random.binomial(200, 0.1, (400, 100)).cumsum(axis=1)
    totals = np.arange(200, 20_001, 200)
    ever = [
        any(
            log_evidence([n - k, k], [90, 10]) >= math.log(100)
            for k, n in zip(row[::4], totals[::4], strict=True)
        )
        for row in counts
    ]
    assert np.mean(ever) <= 0.01 + 0.01


def test_wrong_split_is_found():
    assert log_evidence([51_000, 49_000], [50, 50]) > math.log(1000)
    assert log_evidence([50_100, 49_900], [50, 50]) < 0


def probability_of_better(k1, n1, k0, n0):
    one, zero = stats.beta(1 + k1, 1 + n1 - k1), stats.beta(1 + k0, 1 + n0 - k0)
    return integrate.quad(lambda p: one.pdf(p) * zero.cdf(p), 0, 1, points=[k1 / n1, k0 / n0])[0]


def test_best_share_of_two_rates_is_the_integral_over_their_posteriors():
    arms = {"a": Moments(200, 40.0, 40.0), "b": Moments(150, 36.0, 36.0)}
    found = best_shares(arms, "binary", True, 200_000, seed=0)
    expected = probability_of_better(36, 150, 40, 200)
    assert found["b"] == pytest.approx(expected, abs=0.005)
    assert found["a"] + found["b"] == pytest.approx(1)
    assert best_shares(arms, "binary", False, 200_000, seed=0)["a"] == pytest.approx(expected, abs=0.01)


def test_same_seed_gives_the_same_shares():
    arms = {"a": Moments(20, 4.0, 4.0), "b": Moments(15, 3.0, 3.0)}
    assert best_shares(arms, "binary", True, 1000, 7) == best_shares(arms, "binary", True, 1000, 7)


def test_posterior_of_numbers_is_near_students_interval():
    values = np.random.default_rng(0).normal(3, 2, 500)
    other = np.random.default_rng(1).normal(3, 2, 500)
    arms = [Moments(len(v), v.sum(), (v**2).sum()) for v in (values, other)]
    drawn = draw_numbers(arms, 100_000, np.random.default_rng(2))[:, 0]
    student = stats.t.interval(0.95, 499, values.mean(), values.std(ddof=1) / 500**0.5)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(student, abs=0.02)


def test_floor_is_kept_and_the_rest_scaled():
    assert with_floor({"a": 0.0, "b": 1.0}, 0.05) == {"a": 0.05, "b": pytest.approx(0.95)}
    assert with_floor({"a": 0.2, "b": 0.8}, 0.9) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"a": 1, "b": 1, "c": 1}, {"a": 34, "b": 33, "c": 33}),
        ({"a": 0.05, "b": 0.949, "c": 0.001}, {"a": 5, "b": 95, "c": 0}),
    ],
)
def test_percents_sum_to_100(shares, expected):
    assert whole_percents(shares) == expected


def test_e_bh_rejects_as_by_hand():
    # m = 4, alpha = 0.1: one hypothesis needs e >= 40, two need 20, three 13.3.
    assert e_bh(np.log([50, 21, 2, 1]).tolist(), 0.1) == [True, True, False, False]
    assert e_bh(np.log([19, 39, 2, 1]).tolist(), 0.1) == [False, False, False, False]
    assert e_bh([], 0.1) == []


def pair(k0, n0, k1, n1):
    return Moments(n0, float(k0), float(k0)), Moments(n1, float(k1), float(k1))


def test_segments_tell_where_which_arm_is_better():
    outcomes = {
        ("payment", "Cash"): pair(400, 2000, 600, 2000),
        ("payment", "Card"): pair(600, 2000, 400, 2000),
        ("payment", "Other"): pair(400, 2000, 405, 2000),
        ("payment", "Rare"): pair(2, 10, 9, 10),
    }
    found = {r.value: r for r in compare_segments(outcomes, "binary", True, 0.05)}
    assert [found[v].better for v in ("Cash", "Card", "Other", "Rare")] == [
        "challenger",
        "champion",
        "undecided",
        "too few",
    ]
    assert found["Cash"].low < 0.1 < found["Cash"].high
    assert found["Rare"].difference is None
    lower_is_better = {r.value: r.better for r in compare_segments(outcomes, "binary", False, 0.05)}
    assert lower_is_better["Cash"] == "champion"


@pytest.mark.parametrize("kind", ["binary", "number"])
def test_many_equal_segments_are_seldom_called(kind):
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        outcomes = {("c", str(i)): pair(*_sample(random)) for i in range(20)}
        wrong += any(r.better != "undecided" for r in compare_segments(outcomes, kind, True, 0.05))
    assert wrong <= 5


def _sample(random):
    return random.binomial(300, 0.3), 300, random.binomial(300, 0.3), 300

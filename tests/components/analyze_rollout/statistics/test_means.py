"""Differences of means: against the published formula, and the error rates that they promise by simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from penstock.components.rollout_statistics.means import (
    Moments,
    difference,
    difference_by_period,
    log_e_above,
    mean_bounds,
    scale_of_effects,
)


def moments(values):
    values = np.asarray(values, float)
    return Moments(len(values), values.sum(), (values**2).sum())


def test_moments_are_those_of_numpy():
    found = moments([1.0, 4.0, 4.0, 7.5])
    assert found.mean == pytest.approx(np.mean([1, 4, 4, 7.5]))
    assert found.variance == pytest.approx(np.var([1, 4, 4, 7.5], ddof=1))
    assert (Moments().mean, Moments().variance) == (0, 0)


def test_evidence_is_the_mixture_of_likelihood_ratios():
    random = np.random.default_rng(0)
    one, zero = moments(random.normal(0.3, 1, 300)), moments(random.normal(0, 1, 200))
    v, d, tau = one.variance / 300 + zero.variance / 200, one.mean - zero.mean, 0.2

    def integrand(t):
        return stats.norm.pdf(d, t, v**0.5) / stats.norm.pdf(d, 0, v**0.5) * stats.norm.pdf(t, 0, tau)

    expected = np.log(integrate.quad(integrand, -3, 3)[0])
    assert float(difference(one, zero, tau, 0.05).log_e) == pytest.approx(expected, rel=1e-6)


def test_bounds_are_where_the_evidence_reaches_one_over_alpha():
    one, zero = Moments(500, 60.0, 60.0), Moments(500, 50.0, 50.0)
    found = difference(one, zero, 0.03, 0.05)
    shifted = difference(
        Moments(500, 60.0 - 500 * found.low, 0), Moments(500, 50.0, 50.0), 0.03, 0.05
    )  # another variance: recompute with the formula instead
    v = one.variance / 500 + zero.variance / 500
    gap = found.value - found.low
    log_e = 0.5 * np.log(v / (v + 0.03**2)) + 0.03**2 * gap**2 / (2 * v * (v + 0.03**2))
    assert float(log_e) == pytest.approx(np.log(20))
    assert shifted.low < shifted.high


def test_too_few_values_bound_nothing():
    found = difference(Moments(1, 1.0, 1.0), Moments(50, 5.0, 5.0), 0.1, 0.05)
    assert (float(found.low), float(found.high), float(found.log_e)) == (-np.inf, np.inf, 0.0)


def test_equal_means_are_seldom_called_different_at_any_look():
    random = np.random.default_rng(0)
    wins = random.binomial(50, 0.2, (2, 600, 200)).cumsum(axis=2)
    n = np.arange(50, 10_001, 50)
    one, zero = (Moments(np.broadcast_to(n, w.shape), w, w) for w in wins)
    found = difference(one, zero, scale_of_effects(zero), 0.05)
    looked = n >= 100
    ever = (((found.low > 0) | (found.high < 0)) & looked).any(axis=1).mean()
    assert ever <= 0.05 + 0.025


def test_a_t_test_at_every_look_would_be_wrong_far_more_often():
    random = np.random.default_rng(0)
    wins = random.binomial(50, 0.2, (2, 600, 200)).cumsum(axis=2)
    n = np.arange(50, 10_001, 50)
    p = wins / n
    z = (p[0] - p[1]) / np.sqrt(p[0] * (1 - p[0]) / n + p[1] * (1 - p[1]) / n)
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 0.3


def test_by_period_equals_the_plain_difference_where_shares_are_even():
    random = np.random.default_rng(2)
    n = np.full(40, 1000)
    wins = random.binomial(1000, 0.2, 40), random.binomial(1000, 0.25, 40)
    parts = [Moments(n, w, w) for w in wins]
    whole = [Moments(40_000, w.sum(), w.sum()) for w in wins]
    by_period, plain = difference_by_period(*parts, 0.04, 0.05), difference(*whole, 0.04, 0.05)
    assert float(by_period.value) == pytest.approx(float(plain.value))
    assert float(by_period.low) == pytest.approx(float(plain.low), rel=1e-6)


def test_by_period_is_not_misled_by_means_that_move_with_the_shares():
    # Both arms are equal; conversions rise just when the challenger gets most of the traffic.
    n1, n0 = np.array([100.0] * 10 + [900.0] * 10), np.array([900.0] * 10 + [100.0] * 10)
    rate = np.array([0.1] * 10 + [0.3] * 10)
    parts = Moments(n1, n1 * rate, n1 * rate), Moments(n0, n0 * rate, n0 * rate)
    whole = [Moments(m.n.sum(), m.total.sum(), m.squares.sum()) for m in parts]
    assert float(difference(*whole, 0.04, 0.05).low) > 0.1
    assert float(difference_by_period(*parts, 0.04, 0.05).value) == pytest.approx(0)


def test_by_period_leaves_out_periods_of_one_arm():
    parts = (
        Moments(np.array([100, 50]), np.array([20, 50]), np.array([20, 50])),
        Moments(np.array([100, 0]), np.array([10, 0]), np.array([10, 0])),
    )
    assert float(difference_by_period(*parts, 0.04, 0.05).value) == pytest.approx(0.1)
    nothing = Moments(np.zeros(3), np.zeros(3), np.zeros(3))
    assert float(difference_by_period(nothing, nothing, 0.04, 0.05).high) == np.inf


def test_one_sided_evidence_sees_only_what_is_above():
    random = np.random.default_rng(3)
    high, low = moments(random.normal(1, 1, 400)), moments(random.normal(0, 1, 400))
    assert float(log_e_above(high, low, 0.1)) > np.log(1000)
    assert float(log_e_above(low, high, 0.1)) < 0


def test_bounds_of_one_mean_hold_it():
    random = np.random.default_rng(4)
    low, high = mean_bounds(moments(random.normal(5, 2, 1000)), 0.05)
    assert low < 5 < high
    assert high - low < 1

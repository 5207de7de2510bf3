"""Rates: against numerical integration and exact arithmetic, and the error rates that they promise by simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from penstock.components.rollout_statistics.rates import (
    log_e_ratio,
    log_e_two_rates,
    log_mixture,
    rate_bounds,
)


def test_mixture_is_the_integral_of_the_likelihood_over_the_prior():
    def likelihood(p):
        return p**3 * (1 - p) ** 17 * stats.beta.pdf(p, 0.5, 0.5)

    assert np.exp(log_mixture(3, 20)) == pytest.approx(integrate.quad(likelihood, 0, 1)[0], rel=1e-6)


def test_bounds_hold_the_estimate_and_are_wider_than_an_interval_for_one_look():
    low, high = rate_bounds(50, 1000, 0.05)
    exact = stats.binomtest(50, 1000).proportion_ci(0.95)
    assert low < exact.low < 0.05 < exact.high < high
    assert high - low < 2.2 * (exact.high - exact.low)


def test_bounds_without_trials_are_everything():
    low, high = rate_bounds([0, 0, 4], [0, 10, 4], 0.05)
    assert (low[0], high[0]) == (0, pytest.approx(1))
    assert low[1] == 0
    assert high[2] == 1
    assert 0 < high[1] < 1
    assert 0 < low[2] < 1


def test_bounds_hold_the_truth_at_all_looks_together():
    random = np.random.default_rng(0)
    n = np.arange(50, 5001, 50)
    k = random.binomial(50, 0.03, (400, 100)).cumsum(axis=1)
    low, high = rate_bounds(k, n, 0.05)
    ever_outside = ((low > 0.03) | (high < 0.03)).any(axis=1).mean()
    assert ever_outside <= 0.05 + 0.03


def test_two_rates_evidence_is_the_least_over_the_hypothesis():
    k1, n1, k0, n0, ratio = 30, 400, 20, 600, 1.2
    p0 = np.linspace(0.001, 0.8, 20_000)
    logs = (
        stats.binom.logpmf(k0, n0, p0)
        - stats.binom.logpmf(k0, n0, k0 / n0)
        + stats.binom.logpmf(k1, n1, ratio * p0)
        - stats.binom.logpmf(k1, n1, k1 / n1)
    )
    best = logs.max()
    at_best = float(log_e_two_rates(k1, n1, k1, n1) - 0.0)  # equal rates: nothing above
    assert at_best < 0
    free = (
        log_mixture(k1, n1)
        + log_mixture(k0, n0)
        - (k1 * np.log(k1 / n1) + (n1 - k1) * np.log(1 - k1 / n1))
        - (k0 * np.log(k0 / n0) + (n0 - k0) * np.log(1 - k0 / n0))
    )
    assert float(log_e_two_rates(k1, n1, k0, n0, ratio)) == pytest.approx(free - best, abs=1e-4)


@pytest.mark.parametrize("ratio", [1.0, 1.2])
def test_ratio_evidence_without_periods_of_both_arms_is_none(ratio):
    assert float(log_e_ratio([5], [100], [0], [0], ratio)) == pytest.approx(0)
    assert float(log_e_ratio([0], [0], [5], [100], ratio)) == pytest.approx(0)


def test_ratio_evidence_of_one_event_is_that_of_its_arm():
    # An event at a share of 1/2: the mixture's mean of r / (r + 1) over 1/2.
    from penstock.components.rollout_statistics.rates import LOG_STEPS, LOG_WEIGHTS

    r = np.exp(LOG_STEPS)
    expected = np.log(np.sum(np.exp(LOG_WEIGHTS) * 2 * r / (r + 1)))
    assert float(log_e_ratio([1], [100], [0], [100], 1.0)) == pytest.approx(expected)


def simulated_harm(p1, p0_by_period, share_by_period, rollouts=400, seed=0):
    """Return the share of rollouts in which the evidence against a ratio of 1.2 ever reaches 20."""
    random = np.random.default_rng(seed)
    n1 = random.binomial(500, share_by_period, (rollouts, len(p0_by_period)))
    n0 = 500 - n1
    k1, k0 = random.binomial(n1, p1 * p0_by_period), random.binomial(n0, p0_by_period)
    ever = np.zeros(rollouts, bool)
    for t in range(2, len(p0_by_period), 2):
        ever |= log_e_ratio(k1[:, :t], n1[:, :t], k0[:, :t], n0[:, :t], 1.2) >= np.log(20)
    return ever.mean()


def test_equal_rates_are_seldom_called_harm_however_often_one_looks():
    assert simulated_harm(1.2, np.full(60, 0.02), np.full(60, 0.2)) <= 0.05 + 0.03


def test_rates_that_move_while_the_shares_change_are_no_harm():
    # An incident that hits both arms comes just when the challenger has most of the traffic.
    rates = np.where(np.arange(60) < 30, 0.01, 0.06)
    shares = np.where(np.arange(60) < 30, 0.05, 0.5)
    assert simulated_harm(1.0, rates, shares) <= 0.01


def test_doubled_rate_is_found():
    assert simulated_harm(2.0, np.full(60, 0.02), np.full(60, 0.3)) >= 0.99


def test_below_rejects_that_the_rate_is_at_least_twice():
    n = np.full(40, 1000)
    equal = np.full(40, 20)
    assert float(log_e_ratio(equal, n, equal, n, 2.0, above=False)) > np.log(100)
    assert float(log_e_ratio(2 * equal, n, equal, n, 2.0, above=False)) < 0


def test_two_rates_under_weights_that_follow_outcomes_keep_their_error_rate():
    random = np.random.default_rng(1)
    rollouts = 500
    sums = np.zeros((4, rollouts))
    weight, ever = np.full(rollouts, 0.5), np.zeros(rollouts, bool)
    for _ in range(60):
        n1 = random.binomial(100, weight)
        sums += n1, random.binomial(n1, 0.2), 100 - n1, random.binomial(100 - n1, 0.2)
        ever |= log_e_two_rates(sums[1], sums[0], sums[3], sums[2]) >= np.log(20)
        ahead = sums[1] / np.maximum(sums[0], 1) > sums[3] / np.maximum(sums[2], 1)
        weight = np.where(ahead, 0.9, 0.1)
    assert ever.mean() <= 0.05 + 0.03

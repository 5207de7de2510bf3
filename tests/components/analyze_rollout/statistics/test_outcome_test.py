"""The three tests of outcomes: their verdicts, and how often they are wrong when looked at again and again."""

import math

import numpy as np
import pytest

from penstock.components.rollout_settings.settings import ABTest
from penstock.components.rollout_statistics.means import Difference, Moments, difference
from penstock.components.rollout_statistics.outcome_test import Gain, gain_of, verdict_of


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Gain(0.05, 0.01, 0.09, 0.10, 0.001), "better"),
        (Gain(0.008, 0.001, 0.015, 0.016, 0.01), "open"),  # better, but by less than matters
        (Gain(-0.05, -0.09, -0.01, 0.00, 0.001), "worse"),
        (Gain(0.0, -0.02, 0.02, 0.009, 0.5), "futile"),
        (Gain(0.0, -math.inf, math.inf, math.inf, 0.5), "open"),
    ],
)
def test_verdict_follows_the_bounds(gain, verdict):
    assert verdict_of(gain, 0.01) == verdict


def test_less_is_better_turns_the_bounds_around():
    def bounds(tau, level):
        half = {0.1: 2.0, 0.04: 3.0}[round(level, 3)]
        return Difference(-1.0, -1.0 - half, -1.0 + half, math.log(5))

    champion = Moments(100, 1000.0, 10_900.0)
    assert gain_of(bounds, champion, ABTest(), True) == (-1.0, -3.0, 1.0, 2.0, pytest.approx(0.1))
    assert gain_of(bounds, champion, ABTest(), False) == (1.0, -1.0, 3.0, 4.0, pytest.approx(0.1))


def verdicts(random, gain, looks=40, each=500, repeats=200):
    """Return the first verdict of each of some tests, which look every 500 outcomes of an arm."""
    settings = ABTest()
    ones = random.binomial(each, 0.2 + gain, (repeats, looks)).cumsum(axis=1)
    zeros = random.binomial(each, 0.2, (repeats, looks)).cumsum(axis=1)
    found = []
    for one, zero in zip(ones, zeros, strict=True):
        ends = "open"
        for at in range(looks):
            n = each * (at + 1)
            arms = Moments(n, float(one[at]), float(one[at])), Moments(n, float(zero[at]), float(zero[at]))
            bounds = gain_of(
                lambda tau, level, arms=arms: difference(*arms, tau, level), arms[1], settings, True
            )
            ends = verdict_of(bounds, settings.min_effect)
            if ends != "open":
                break
        found.append(ends)
    return {name: found.count(name) / repeats for name in ("better", "worse", "futile", "open")}


def test_tests_are_wrong_as_seldom_as_told_at_many_looks():
    random = np.random.default_rng(0)
    equal = verdicts(random, 0.0)
    assert equal["better"] <= 0.05
    assert equal["worse"] <= 0.05
    assert verdicts(random, 0.01)["futile"] <= 0.02 + 0.01


def test_harm_is_called_harm_and_not_merely_futile():
    assert verdicts(np.random.default_rng(1), -0.05, looks=10)["worse"] >= 0.98

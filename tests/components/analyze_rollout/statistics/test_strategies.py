"""What each strategy does with traffic whose counts are written down."""

import numpy as np
import pytest

from penstock.components.rollout_settings.settings import read_rollout
from penstock.components.rollout_statistics.ab_test import decide_ab_test
from penstock.components.rollout_statistics.bandit import decide_bandit
from penstock.components.rollout_statistics.canary import decide_canary
from penstock.components.rollout_statistics.means import Moments
from penstock.components.rollout_statistics.traffic import Arm, Traffic

PERIODS = 10


def make_arm(requests, errors=0, outcomes=(0, 0)):
    """Return an arm whose counts are spread evenly over the periods."""
    even = np.full(PERIODS, 1 / PERIODS)
    nothing = np.zeros(PERIODS, int)
    n, wins = outcomes
    whole = Moments(n, float(wins), float(wins))
    return Arm(
        (requests * even).astype(int),
        (errors * even).astype(int),
        nothing,
        (requests * even).astype(int),
        nothing,
        outcomes=whole,
        all_outcomes=whole,
        outcome_periods=Moments(n * even, wins * even, wins * even),
    )


def make_traffic(now=10_000.0, **arms):
    starts = np.arange(PERIODS) * 300
    return Traffic({name[1:]: arm for name, arm in arms.items()}, starts, 0.0, 0.0, now)


def canary(champion, challenger, now=10_000.0, weights=None, **settings):
    traffic = make_traffic(now, v1=champion, v2=challenger)
    section = read_rollout({"canary": settings})
    return decide_canary(traffic, weights or {"1": 95, "2": 5}, "1", "2", section)


@pytest.mark.parametrize(
    ("at", "action", "to"), [(5, "advance", 25), (30, "advance", 50), (100, "promote", 100)]
)
def test_canary_goes_from_stage_to_stage(at, action, to):
    weights = {"1": 100 - at, "2": at}
    found = canary(make_arm(9500, 90), make_arm(1000, 10), weights=weights)
    assert (found.action, found.weights) == (action, {"1": 100 - to, "2": to})


def test_canary_waits_while_it_looks_like_harm():
    found = canary(make_arm(9500, 90), make_arm(1000, 20))
    assert (found.action, found.weights) == ("continue", {"1": 95, "2": 5})
    assert found.reasons[0].startswith("no step while this is open: the error rate is 2 % of 1,000 requests")
    surely = canary(make_arm(95_000, 900), make_arm(10_000, 300))
    assert surely.action == "rollback"


def test_more_errors_that_are_few_are_no_harm():
    found = canary(make_arm(950_000, 0), make_arm(50_000, 20))
    assert found.numbers["guardrails"]["error_rate"]["log_evidence"] > 20
    assert found.action == "advance"


def test_non_inferior_advances_only_when_twice_the_rate_is_ruled_out():
    few = canary(make_arm(9500, 90), make_arm(1000, 10), evidence="non_inferior")
    assert few.action == "continue"
    assert few.reasons[0] == "an error rate of 2 times the champion's is not ruled out yet"
    many = canary(make_arm(950_000, 9000), make_arm(100_000, 1000), evidence="non_inferior")
    assert many.action == "advance"
    assert many.numbers["non_inferior"]["shown"] is True
    no_errors = canary(make_arm(95_000, 0), make_arm(50_000, 0), evidence="non_inferior")
    assert no_errors.action == "advance"


def ab_test(champion, challenger, now=10_000.0, weights=None, **settings):
    traffic = make_traffic(now, v1=champion, v2=challenger)
    section = read_rollout({"strategy": "ab_test", "ab_test": settings})
    return decide_ab_test(traffic, weights or {"1": 50, "2": 50}, "1", "2", section)


@pytest.mark.parametrize(
    ("wins", "action", "words"),
    [
        (1250, "promote", "the challenger is better than the champion, by 0.05 (at least 0.0"),
        (750, "rollback", "the challenger is worse than the champion, by 0.05 (at least 0.0"),
        (1000, "continue", "neither is better yet"),
    ],
)
def test_ab_test_follows_the_bounds(wins, action, words):
    found = ab_test(make_arm(5000, 0, (5000, 1000)), make_arm(5000, 0, (5000, wins)))
    assert found.action == action
    assert found.reasons[0].startswith(words)


def test_ab_test_stops_when_the_least_effect_is_out_of_reach():
    found = ab_test(make_arm(100_000, 0, (100_000, 20_000)), make_arm(100_000, 0, (100_000, 20_000)))
    assert (found.action, found.weights) == ("stop", {"1": 100, "2": 0})
    assert found.reasons[0].startswith("the challenger is not better by 0.01, at most by 0.00")


def test_ab_test_ends_when_it_takes_too_long():
    arms = make_arm(500, 0, (500, 100)), make_arm(500, 0, (500, 100))
    assert (
        ab_test(*arms, max_outcomes=1000).reasons[0]
        == "1,000 outcomes have decided nothing: the champion stays"
    )
    found = ab_test(*arms, now=90_000.0, max_duration="P1D")
    assert found.reasons[0] == "the test has lasted P1D and decided nothing: the champion stays"


def test_better_outcomes_do_not_outweigh_what_looks_like_harm():
    found = ab_test(make_arm(5000, 50, (5000, 1000)), make_arm(5000, 90, (5000, 1250)))
    assert found.action == "continue"
    assert found.reasons[0].startswith(
        "the challenger has better outcomes, but no promotion while this is open: the error rate is 1.8 %"
    )


def bandit(weights, outcomes, **settings):
    arms = {f"v{i + 1}": make_arm(n, 0, (n, wins)) for i, (n, wins) in enumerate(outcomes)}
    section = read_rollout({"strategy": "bandit", "bandit": settings})
    return decide_bandit(make_traffic(**arms), weights, "1", section)


def test_bandit_begins_evenly_and_then_follows_the_outcomes():
    start = bandit({"1": 100, "2": 0, "3": 0}, [(40, 8), (40, 8), (40, 8)])
    assert start.weights == {"1": 34, "2": 33, "3": 33}
    found = bandit({"1": 34, "2": 33, "3": 33}, [(400, 80), (400, 80), (400, 96)])
    assert found.action == "advance"
    assert found.weights["3"] > 50
    assert min(found.weights.values()) >= 5


def test_bandit_drops_what_is_worse_and_goes_on_with_the_rest():
    found = bandit({"1": 34, "2": 33, "3": 33}, [(3000, 600), (3000, 300), (3000, 640)])
    assert found.action == "advance"
    assert found.weights["2"] == 0
    assert found.reasons[0].startswith("version '2' is worse than the champion, by 0.1")
    later = bandit(found.weights, [(5000, 1000), (3000, 300), (5000, 1060)])
    assert later.weights["2"] == 0


def test_bandit_without_challengers_ends():
    assert bandit({"1": 50, "2": 50}, [(3000, 600), (3000, 300)]).action == "rollback"
    useless = bandit({"1": 50, "2": 50}, [(100_000, 20_000), (100_000, 20_000)])
    assert (useless.action, useless.weights) == ("stop", {"1": 100, "2": 0})
    assert useless.reasons[0].startswith("version '2' is not better by 0.01, at most by 0.00")


def test_bandit_gives_nobody_up_without_proof():
    found = bandit({"1": 50, "2": 50}, [(1000, 200), (1000, 170)])
    assert found.numbers["best"]["2"] < 0.06
    assert (found.action, found.weights["2"]) == ("advance", pytest.approx(9, abs=2))


def test_bandit_promotes_the_best_of_several():
    found = bandit({"1": 34, "2": 33, "3": 33}, [(8000, 1600), (8000, 1600), (8000, 2200)])
    assert (found.action, found.weights) == ("promote", {"1": 0, "2": 0, "3": 100})
    assert found.reasons[0].startswith("version '3' is better than the champion, by 0.075 (at least 0.0")


@pytest.mark.parametrize("strategy", ["ab_test", "bandit"])
def test_what_ends_without_a_winner_is_rolled_back_where_it_looks_like_harm(strategy):
    settings = read_rollout({"strategy": strategy})
    arms = {
        "v1": make_arm(60_000, 100, (60_000, 12_000)),
        "v2": make_arm(60_000, 180, (60_000, 12_000)),
    }
    found = decide(strategy, make_traffic(**arms), settings)
    assert (found.action, found.weights) == ("rollback", {"1": 100, "2": 0})
    assert found.reasons[0].startswith("the error rate is 0.3 %")
    assert "may be chance" in found.reasons[0]
    assert "not better by 0.01" in found.reasons[1]
    arms["v2"] = make_arm(60_000, 100, (60_000, 12_000))
    assert decide(strategy, make_traffic(**arms), settings).action == "stop"


def decide(strategy, traffic, settings):
    weights = {"1": 50, "2": 50}
    if strategy == "bandit":
        return decide_bandit(traffic, weights, "1", settings)
    return decide_ab_test(traffic, weights, "1", "2", settings)


@pytest.mark.parametrize("strategy", ["ab_test", "bandit"])
def test_reason_names_the_arm_that_is_short_of_outcomes(strategy):
    traffic = make_traffic(v1=make_arm(900, 0, (900, 180)), v2=make_arm(900, 0, (30, 6)))
    reason = decide(strategy, traffic, read_rollout({"strategy": strategy})).reasons[0]
    assert reason.startswith("version '2' has 30 of 100 outcomes that a comparison takes")


def test_canary_whose_time_is_over_says_that_requests_are_missing():
    found = canary(make_arm(950, 9), make_arm(50, 0), now=90_000.0, hold="PT2H")
    assert (found.action, found.weights) == ("continue", {"1": 95, "2": 5})
    assert found.reasons[0] == (
        "the stage of 5 % has lasted its 2.0 h, but the challenger has answered 50 of 500 requests "
        "(min_requests) in this stage"
    )


def test_challenger_that_gets_no_request_is_not_promoted_by_any_strategy():
    nobody = make_arm(0)
    waits = canary(make_arm(9500, 90), nobody, now=90_000.0)
    assert (waits.action, waits.weights) == ("continue", {"1": 95, "2": 5})
    assert "answered 0 of 500 requests" in waits.reasons[0]
    split = ab_test(make_arm(9500, 90, (9500, 1900)), nobody)
    assert (split.action, split.reasons[0]) == (
        "rollback",
        "the challenger got 0 % of 9,500 requests, told were 50 %: the split is not as told, nothing here can be trusted",
    )
    traffic = make_traffic(v1=make_arm(9500, 90, (9500, 1900)), v2=nobody)
    share = decide_bandit(traffic, {"1": 50, "2": 50}, "1", read_rollout({"strategy": "bandit"}))
    assert (share.action, share.weights) == ("continue", {"1": 50, "2": 50})
    assert share.reasons[0].startswith("version '2' has 0 of 100 outcomes")

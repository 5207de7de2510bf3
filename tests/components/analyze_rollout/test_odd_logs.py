"""What real logs have: numbers that are none, clocks apart, ids twice, outcomes early, unknown or far out."""

import random

import pytest

from tests.components.analyze_rollout.request_logs import (
    iso,
    make_outcomes,
    make_requests,
    write_lines,
    write_log,
)

EVEN = {"1": 50, "2": 50}
AB = {"strategy": "ab_test"}


def test_scores_and_durations_that_are_no_number_are_counted_as_such(tmp_path, analyze):
    odd = [float("nan"), float("inf"), None, "0.5"]
    one = [
        r | {"scores": [odd[i % 4]], "duration_ms": odd[i % 4]} for i, r in enumerate(make_requests("2", 600))
    ]
    write_log(tmp_path / "logs", make_requests("1", 600, seed=1) + one)
    outputs, record = analyze(current_weights=EVEN)
    assert (record["arms"]["2"]["rows"], record["arms"]["2"]["nans"]) == (600, 600)
    assert (outputs["decision"], outputs["verdict"]) == ("rollback", "block")
    assert "predictions that are no number is 100 %" in outputs["reasons"][0]


def test_both_versions_without_numbers_are_no_harm_of_the_challenger(tmp_path, analyze):
    arms = [make_requests(v, 600, seed=i, scores=[float("nan")]) for i, v in enumerate("12")]
    write_log(tmp_path / "logs", arms[0] + arms[1])
    outputs, _ = analyze(current_weights={"1": 95, "2": 5})
    assert outputs["decision"] == "advance"


def test_challenger_without_a_request_waits_and_is_named(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 3000))
    outputs, _ = analyze(since=iso(0), now=iso(90_000))
    assert (outputs["decision"], outputs["verdict"]) == ("continue", "warn")
    assert "but the challenger has answered 0 of 500 requests" in outputs["reasons"][0]
    assert "version '2' is not in the logs, which have" not in outputs["reasons"][-1]
    assert outputs["reasons"][-1] == "version '2' is not in the logs: it has answered nothing yet"


def test_clocks_apart_lose_no_request_but_those_far_in_the_future(tmp_path, analyze):
    ahead = [r | {"version": "2"} for r in make_requests("1", 50, seed=1, begin=3710, end=3900)]
    broken = [r | {"version": "2"} for r in make_requests("1", 20, seed=2, begin=90_000, end=90_100)]
    write_log(tmp_path / "logs", make_requests("1", 50) + ahead + broken)
    # The clock of who writes outcomes is behind that of the service: they seem to come before their requests.
    write_lines(tmp_path / "o.jsonl", make_outcomes(ahead, 1.0, delay_s=-200))
    outputs, record = analyze(current_weights=EVEN, outcomes=str(tmp_path / "o.jsonl"), rollout=AB)
    assert record["arms"]["2"]["requests"] == 50
    assert record["arms"]["2"]["outcomes"] == 50
    assert "20 records lie in the future and are left out: compare the clocks" in outputs["reasons"]


def test_request_ids_twice_take_one_outcome_for_whoever_answered_first(tmp_path, analyze):
    first = make_requests("1", 200, end=600)
    again = [r | {"version": "2", "time": iso(700)} for r in first]  # the caller asked once more
    write_log(tmp_path / "logs", first + again)
    write_lines(tmp_path / "o.jsonl", make_outcomes(first, 1.0, delay_s=300) * 2)
    outputs, record = analyze(current_weights=EVEN, outcomes=str(tmp_path / "o.jsonl"), rollout=AB)
    assert {v: (a["requests"], a["outcomes"]) for v, a in record["arms"].items()} == {
        "1": (200, 200),
        "2": (200, 0),
    }
    assert outputs["decision"] == "continue"
    assert outputs["reasons"][0] == "version '2' has 0 of 100 outcomes that a comparison takes"


def test_outcomes_before_their_requests_are_joined_at_a_later_look(tmp_path, analyze):
    requests = make_requests("1", 150) + make_requests("2", 150, seed=1)
    state = {"state_uri": str(tmp_path / "state.sqlite"), "outcomes": str(tmp_path / "o.jsonl")}
    write_lines(tmp_path / "o.jsonl", make_outcomes(requests, 1.0))
    outputs, _ = analyze(current_weights=EVEN, rollout=AB, **state)
    assert outputs["reasons"][0] == "there are no logs of these versions yet: nothing is judged"
    write_log(tmp_path / "logs", requests)
    _, record = analyze(current_weights=EVEN, rollout=AB, **state)
    assert {v: a["outcomes"] for v, a in record["arms"].items()} == {"1": 150, "2": 150}


@pytest.mark.parametrize("strategy", ["ab_test", "bandit"])
def test_missing_outcomes_are_told_with_the_way_to_write_them(tmp_path, analyze, strategy):
    requests = make_requests("1", 200) + make_requests("2", 200, seed=1)
    write_log(tmp_path / "logs", requests)
    place = tmp_path / "outcomes"
    given = {"current_weights": EVEN, "rollout": {"strategy": strategy, "outcome": {"window": "PT5M"}}}

    def last_reason(**more):
        outputs, _ = analyze(**given, **more)
        assert (outputs["decision"], outputs["verdict"]) == ("continue", "warn")
        assert outputs["reasons"][0].startswith("version '1' has 0 of 100 outcomes")
        return outputs["reasons"][-1]

    line = '{"request_id": "…", "outcome": 1, "time": "2026-11-21T18:00:00Z"} (.jsonl or .parquet), '
    the_id = "`request_id` must be what the service returned as x-request-id"
    assert last_reason() == (
        f"the strategy {strategy} needs outcomes, and `outcomes` is empty: name the folder (`serving.outcomes` of "
        f"the environment file) of files of lines such as {line}whose {the_id}"
    )
    assert last_reason(outcomes=str(place)) == (
        f"the strategy {strategy} needs outcomes, and {place} has none yet: write files of lines such as {line}"
        f"whose {the_id} there"
    )
    write_lines(
        place / "a.jsonl", [o | {"request_id": o["request_id"] + "?"} for o in make_outcomes(requests, 1)]
    )
    assert last_reason(outcomes=str(place)) == (
        f"none of the 400 outcomes in {place} is of a request in the logs: {the_id}"
    )
    write_lines(place / "a.jsonl", make_outcomes(requests, 1, delay_s=900))
    assert last_reason(outcomes=str(place)).startswith("none of the ")
    assert last_reason(outcomes=str(place)).endswith(" came within `outcome.window` (PT5M) after its request")


def test_labels_of_many_classes_are_compared(tmp_path, analyze):
    classes = ["Cash", "Credit Card", "épargne", "a-b"]
    seen = [r | {"labels": [classes[i % 4]]} for i, r in enumerate(make_requests("1", 1200, errors=0))]
    mirrored = [r | {"version": "2"} for r in seen[:900]]
    mirrored += [r | {"version": "2", "labels": ["Mobile"]} for r in seen[900:]]
    write_log(tmp_path / "logs", seen + mirrored)
    outputs, record = analyze(current_weights={"1": 100}, rollout={"strategy": "shadow"})
    assert outputs["decision"] == "stop"
    assert record["numbers"]["pairs"]["agree"] == 0.75


def regression_outcomes(requests, means, seed=0):
    noise = random.Random(seed)
    return [
        {"request_id": r["request_id"], "time": r["time"], "outcome": noise.gauss(means[r["version"]], 3)}
        for r in requests
    ]


@pytest.mark.parametrize("strategy", ["ab_test", "bandit"])
def test_few_outliers_make_no_winner(tmp_path, analyze, strategy):
    requests = make_requests("1", 1500) + make_requests("2", 1500, seed=1)
    write_log(tmp_path / "logs", requests)
    outcomes = regression_outcomes(requests, {"1": 10, "2": 10})
    for i in (1600, 2000, 2400):  # of the challenger
        outcomes[i]["outcome"] = 1e7
    rollout = {"strategy": strategy, "outcome": {"kind": "number"}}
    write_lines(tmp_path / "o.jsonl", outcomes)
    outputs, record = analyze(current_weights=EVEN, outcomes=str(tmp_path / "o.jsonl"), rollout=rollout)
    assert record["arms"]["2"]["outcome_mean"] > 10_000
    assert outputs["decision"] in ("continue", "advance")
    assert sum(outputs["weights"].values()) == 100
    assert min(outputs["weights"].values()) >= 5


def test_outcomes_that_are_not_finite_are_left_out(tmp_path, analyze):
    requests = make_requests("1", 300) + make_requests("2", 300, seed=1)
    write_log(tmp_path / "logs", requests)
    outcomes = regression_outcomes(requests, {"1": 10, "2": 10})
    for i, value in enumerate((float("inf"), float("-inf"), float("nan"), 1e200, None, "7")):
        outcomes[i]["outcome"] = value
    write_lines(tmp_path / "o.jsonl", outcomes)
    rollout = AB | {"outcome": {"kind": "number"}}
    outputs, record = analyze(current_weights=EVEN, outcomes=str(tmp_path / "o.jsonl"), rollout=rollout)
    assert record["arms"]["1"]["outcomes"] == 294
    assert record["arms"]["1"]["outcome_mean"] == pytest.approx(10, abs=1)
    assert "6 lines of the outcomes are no outcomes and are left out" in outputs["reasons"]


def test_status_of_a_column_with_gaps_is_read(tmp_path, analyze):
    write_log(
        tmp_path / "logs", [r | {"status": float(r["status"])} for r in make_requests("1", 100, errors=0.5)]
    )
    _, record = analyze()
    assert 30 < record["arms"]["1"]["errors"] < 70


@pytest.mark.parametrize(
    ("span_s", "label"),
    [
        (90, "seconds since the first request"),
        (600, "minutes since the first request"),
        (4 * 3600, "hours since the first request"),
        (3 * 86_400, "days since the first request"),
    ],
)
def test_time_axis_suits_the_span(tmp_path, analyze, span_s, label):
    requests = [r for v in "12" for r in make_requests(v, 100, end=span_s)]
    write_log(tmp_path / "logs", requests)
    period = max(1, span_s // 100)
    _, record = analyze(now=iso(span_s), rollout={"period": f"PT{period}S"})
    assert record["curves"]["seconds"][-1] == pytest.approx(span_s, rel=0.1)
    assert label in (tmp_path / "out" / "report").read_text()

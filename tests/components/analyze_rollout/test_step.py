"""The step on logs as the service writes them: decisions, joins, cursors, and what must be said of broken logs."""

import datetime
import json
import random

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.components.analyze_rollout.request_logs import (
    START,
    iso,
    make_outcomes,
    make_requests,
    write_lines,
    write_log,
)

EVEN = {"1": 50, "2": 50}


def test_canary_without_harm_advances(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 9500) + make_requests("2", 600, seed=3))
    outputs, record = analyze()
    assert (outputs["decision"], outputs["weights"]) == ("advance", {"1": 75, "2": 25})
    assert outputs["verdict"] == "pass"
    assert outputs["reasons"][0] == "the stage of 5 % is over without harm: on to 25 %"
    assert record["arms"]["2"]["requests"] == 600
    assert record["read"]["requests"] == 10_100


def test_canary_waits_until_the_stage_is_over(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 2000) + make_requests("2", 100, seed=3))
    outputs, _ = analyze(since=iso(3000))
    assert (outputs["decision"], outputs["weights"]) == ("continue", {"1": 95, "2": 5})
    assert outputs["reasons"][0] == "the stage of 5 % has lasted 12 min of 60 min"
    recent = sum(r["time"] >= iso(3000) for r in make_requests("2", 100, seed=3))
    assert outputs["reasons"][1] == f"the challenger has answered {recent} of 500 requests in this stage"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ({"errors": 0.08}, "the error rate is"),
        ({"scale": 3.0}, "the p99 latency is"),
        ({"shift": 4.0}, "of the scores lie elsewhere"),
        ({"scores": [None]}, "no number is 100 %"),
        ({"status": 400, "scores": [], "labels": []}, "the share of refused requests is 100 %"),
    ],
)
def test_harm_is_rolled_back_before_the_stage_is_over(tmp_path, analyze, harm, words):
    write_log(tmp_path / "logs", make_requests("1", 9500) + make_requests("2", 1500, seed=3, **harm))
    outputs, _ = analyze(since=iso(0), now=iso(3500))
    assert (outputs["decision"], outputs["weights"]) == ("rollback", {"1": 100, "2": 0})
    assert outputs["verdict"] == "block"
    assert words in outputs["reasons"][0]
    assert outputs["reasons"][0].endswith("which is harm")
    assert "<strong>Roll back:</strong>" in (tmp_path / "out" / "report").read_text()


def test_last_stage_is_followed_by_promotion(tmp_path, analyze):
    requests = make_requests("1", 5000, end=1000) + make_requests("2", 5000, seed=4, begin=1200)
    write_log(tmp_path / "logs", requests)
    outputs, _ = analyze(current_weights={"1": 0, "2": 100}, since=iso(1200), now=iso(4900))
    assert (outputs["decision"], outputs["weights"]) == ("promote", {"1": 0, "2": 100})


def test_harm_in_the_last_stage_is_held_against_the_champions_earlier_traffic(tmp_path, analyze):
    requests = make_requests("1", 5000, end=1000) + make_requests("2", 5000, seed=4, begin=1200, errors=0.03)
    write_log(tmp_path / "logs", requests)
    outputs, _ = analyze(current_weights={"1": 0, "2": 100}, since=iso(1200), now=iso(1300 + 3600))
    assert (outputs["decision"], outputs["weights"]) == ("rollback", {"1": 100, "2": 0})


def ab_logs(folder, better=0.30, n=6000):
    one, zero = make_requests("2", n, seed=5), make_requests("1", n, seed=6)
    write_log(folder / "logs", one + zero)
    outcomes = make_outcomes(zero, 0.2, 1) + make_outcomes(one, better, 2, by_segment={"Cash": better + 0.1})
    write_lines(folder / "outcomes" / "a.jsonl", outcomes)
    return one, zero, outcomes


def test_ab_test_promotes_what_is_better_and_tells_where(tmp_path, analyze):
    ab_logs(tmp_path)
    outputs, record = analyze(
        current_weights=EVEN,
        outcomes=str(tmp_path / "outcomes"),
        rollout={"strategy": "ab_test", "segments": ["payment_type", {"column": "trip miles", "edges": [5]}]},
    )
    assert (outputs["decision"], outputs["weights"]) == ("promote", {"1": 0, "2": 100})
    assert record["numbers"]["outcome"]["champion_n"] == 6000
    segments = {f"{r['column']}={r['value']}": r["better"] for r in record["numbers"]["segments"]}
    assert segments["payment_type=Cash"] == "challenger"
    assert {"trip miles=below 5", "trip miles=5 or more"} < segments.keys()
    assert "Challenger less champion by segment" in (tmp_path / "out" / "report").read_text()


def test_ab_test_rolls_back_what_is_worse(tmp_path, analyze):
    ab_logs(tmp_path, better=0.02)
    outputs, _ = analyze(
        current_weights=EVEN, outcomes=str(tmp_path / "outcomes"), rollout={"strategy": "ab_test"}
    )
    assert outputs["decision"] == "rollback"
    assert outputs["reasons"][0].startswith("the challenger is worse than the champion, by 0.")


def test_split_that_is_not_as_told_is_believed_nothing(tmp_path, analyze):
    one, zero = make_requests("2", 3000, seed=5), make_requests("1", 6000, seed=6)
    write_log(tmp_path / "logs", one + zero)
    write_lines(tmp_path / "outcomes.jsonl", make_outcomes(one, 0.9) + make_outcomes(zero, 0.1))
    outputs, _ = analyze(
        current_weights=EVEN, outcomes=str(tmp_path / "outcomes.jsonl"), rollout={"strategy": "ab_test"}
    )
    assert outputs["decision"] == "rollback"
    assert outputs["reasons"][0] == (
        "the challenger got 33.3 % of 9,000 requests, told were 50 %: the split is not as told, "
        "nothing here can be trusted"
    )


def test_outcomes_count_once_and_late_ones_within_their_window(tmp_path, analyze):
    requests = make_requests("1", 300, end=600) + make_requests("2", 300, seed=1, end=600)
    write_log(tmp_path / "logs", requests)
    outcomes = make_outcomes(requests, 1.0)
    again = [o | {"outcome": 0, "time": iso(3600)} for o in outcomes]  # later ones change nothing
    write_lines(tmp_path / "outcomes.jsonl", [*outcomes, *outcomes, *again])
    late = [o | {"request_id": "unknown"} for o in outcomes[:5]]
    write_lines(tmp_path / "outcomes.jsonl", late, "a")
    settings = {"strategy": "ab_test", "outcome": {"window": "PT5M"}}
    source = {"current_weights": EVEN, "outcomes": str(tmp_path / "outcomes.jsonl")}
    _, record = analyze(**source, rollout=settings)
    assert {v: (a["outcomes"], a["outcome_mean"]) for v, a in record["arms"].items()} == {
        "1": (300, 1.0),
        "2": (300, 1.0),
    }
    settings["outcome"]["window"] = "PT30S"  # all came after a minute
    _, record = analyze(**source, rollout=settings)
    assert record["arms"]["1"]["outcomes"] == 0


def test_missing_outcomes_count_as_zero_once_their_window_is_over(tmp_path, analyze):
    requests = make_requests("1", 200, end=1000) + make_requests("2", 200, seed=1, begin=3600, end=3650)
    write_log(tmp_path / "logs", requests)
    write_lines(tmp_path / "outcomes.jsonl", make_outcomes(requests[:50], 1.0))
    _, record = analyze(
        current_weights=EVEN,
        outcomes=str(tmp_path / "outcomes.jsonl"),
        rollout={"strategy": "ab_test", "outcome": {"missing": "zero", "window": "PT10M"}},
    )
    assert (record["arms"]["1"]["outcomes"], record["arms"]["1"]["outcome_mean"]) == (200, 0.25)
    assert record["arms"]["2"]["outcomes"] == 0  # too young to tell


def test_bandit_moves_weights_towards_the_better_arm(tmp_path, analyze):
    arms = [make_requests(v, 400, seed=i) for i, v in enumerate(("1", "2", "3"))]
    write_log(tmp_path / "logs", [r for arm in arms for r in arm])
    outcomes = [o for arm, rate in zip(arms, (0.2, 0.2, 0.26), strict=True) for o in make_outcomes(arm, rate)]
    write_lines(tmp_path / "outcomes.jsonl", outcomes)
    outputs, record = analyze(
        challenger="2,3",
        current_weights={"1": 34, "2": 33, "3": 33},
        outcomes=str(tmp_path / "outcomes.jsonl"),
        rollout={"strategy": "bandit", "bandit": {"floor": 10}},
    )
    weights = outputs["weights"]
    assert outputs["decision"] == "advance"
    assert sum(weights.values()) == 100
    assert weights["3"] == max(weights.values())
    assert min(weights.values()) >= 10
    assert record["numbers"]["best"]["3"] > 0.5


def test_bandit_with_numbers_promotes_the_cheaper_arm(tmp_path, analyze):
    requests = make_requests("1", 2000, seed=1) + make_requests("2", 2000, seed=2)
    write_log(tmp_path / "logs", requests)
    noise = random.Random(0)
    outcomes = [
        {
            "request_id": r["request_id"],
            "time": r["time"],
            "outcome": noise.gauss(10 if r["version"] == "1" else 8, 3),
        }
        for r in requests
    ]
    write_lines(tmp_path / "outcomes.jsonl", outcomes)
    outputs, _ = analyze(
        current_weights=EVEN,
        outcomes=str(tmp_path / "outcomes.jsonl"),
        rollout={"strategy": "bandit", "outcome": {"kind": "number", "higher_is_better": False}},
    )
    assert (outputs["decision"], outputs["weights"]) == ("promote", {"1": 0, "2": 100})


def test_shadow_compares_and_shifts_nothing(tmp_path, analyze):
    seen = make_requests("1", 2000)
    mirrored = [r | {"version": "2", "status": 500, "scores": [], "labels": []} for r in seen[:800]]
    mirrored += [r | {"version": "2"} for r in seen[800:]]
    write_log(tmp_path / "logs", seen + mirrored)
    outputs, record = analyze(current_weights={"1": 100}, rollout={"strategy": "shadow"})
    assert (outputs["decision"], outputs["weights"]) == ("stop", {"1": 100, "2": 0})
    assert outputs["verdict"] == "pass"
    assert outputs["reasons"][0] == (
        "2,000 mirrored requests are compared: a canary would be rolled back for its error rate"
    )
    pairs = record["numbers"]["pairs"]
    assert (pairs["difference"], pairs["agree"]) == (0.0, 1.0)
    assert pairs["n"] == sum(bool(r["scores"]) for r in seen[800:])


def as_parquet(records, path):
    texts = [r | {"instances": json.dumps(r["instances"]), "predictions": None} for r in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(texts), path)


def test_parquet_and_compressed_logs_give_what_lines_give(tmp_path, analyze):
    one, zero, outcomes = ab_logs(tmp_path, n=800)
    settings = {
        "current_weights": EVEN,
        "rollout": {"strategy": "ab_test", "segments": ["payment_type"]},
        "outcomes": str(tmp_path / "outcomes"),
    }
    _, lines = analyze(**settings)
    as_parquet(zero, tmp_path / "other" / "taxi" / "1" / "2026-11-21" / "a.parquet")
    with fsspec.open(str(tmp_path / "other" / "b.jsonl.gz"), "wt", compression="gzip") as file:
        file.writelines(json.dumps(r) + "\n" for r in one)
    moments = [o | {"time": datetime.datetime.fromisoformat(o["time"])} for o in outcomes]
    pq.write_table(pa.Table.from_pylist(moments), tmp_path / "outcomes.parquet")
    settings["outcomes"] = str(tmp_path / "outcomes.parquet")
    _, parquet = analyze(**settings, logs=str(tmp_path / "other"))
    assert lines["arms"] == parquet["arms"]
    assert lines["numbers"] == parquet["numbers"]


def test_going_on_gives_the_same_as_reading_anew(tmp_path, analyze):
    one, zero, outcomes = ab_logs(tmp_path, n=1000)
    everything = sorted(one + zero, key=lambda r: r["time"])
    rollout = {"strategy": "ab_test", "segments": ["payment_type"]}
    settings = {"current_weights": EVEN, "rollout": rollout, "outcomes": str(tmp_path / "late.jsonl")}
    (tmp_path / "logs2").mkdir()
    state = {"state_uri": str(tmp_path / "state" / "rollout.sqlite"), "logs": str(tmp_path / "logs2")}
    random.Random(0).shuffle(outcomes)
    for part in range(4):
        write_lines(tmp_path / "logs2" / "a.jsonl", everything[part * 500 : part * 500 + 500], "a")
        write_lines(tmp_path / "late.jsonl", outcomes[part * 500 : part * 500 + 500], "a")
        _, going_on = analyze(**settings, **state)
    _, anew = analyze(**settings, logs=str(tmp_path / "logs2"))
    assert len(going_on["decisions"]) == 4
    assert len(anew["decisions"]) == 1
    for key in ("arms", "numbers", "curves", "scores", "action"):
        assert going_on[key] == anew[key]
    assert going_on["read"]["requests"] == 2000


def test_last_line_without_its_end_waits_for_the_next_call(tmp_path, analyze):
    records = make_requests("1", 30) + make_requests("2", 30)
    path = write_lines(tmp_path / "logs" / "a.jsonl", records[:-1])
    last = json.dumps(records[-1])
    path.write_text(path.read_text() + last[:40])
    state = {"state_uri": str(tmp_path / "state.sqlite")}
    _, record = analyze(**state)
    assert record["read"]["requests"] == 59
    assert "malformed lines" not in record["read"]
    path.write_text(path.read_text() + last[40:] + "\n")
    _, record = analyze(**state)
    assert record["read"]["requests"] == 60


def test_file_that_was_written_anew_is_not_counted_twice(tmp_path, analyze):
    path = tmp_path / "logs" / "a.jsonl"
    write_lines(path, make_requests("1", 50) + make_requests("2", 50))
    state = {"state_uri": str(tmp_path / "state.sqlite")}
    analyze(**state)
    write_lines(path, make_requests("1", 20) + make_requests("2", 20))
    _, record = analyze(**state)
    assert record["read"]["requests"] == 40
    assert record["read_anew"] == f"{path} was read before and has been written anew"
    assert len(record["decisions"]) == 2


def test_other_rollout_begins_anew_in_the_same_state(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 50) + make_requests("2", 50) + make_requests("3", 50))
    state = {"state_uri": str(tmp_path / "state.sqlite")}
    analyze(**state)
    _, record = analyze(**state, challenger="3", current_weights={"1": 95, "3": 5})
    assert record["arms"].keys() == {"1", "3"}
    assert record["read_anew"] == "the rollout or what is counted has changed"


def test_state_and_logs_may_lie_at_any_uri(tmp_path, analyze):
    filesystem = fsspec.filesystem("memory")
    records = make_requests("1", 40) + make_requests("2", 40)
    text = "".join(json.dumps(r) + "\n" for r in records)
    filesystem.pipe_file("/bucket/logs/taxi/1/2026-11-21/a.jsonl", text.encode())
    filesystem.pipe_file("/bucket/logs/taxi/1/2026-11-20/old.jsonl", b"never opened")
    uris = {"logs": "memory://bucket/logs", "state_uri": "memory://bucket/state.sqlite"}
    analyze(**uris)
    _, record = analyze(**uris)
    assert record["read"] == {"requests": 80, "files with something new": 1}
    assert len(record["decisions"]) == 2


def test_no_logs_yet_is_an_answer(tmp_path, analyze):
    outputs, record = analyze()
    assert (outputs["decision"], outputs["weights"]) == ("continue", {"1": 95, "2": 5})
    assert outputs["verdict"] == "warn"
    assert outputs["reasons"] == [
        "there are no logs of these versions yet: nothing is judged",
        "version '1' is not in the logs: it has answered nothing yet",
        "version '2' is not in the logs: it has answered nothing yet",
    ]
    assert record["curves"] == {}
    assert "Wait" in (tmp_path / "out" / "report").read_text()


def test_unknown_version_is_named(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 800) + make_requests("v2", 800))
    outputs, _ = analyze()
    assert outputs["verdict"] == "warn"
    assert "version '2' is not in the logs, which have 'v2'; did you mean 'v2'?" in outputs["reasons"]
    assert (
        "800 requests of version 'v2', which is not part of the rollout, are left out" in outputs["reasons"]
    )


def test_malformed_lines_are_skipped_and_counted(tmp_path, analyze):
    good = make_requests("1", 20) + make_requests("2", 20)
    path = write_lines(tmp_path / "logs" / "a.jsonl", good)
    bad = ["{not json", "[]", '"text"', "17", "null", "{}", json.dumps(good[0] | {"time": "yesterday"})]
    bad += [json.dumps(good[0] | {"version": None}), json.dumps(good[0] | {"status": "ok"}), "\x00\x01", ""]
    with path.open("ab") as file:
        file.write(("\n".join(bad) + "\n").encode() + b"\xff\xfe\n" + b"[" * 100_000 + b"\n")
    write_lines(
        tmp_path / "o.jsonl", [{"request_id": "x"}, {"request_id": "x", "outcome": 3, "time": iso(1)}]
    )
    outputs, record = analyze(outcomes=str(tmp_path / "o.jsonl"))
    assert record["read"]["malformed lines"] == 12
    assert record["read"]["malformed outcomes"] == 2
    assert record["read"]["requests"] == 40
    assert "12 lines of the logs are no request records and are left out" in outputs["reasons"]
    assert outputs["verdict"] == "warn"


def test_requests_before_the_rollout_and_of_other_models_do_not_count(tmp_path, analyze):
    write_log(
        tmp_path / "logs",
        make_requests("1", 30, begin=-3000, end=-10)
        + make_requests("1", 40)
        + make_requests("1", 50, model="fraud"),
    )
    _, record = analyze(model_name="taxi")
    assert record["read"] == {
        "requests before the rollout": 30,
        "requests": 40,
        "requests of other models": 50,
        "files with something new": 2,
    }


def test_empty_growing_file_is_no_fault(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 30))
    (tmp_path / "logs" / "new.jsonl").touch()
    (tmp_path / "logs" / ".b.parquet.partial").write_bytes(b"half")
    _, record = analyze()
    assert record["read"]["requests"] == 30


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"champion": "2"}, "version '2' is both champion and challenger"),
        ({"challenger": ""}, "challenger is empty: name the version that is tried"),
        ({"challenger": "2,3"}, "challenger is '2,3': the strategy canary compares one, bandit several"),
        ({"current_weights": {"1": 95}}, "current_weights sum to 95, expected 100: {'1': 95}"),
        (
            {"current_weights": {"1": 50, "7": 50}},
            "current_weights gives 50 % to version '7', which is not part of the rollout (1, 2)",
        ),
        ({"since": "noon"}, "since is 'noon': expected a time such as 2026-11-21T18:00:00Z"),
        (
            {"started": "2026-11-22T00:00:00Z"},
            f"the weights or the rollout begin after now ({iso(3700)}): correct started, since or now",
        ),
        (
            {"rollout": {"period": "5m"}},
            "rollout.period is '5m': expected an ISO 8601 duration, such as PT5M",
        ),
        ({"logs": "nowhere://bucket/logs"}, "the source 'nowhere://bucket/logs' cannot be read"),
    ],
)
def test_wrong_parameters_are_one_sentence(analyze, parameters, sentence):
    found = analyze(**parameters)
    assert isinstance(found, str)
    assert sentence in found


def test_broken_state_is_one_sentence(tmp_path, analyze):
    state = tmp_path / "state.sqlite"
    state.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    assert analyze(state_uri=str(state)).endswith("delete it, it is made anew from the logs")


def test_clock_of_another_machine_may_be_a_little_ahead(tmp_path, analyze):
    write_log(tmp_path / "logs", make_requests("1", 30))
    _, record = analyze(since=iso(3720), now=iso(3700))
    assert record["now_s"] == (START + datetime.timedelta(seconds=3720)).timestamp()

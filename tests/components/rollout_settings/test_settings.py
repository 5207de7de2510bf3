"""The section `rollout`: what is accepted, and a sentence for everything else."""

import dataclasses
import sys

import pytest

from penstock.components.rollout_settings.settings import (
    RANGES,
    Rollout,
    Segment,
    read_rollout,
    seconds_of,
)
from penstock.components.step_io.errors import StepError


def test_empty_section_is_a_canary_with_the_defaults():
    rollout = read_rollout({})
    assert rollout == Rollout()
    assert rollout.strategy == "canary"
    assert rollout.canary.stages == (5, 25, 50, 100)
    assert rollout.period_s == 300


def test_everything_given_is_taken():
    rollout = read_rollout(
        {
            "strategy": "ab_test",
            "period": "PT30S",
            "guardrails": {"error_ratio": 1.5, "outcome_drop": None, "latency_ratio": 0},
            "ab_test": {"split": 20, "min_effect": 0.02, "max_duration": ""},
            "outcome": {"kind": "number", "higher_is_better": False, "missing": "zero", "window": "PT2H"},
            "segments": ["payment type", {"column": "trip miles", "edges": [1, 5.5]}],
        }
    )
    assert rollout.period_s == 30
    assert (rollout.guardrails.error_ratio, rollout.guardrails.outcome_drop) == (1.5, None)
    assert (rollout.ab_test.split, rollout.ab_test.max_duration) == (20, "")
    assert (rollout.outcome.kind, rollout.outcome.higher_is_better) == ("number", False)
    assert rollout.segments == (Segment("payment type"), Segment("trip miles", (1.0, 5.5)))


def test_period_follows_a_short_hold_time():
    assert read_rollout({"canary": {"hold": "PT1M"}}).period_s == 5
    assert read_rollout({"canary": {"hold": "PT0S"}}).period_s == 1


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (
            {"strategy": "canari"},
            "rollout.strategy is 'canari'; did you mean 'canary'? allowed are canary, ab_test, bandit, shadow",
        ),
        ({"canary": 5}, "rollout.canary is 5: expected a mapping"),
        (
            {"canary": {"stages": [5, 50]}},
            "rollout.canary.stages is [5, 50]: expected two or more rising percents that end with 100",
        ),
        (
            {"canary": {"stages": [5, 2.5, 100]}},
            "rollout.canary.stages is [5, 2.5, 100]: expected whole percents from 1 to 100",
        ),
        (
            {"canary": {"hold": "1h"}},
            "rollout.canary.hold is '1h': expected an ISO 8601 duration, such as PT5M, PT1H or P7D",
        ),
        ({"bandit": {"floor": 60}}, "rollout.bandit.floor is 60: expected 0 to 50"),
        ({"bandit": {"seed": True}}, "rollout.bandit.seed is True: expected a whole number"),
        ({"ab_test": {"split": 12.5}}, "rollout.ab_test.split is 12.5: expected a whole number"),
        ({"ab_test": {"alpha": float("nan")}}, "rollout.ab_test.alpha is nan: expected a number"),
        (
            {"guardrails": {"error_ratio": 0.9}},
            "rollout.guardrails.error_ratio is 0.9: expected 1 or more, or 0 to turn the guardrail off",
        ),
        (
            {"outcome": {"higher_is_better": "yes"}},
            "rollout.outcome.higher_is_better is 'yes': expected true or false",
        ),
        ({"segments": "payment"}, "rollout.segments is 'payment': expected a list of columns"),
        ({"segments": ["a", "a"]}, "rollout.segments names 'a' twice"),
        (
            {"segments": [{"column": "a", "edges": [3, 1]}]},
            "rollout.segments[0].edges is [3, 1]: expected rising numbers",
        ),
    ],
)
def test_fault_is_one_sentence(section, sentence):
    with pytest.raises(StepError) as caught:
        read_rollout(section)
    assert str(caught.value) == sentence


def test_all_faults_come_at_once():
    with pytest.raises(StepError) as caught:
        read_rollout({"strateggy": "canary", "canary": {"holt": "PT1H"}, "shadow": {"min_requests": 0}})
    assert str(caught.value).count(";") >= 2
    assert "did you mean 'strategy'?" in str(caught.value)
    assert "rollout.canary.holt is unknown; did you mean 'hold'?" in str(caught.value)
    assert "rollout.shadow.min_requests is 0: expected 1 to" in str(caught.value)


def test_every_default_is_allowed_and_every_range_is_of_a_key():
    section = dataclasses.asdict(Rollout())
    assert read_rollout(section) == Rollout()
    keys = {f"{part}.{key}" for part, inner in section.items() if isinstance(inner, dict) for key in inner}
    assert RANGES.keys() - keys == set()


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("PT90S", 90), ("P1DT2H", 93_600), ("P2W", 1_209_600)]
)
def test_duration_in_seconds(text, seconds):
    assert seconds_of(text) == seconds


def test_settings_need_no_library():
    import ast
    from pathlib import Path

    import penstock.components.rollout_settings.settings as module

    tree = ast.parse(Path(module.__file__).read_text())
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"penstock.components.step_io.errors"}

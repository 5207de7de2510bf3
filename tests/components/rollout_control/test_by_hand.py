"""What people do to a rollout by hand, with a real registry."""

import json

import pytest

from penstock.components.model_registry.names import CHALLENGER, CHAMPION
from penstock.components.rollout_control import by_hand, moves
from penstock.components.rollout_control.decisions import last_decision
from penstock.components.rollout_control.standing import read_standing
from penstock.components.step_io.errors import StepError
from tests.components.rollout_control.conftest import aliases, begin, decide, register


def challenge(store, endpoint, wanted=""):
    return by_hand.challenge(store, endpoint, "taxi", wanted, "a person")


def test_the_challenger_that_there_is_stays_it(store, endpoint):
    register(store, 3)
    assert challenge(store, endpoint) == "version 2 challenges version 1"


def test_without_one_the_newest_version_is_taken(store, endpoint):
    store.delete_alias("taxi", CHALLENGER)
    register(store, 3)
    assert challenge(store, endpoint) == "version 3 challenges version 1"
    assert aliases(store)[CHALLENGER] == 3


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("1", "version 1 of 'taxi' is the champion already"),
        ("7", r"the model 'taxi' has no version '7' \(registered: 2, 1\)"),
    ],
)
def test_what_cannot_challenge_is_one_sentence(store, endpoint, wanted, sentence):
    with pytest.raises(StepError, match=sentence):
        challenge(store, endpoint, wanted)


def test_without_a_champion_there_is_nothing_to_challenge(store, endpoint):
    store.delete_alias("taxi", CHAMPION)
    with pytest.raises(
        StepError, match="no champion to challenge: name one with `penstock promote --version N`"
    ):
        challenge(store, endpoint)
    with pytest.raises(StepError, match="has no registered version yet: `penstock run` trains"):
        by_hand.challenge(store, endpoint, "churn", "", "a person")


def test_without_a_newer_version_there_is_no_challenger(store, endpoint):
    store.delete_alias("taxi", CHALLENGER)
    store.set_alias("taxi", CHAMPION, 2)
    with pytest.raises(
        StepError, match="no version of 'taxi' is newer than its champion, version 2: train one"
    ):
        challenge(store, endpoint)


def test_a_second_challenger_waits_for_the_end_of_the_first(store, endpoint):
    begin(store, endpoint)
    register(store, 3)
    with pytest.raises(StepError, match=r"version 2 of 'taxi' is being rolled out \(1: 95 %, 2: 5 %\)"):
        challenge(store, endpoint, "3")


def test_a_version_that_was_rolled_back_is_tried_again_only_by_its_name(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "rollback")
    with pytest.raises(StepError, match=r"version 2 of 'taxi' was tried before \(rollback at .*: because\)"):
        challenge(store, endpoint)
    challenge(store, endpoint, "2")
    assert begin(store, endpoint).active
    assert endpoint.weights == {"1": 95, "2": 5}


def test_an_abort_takes_the_traffic_and_says_who_and_why(store, endpoint):
    begin(store, endpoint)
    by_hand.abort(store, endpoint, "taxi", "ada", "the campaign is over")
    assert endpoint.weights == {"1": 100}
    assert aliases(store)[CHALLENGER] is None
    decision = last_decision(next(one for one in store.versions("taxi") if one.number == 2))
    assert (decision["action"], decision["by"], decision["why"]) == ("stop", "ada", "the campaign is over")
    with pytest.raises(
        StepError, match="there is no rollout of 'taxi' to abort: no version is its challenger"
    ):
        by_hand.abort(store, endpoint, "taxi", "ada", "")


def test_a_promotion_by_hand_moves_the_traffic_that_there_is(store, endpoint):
    sentence = by_hand.promote(store, endpoint, "taxi", "2", "ada", "it is better")
    assert sentence == "version 2 is the champion now"
    moves.serve_champion(store, endpoint, "taxi", 1, "test")
    assert by_hand.promote(store, endpoint, "taxi", "1", "ada", "") == (
        "version 1 is the champion now and has all traffic"
    )
    assert endpoint.weights == {"1": 100}


def test_a_standing_is_json(store, endpoint):
    begin(store, endpoint)
    shown = json.loads(json.dumps(by_hand.shown(read_standing(store, endpoint, "taxi"))))
    assert shown["active"]
    assert (shown["champion"]["version"], shown["challenger"]["version"]) == ("1", "2")
    assert shown["endpoint"]["weights"] == {"1": 95, "2": 5}
    assert [one["action"] for one in shown["challenger"]["decisions"]] == ["begin"]


def test_a_target_that_is_none_is_one_sentence_on_stderr(registry, capsys):
    arguments = ["show", "--registry-uri", f"sqlite:///{registry}", "--model", "taxi", "--target"]
    assert by_hand.main([*arguments, '{"kind": "lokal"}']) == 2
    assert "the serving target's kind is 'lokal': did you mean 'local'?" in capsys.readouterr().err

"""What decisions do to traffic and aliases, with a real registry; and what a killed process leaves behind."""

import contextlib

import pytest

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS
from penstock.components.rollout_control import moves
from penstock.components.rollout_control.decisions import decisions, last_decision
from penstock.components.rollout_control.idle_versions import tidy
from penstock.components.rollout_control.standing import read_standing
from penstock.components.serving_targets.target import Conflict
from penstock.components.step_io.errors import StepError
from tests.components.rollout_control.conftest import aliases, begin, decide, register, roll_back
from tests.components.rollout_control.endpoints import Killed


def test_a_rollout_begins_beside_a_champion_that_serves(store, endpoint):
    found = begin(store, endpoint)
    assert endpoint.weights == {"1": 95, "2": 5}
    assert [change.action for change in endpoint.changes] == ["deploy", "shift", "deploy", "shift"]
    assert found.active
    assert found.since == endpoint.changes[-1].time
    assert found.began
    decide(store, endpoint, "advance", {"1": 75, "2": 25})
    assert read_standing(store, endpoint, "taxi").began == found.began


def test_beginning_again_changes_nothing(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "advance", {"1": 75, "2": 25})
    before = list(endpoint.changes)
    begin(store, endpoint)
    assert endpoint.changes == before


def test_a_challenger_that_does_not_start_costs_the_champion_nothing(store, endpoint):
    endpoint.broken = {"2"}
    with pytest.raises(StepError, match="did not become ready"):
        begin(store, endpoint)
    assert endpoint.weights == {"1": 100}


def test_shadow_takes_no_share(store, endpoint):
    begin(store, endpoint, first=None, shadow=True)
    assert endpoint.weights == {"1": 100}
    assert endpoint.shadow is not None
    assert endpoint.shadow.version == "2"


def test_promotion_moves_traffic_and_aliases(store, endpoint):
    begin(store, endpoint)
    sentence = decide(store, endpoint, "promote")
    assert endpoint.weights == {"2": 100}
    assert aliases(store) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}
    assert sentence == "version 2 is the champion now, version 1 the previous one: because"
    decision = last_decision(store.version_of("taxi", CHAMPION))
    assert (decision["action"], decision["by"], decision["why"]) == ("promote", "test", "because")


@pytest.mark.parametrize("action", ["rollback", "stop"])
def test_a_challenger_that_lost_is_not_rolled_out_again(store, endpoint, action):
    begin(store, endpoint)
    decide(store, endpoint, action)
    assert endpoint.weights == {"1": 100}
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}
    begin(store, endpoint)
    assert endpoint.weights == {"1": 100}


def test_nothing_is_done_on_a_standing_that_is_past(store, endpoint):
    """A rollback came between the analysis and its advance."""
    old = begin(store, endpoint)
    roll_back(store, endpoint)
    for action in ("advance", "promote", "rollback"):
        with pytest.raises(Conflict):
            decide(store, endpoint, action, {"1": 75, "2": 25}, found=old)
    assert endpoint.weights == {"1": 100}
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}


@pytest.mark.parametrize("moment", ["die_at", "die_after"])
def test_a_promotion_killed_at_its_shift_is_ended_or_undone_by_the_next_call(store, endpoint, moment):
    begin(store, endpoint)
    setattr(endpoint, moment, len(endpoint.changes) + 1)
    with pytest.raises(Killed):
        decide(store, endpoint, "promote")
    endpoint.die_at = endpoint.die_after = 0
    assert aliases(store)[CHAMPION] == 1
    begin(store, endpoint)
    if moment == "die_after":  # the traffic had moved
        assert endpoint.weights == {"2": 100}
        assert aliases(store) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}
    else:
        assert endpoint.weights == {"1": 95, "2": 5}
        decide(store, endpoint, "promote")
        assert aliases(store) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}


def test_the_last_stage_of_a_canary_is_no_promotion_yet(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "advance", {"2": 100})
    begin(store, endpoint)
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: 2, PREVIOUS: None}


@pytest.mark.parametrize("kill", range(1, 5))
def test_a_beginning_that_was_killed_anywhere_is_ended_by_the_next(store, endpoint, kill):
    endpoint.die_after = kill
    with pytest.raises(Killed):
        begin(store, endpoint)
    endpoint.die_after = 0
    assert not endpoint.weights or endpoint.weights.get("1", 0) >= 95
    begin(store, endpoint)
    assert endpoint.weights == {"1": 95, "2": 5}


def test_rollback_after_a_promotion_brings_the_previous_champion_back(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "promote")
    roll_back(store, endpoint)
    assert endpoint.weights == {"1": 100}
    assert aliases(store)[CHAMPION] == 1
    assert endpoint.changes[-1].by == "a person"
    version = next(v for v in store.versions("taxi") if v.number == 2)
    assert last_decision(version)["why"] == "complaints"


def test_rollback_without_a_previous_version_is_one_sentence(store, endpoint):
    store.delete_alias("taxi", CHALLENGER)
    with pytest.raises(StepError, match="no previous version"):
        roll_back(store, endpoint)


def test_what_stands_beside_a_version_fits_into_a_tag_of_any_server(store, endpoint):
    """A record that was cut short would let a challenger in again that was rolled back."""
    begin(store, endpoint)
    found = read_standing(store, endpoint, "taxi")
    moves.carry_out(store, endpoint, found, "rollback", {}, ["ñ" * 5000], "y" * 500)
    version = next(v for v in store.versions("taxi") if v.number == 2)
    assert last_decision(version)["action"] == "rollback"


def test_no_champion_is_one_sentence(store, endpoint):
    store.delete_alias("taxi", CHAMPION)
    with pytest.raises(StepError, match="has no champion to serve"):
        begin(store, endpoint)


def test_what_has_no_role_is_taken_away_and_previous_stays(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "promote")
    register(store, 3)
    store.set_alias("taxi", CHALLENGER, 3)
    begin(store, endpoint)
    decide(store, endpoint, "rollback")
    gone = tidy(endpoint, read_standing(store, endpoint, "taxi"), "test")
    assert gone == ["3"]
    assert set(endpoint.versions) == {"1", "2"}


@pytest.mark.parametrize("moment", ["die_at", "die_after"])
@pytest.mark.parametrize("by_hand", [True, False], ids=["rollback", "decided"])
def test_a_rollback_killed_at_its_shift_lets_nobody_in_again(store, endpoint, moment, by_hand):
    begin(store, endpoint)
    setattr(endpoint, moment, len(endpoint.changes) + 1)
    with pytest.raises(Killed):
        roll_back(store, endpoint) if by_hand else decide(store, endpoint, "rollback")
    endpoint.die_at = endpoint.die_after = 0
    begin(store, endpoint)
    assert endpoint.weights == {"1": 100}
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}
    version = next(v for v in store.versions("taxi") if v.number == 2)
    assert last_decision(version)["action"] == "rollback"


@pytest.mark.parametrize("moment", ["die_at", "die_after"])
def test_a_killed_rollback_said_again_goes_back_no_further(store, endpoint, moment):
    begin(store, endpoint)
    decide(store, endpoint, "promote")
    register(store, 3)
    store.set_alias("taxi", CHALLENGER, 3)
    begin(store, endpoint)
    setattr(endpoint, moment, len(endpoint.changes) + 1)
    with pytest.raises(Killed):
        roll_back(store, endpoint)
    endpoint.die_at = endpoint.die_after = 0
    roll_back(store, endpoint)
    assert endpoint.weights == {"2": 100}
    assert aliases(store) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}


def test_a_rollback_to_previous_said_twice_does_not_bring_the_bad_one_back(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "promote")
    for _ in range(2):
        roll_back(store, endpoint)
        assert endpoint.weights == {"1": 100}
        assert aliases(store)[CHAMPION] == 1


def test_a_rollback_in_the_middle_of_a_promotion_holds(store, endpoint, monkeypatch):
    """Between the promotion's traffic and its aliases; then between its aliases and its last look."""
    for place in ("before", "after"):
        begin(store, endpoint)
        crown = moves.make_champion

        def rolled_back_beside(store, version, crown=crown, place=place):
            monkeypatch.setattr(moves, "make_champion", crown)
            if place == "after":
                crown(store, version)
            roll_back(store, endpoint)
            if place == "before":
                crown(store, version)

        monkeypatch.setattr(moves, "make_champion", rolled_back_beside)
        monkeypatch.setattr(type(store), "lock", lambda self: contextlib.nullcontext())  # as on a server
        with pytest.raises(Conflict, match="lost its traffic"):
            decide(store, endpoint, "promote")
        assert endpoint.weights == {"1": 100}
        assert aliases(store)[CHAMPION] == 1
        store.set_alias("taxi", CHALLENGER, 2)
        store.tag_version("taxi", 2, {"penstock.rollout": "{}"})


def test_every_decision_stands_beside_the_version(store, endpoint):
    begin(store, endpoint)
    decide(store, endpoint, "advance", {"1": 75, "2": 25})
    decide(store, endpoint, "promote")
    found = decisions(store.version_of("taxi", CHAMPION))
    assert [(one["action"], one["weights"]) for one in found] == [
        ("begin", {"1": 95, "2": 5}),
        ("advance", {"1": 75, "2": 25}),
        ("promote", {"2": 100}),
    ]
    assert {one["why"] for one in found[1:]} == {"because"}


def test_the_beginning_is_no_later_than_its_shift(store, endpoint):
    """analyze_rollout refuses weights that are older than their rollout."""
    begin(store, endpoint)
    found = read_standing(store, endpoint, "taxi")
    assert found.began == found.since


def test_replicas_that_are_there_stay(store, endpoint):
    moves.serve_champion(store, endpoint, "taxi", 3, "test")
    begin(store, endpoint)
    assert endpoint.versions["1"].replicas == 3

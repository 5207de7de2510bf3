"""A changed schedule: each firing once, whatever ends `apply` in the middle; and no run is ended along."""

import itertools

import pytest

from penstock.kfp_backend.client import Backend
from tests.schedules.kfp_server import BEGAN, firings

OFTEN = "0 */5 * * * *"


class Killed(BaseException):
    """The process is gone."""


class Mortal(Backend):
    """An API whose client dies at its n-th call that changes something, before or after it was done."""

    def __init__(self, environment, dies_at, is_done):
        super().__init__(environment)
        self.left, self.is_done = dies_at, is_done

    def request(self, method, path, **options):
        if method == "GET":
            return super().request(method, path, **options)
        self.left -= 1
        if self.left == 0 and not self.is_done:
            raise Killed
        answer = super().request(method, path, **options)
        if self.left == 0:
            raise Killed
        return answer


def times(state):
    return [run["at"] for run in state.fired]


def enabled(state):
    return [one for one in state.recurring.values() if one["mode"] == "ENABLE"]


@pytest.mark.parametrize("late_s", range(0, 300, 23))
def test_a_changed_parameter_fires_each_time_once_whenever_it_is_applied(apply, state, late_s):
    apply({})
    state.pass_time(600 + late_s)
    apply({"parameters": {"seed": 7}})
    state.pass_time(900)
    apply({"parameters": {"seed": 7}})  # removes what stayed for its run
    state.pass_time(300)
    assert times(state) == firings(OFTEN, BEGAN, state.looked_at)
    seeds = [run["arguments"]["seed"] for run in state.fired]
    assert [seed == 7 for seed in seeds] == sorted(seed == 7 for seed in seeds)
    assert state.fired[-1]["arguments"]["seed"] == 7
    assert not any(run["was_killed"] for run in state.fired)
    assert len(state.recurring) == 1


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
@pytest.mark.parametrize(("late_s", "gone_s"), list(itertools.product((70, 290), (5, 400, 1300))))
def test_an_apply_that_was_killed_is_finished_by_the_next(
    apply, state, environment, is_done, dies_at, late_s, gone_s
):
    declared = {"catch_up": True}
    apply(declared)
    state.pass_time(600 + late_s)
    mortal = Mortal(environment, dies_at, is_done)
    with pytest.raises(Killed):
        for _ in range(2):  # the second removes what stayed for its run
            apply({**declared, "parameters": {"seed": 7}}, of=mortal)
            state.pass_time(300)
    state.pass_time(gone_s)
    for _ in range(2):
        apply({**declared, "parameters": {"seed": 7}})
        state.pass_time(700)
    assert times(state) == firings(OFTEN, BEGAN, state.looked_at)
    assert not any(run["was_killed"] for run in state.fired)
    (left,) = state.recurring.values()
    assert (left["mode"], left["runtime_config"]["parameters"]["seed"]) == ("ENABLE", 7)

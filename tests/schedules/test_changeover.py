"""A changed schedule: each firing once, whatever ends `apply` in the middle; and no run is ended along."""

import datetime
import itertools

import pytest

from penstock.kfp_backend.client import Backend
from tests.schedules.kfp_server import BEGAN, firings
from tests.submit.kfp_server import API

OFTEN = "0 */5 * * * *"
FAR = BEGAN + datetime.timedelta(days=1)


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


@pytest.mark.parametrize("call_s", [0.2, 4])
@pytest.mark.parametrize("call", range(16))
def test_a_firing_that_begins_at_any_call_of_apply_happens_once(apply, state, call, call_s):
    apply({})
    state.pass_time((firings(OFTEN, state.now, FAR)[2] - state.now).total_seconds() + 1)
    state.next_tick = state.now + datetime.timedelta(seconds=call_s * (call + 0.5))
    state.call_s = call_s
    apply({"parameters": {"seed": 7}})
    state.pass_time(900)
    assert times(state) == firings(OFTEN, BEGAN, state.looked_at)
    assert state.fired[-1]["arguments"]["seed"] == 7


@pytest.mark.parametrize("tick_s", [1, 3, 8, 29])
@pytest.mark.parametrize("stall", ["before", "after"])
@pytest.mark.parametrize("call", ["GET /experiments", "POST /recurringruns"])
def test_a_firing_that_comes_up_while_the_api_is_slow_happens_once(apply, state, call, stall, tick_s):
    apply({})
    state.pass_time((firings(OFTEN, state.now, FAR)[2] - state.now).total_seconds() - 12)
    state.next_tick = state.now + datetime.timedelta(seconds=12 + tick_s)
    state.report_s = 8
    state.stalls[call] = (15, 0) if stall == "before" else (0, 15)
    apply({"parameters": {"seed": 7}})
    assert not state.stalls
    state.pass_time(900)
    assert times(state) == firings(OFTEN, BEGAN, state.looked_at)


def test_all_is_uploaded_before_the_new_one_is_made_and_the_old_one_switched_off(apply, state):
    apply({})
    state.pass_time((firings(OFTEN, state.now, FAR)[2] - state.now).total_seconds() - 12)
    state.next_tick = state.now + datetime.timedelta(seconds=15)
    state.stalls["POST /recurringruns"] = (0, 15)  # a firing meanwhile: the new one is made again
    state.versions.clear()
    state.experiments.clear()
    before = len(state.calls)
    apply({"parameters": {"seed": 7}})
    calls = [call.replace(f"{API}/", "") for call in state.calls[before:]]
    made = [place for place, call in enumerate(calls) if call == "POST recurringruns"]
    (switched_off,) = (place for place, call in enumerate(calls) if call.endswith(":disable"))
    assert made[0] < switched_off < made[1]
    uploads = ["POST pipelines/upload_version", "POST experiments"]
    assert [call for call in calls[: made[0]] if call in uploads] == uploads
    meanwhile = {call.split("/")[0].split()[1] for call in calls[made[0] : made[1]]}
    assert meanwhile == {"recurringruns", "runs"}  # not even a look for what is uploaded


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

    def apply_twice():  # the second removes what stayed for its run
        for _ in range(2):
            apply({**declared, "parameters": {"seed": 7}}, of=mortal)
            state.pass_time(300)

    with pytest.raises(Killed):
        apply_twice()
    state.pass_time(gone_s)
    for _ in range(2):
        apply({**declared, "parameters": {"seed": 7}})
        state.pass_time(700)
    assert times(state) == firings(OFTEN, BEGAN, state.looked_at)
    assert not any(run["was_killed"] for run in state.fired)
    (left,) = state.recurring.values()
    assert (left["mode"], left["runtime_config"]["parameters"]["seed"]) == ("ENABLE", 7)

"""Following a run, whichever command does: until it ends, or until Ctrl-C, which leaves it going."""

import pytest

from penstock.kfp_backend import cancellations
from penstock.kfp_backend.client import connect
from penstock.kfp_backend.submission import submit
from penstock.kfp_backend.watch import follow


@pytest.fixture
def backend(environment):
    return connect(environment)


@pytest.fixture
def begun(state, backend, deliver_taxi):
    found = submit(backend, deliver_taxi())
    state.runs[found.run_id]["state"] = "RUNNING"
    return found


def test_ctrl_c_leaves_the_run_going_and_says_what_to_type(state, backend, begun, capsys):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    before = state.written
    assert follow(backend, begun.run_id, interrupt) == 130
    assert capsys.readouterr().err.endswith(
        f"\nthe run goes on: penstock runs show {begun.run_id} --env stage --wait follows it, "
        f"penstock runs cancel {begun.run_id} --env stage ends it\n"
    )
    assert state.written == before


def test_the_end_of_a_cancelled_run_names_who_cancelled_it(state, backend, begun, capsys):
    def cancel(_: float) -> None:
        cancellations.remember(backend.environment, begun.run_id, cancellations.ours("wrong data"))
        state.runs[begun.run_id]["state"] = "FAILED"  # KFP's word for it
        state.workflows[begun.run_id] = {"spec": {"activeDeadlineSeconds": 0}}

    assert follow(backend, begun.run_id, cancel) == 130
    first, why, url = capsys.readouterr().out.splitlines()
    assert f"run {begun.name}: cancelled" in first
    assert why == cancellations.recall(backend.environment, begun.run_id).sentence
    assert why.endswith(": wrong data")
    assert url == backend.run_url(begun.run_id)

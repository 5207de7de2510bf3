import pytest

from penstock.components.deploy_model import step as deploy_model
from penstock.components.shift_traffic import step
from tests.components.rollout_control.served import Served


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path)
    yield found
    found.endpoint.target.stop()


def decided(served, action, revision, **weights):
    return served.step(
        step.run,
        action=action,
        weights={version.removeprefix("v"): weight for version, weight in weights.items()},
        reasons=["because"],
        revision=revision,
    )


def test_decisions_are_carried_out_one_after_the_other(served):
    revision = served.step(deploy_model.run)["revision"]
    moved = decided(served, "advance", revision, v1=50, v2=50)
    assert moved == {"done": "version 2 has 50 % of the traffic now: because", "shares": {"1": 50, "2": 50}}
    late = decided(served, "rollback", revision, v1=100, v2=0)  # decided on the state before
    assert late["done"].startswith("nothing was done: the endpoint taxi was changed in between")
    assert served.weights == {"1": 50, "2": 50}
    promoted = decided(served, "promote", served.endpoint.target.state().revision, v2=100)
    assert promoted["shares"] == {"2": 100}
    assert served.aliases == {"champion": 2, "previous": 1}
    assert served.endpoint.post().version == "2"

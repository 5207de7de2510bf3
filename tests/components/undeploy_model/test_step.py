import pytest

from penstock.components.deploy_model import step as deploy_model
from penstock.components.step_io.errors import StepError
from penstock.components.undeploy_model import step
from tests.components.rollout_control.served import Served


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path)
    yield found
    found.endpoint.target.stop()


def test_only_what_has_no_role_is_taken_away(served):
    served.step(deploy_model.run)
    served.endpoint.deploy("3")
    with pytest.raises(StepError, match="version 2 of 'taxi' has traffic or a role"):
        step.run(**served.place, versions=["2"])
    assert served.step(step.run) == {"gone": ["3"]}
    assert set(served.endpoint.target.state().versions) == {"1", "2"}
    assert served.step(step.run, versions=["3"]) == {"gone": []}

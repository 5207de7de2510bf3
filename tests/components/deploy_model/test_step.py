import pytest

from penstock.components.deploy_model import step
from penstock.components.step_io.errors import StepError
from tests.components.rollout_control.served import Served

ROLLOUT = {"canary": {"stages": [25, 100]}}


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path)
    yield found
    found.endpoint.target.stop()


def test_a_challenger_gets_its_first_share_once(served):
    outputs = served.step(step.run, rollout=ROLLOUT)
    assert (outputs["active"], outputs["champion"], outputs["challenger"]) == (True, "1", "2")
    assert outputs["weights"] == served.weights == {"1": 75, "2": 25}
    assert outputs["began"] == outputs["since"] != ""
    assert {served.endpoint.post().version for _ in range(60)} == {"1", "2"}
    again = served.step(step.run, rollout=ROLLOUT)
    assert again == outputs
    assert outputs["revision"] == served.endpoint.target.state().revision


def test_without_a_challenger_the_champion_serves_and_nothing_is_judged(served):
    served.store.delete_alias("taxi", "challenger")
    outputs = served.step(step.run)
    assert (outputs["active"], outputs["challenger"], outputs["weights"]) == (False, "", {"1": 100})


def test_what_cannot_be_deployed_is_one_sentence(served):
    for parameters, sentence in (
        ({"serving_target": {}}, "no serving target is given"),
        (
            {"serving_target": {"kind": "pod"}},
            "the serving target's kind is 'pod': .*there are local, kubernetes",
        ),
        ({"endpoint": "other"}, "there is no endpoint 'other': `penstock serve` makes one"),
        ({"rollout": {"strategy": "canari"}}, "did you mean 'canary'"),
        ({"model_name": "churn", "endpoint": "taxi"}, "the model 'churn' has no champion to serve"),
    ):
        with pytest.raises(StepError, match=sentence):
            step.run(**{**served.place, **parameters})

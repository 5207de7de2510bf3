"""The KServe target against a real HTTP API whose controller moves the status as KServe's sources say."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.components.serving_targets.kserve_opening import open_kserve
from penstock.components.serving_targets.kserve_settings import KNATIVE, STANDARD, KserveSettings
from penstock.components.serving_targets.kserve_target import KserveTarget
from penstock.components.serving_targets.target import Conflict, ModelVersion, Shadow
from penstock.components.step_io.errors import StepError
from tests.components.serving_targets.kserve_server import KserveState, kserve_server

IMAGE = "registry.example.com/penstock/prediction_service@sha256:" + "a" * 64
ONE = ModelVersion("taxi", "1", "s3://models/taxi/1", replicas=2)
TWO = ModelVersion("taxi", "2", "s3://models/taxi/2")
THREE = ModelVersion("taxi", "3", "s3://models/taxi/3")


@pytest.fixture
def state() -> KserveState:
    return KserveState()


@pytest.fixture
def kubeconfig(state: KserveState, tmp_path: Path) -> Iterator[str]:
    with kserve_server(state, tmp_path) as path:
        yield str(path)


def target(kubeconfig: str, mode: str = STANDARD, endpoint: str = "taxi") -> KserveTarget:
    made = KserveTarget(endpoint, KserveSettings("serving", IMAGE, mode), kubeconfig)
    made.poll_s = 0.01
    return made


@pytest.fixture(params=[STANDARD, KNATIVE])
def two(kubeconfig: str, request: pytest.FixtureRequest) -> KserveTarget:
    """Two versions; all traffic is with the first."""
    made = target(kubeconfig, request.param)
    made.deploy(ONE)
    made.deploy(TWO)
    return made


@pytest.fixture
def standard(kubeconfig: str) -> KserveTarget:
    made = target(kubeconfig)
    made.deploy(ONE)
    made.deploy(TWO)
    return made


@pytest.fixture
def knative(kubeconfig: str) -> KserveTarget:
    made = target(kubeconfig, KNATIVE)
    made.deploy(ONE)
    made.deploy(TWO)
    return made


@pytest.mark.parametrize("mode", [STANDARD, KNATIVE])
def test_first_version_is_awaited_and_has_all_traffic(kubeconfig: str, state: KserveState, mode: str) -> None:
    made = target(kubeconfig, mode)
    assert made.state().revision == 0
    assert made.history() == []
    made.deploy(ONE, by="ann", why="first")
    found = made.state()
    assert (found.revision, found.weights, found.running) == (1, {"1": 100}, True)
    assert (found.versions["1"].ready, found.versions["1"].uri) == (2, ONE.uri)
    assert found.url.startswith("http://taxi")
    assert len(state.statuses) > 1  # it was waited for
    [change] = made.history()
    assert (change.action, change.by, change.why, change.after["weights"]) == (
        "deploy",
        "ann",
        "first",
        {"1": 100},
    )


def test_second_version_takes_no_traffic(two: KserveTarget, state: KserveState) -> None:
    assert two.state().weights == {"1": 100}
    assert two.state().versions["2"].ready == 1
    assert state.served("taxi") == {ONE.uri: 100}


def test_canary_gets_its_share(two: KserveTarget, state: KserveState) -> None:
    two.shift({"1": 90, "2": 10})
    assert state.served("taxi") == {ONE.uri: 90, TWO.uri: 10}
    assert two.state().weights == {"1": 90, "2": 10}


def test_promotion_and_rollback_send_all_traffic_to_and_fro(two: KserveTarget, state: KserveState) -> None:
    two.shift({"2": 100})
    assert state.served("taxi") == {TWO.uri: 100}
    two.shift({"1": 100})
    assert state.served("taxi") == {ONE.uri: 100}
    assert [change.action for change in two.history()] == ["deploy", "deploy", "shift", "shift"]


def test_replaced_version_is_taken_away_and_the_next_one_joins(two: KserveTarget, state: KserveState) -> None:
    two.shift({"2": 100})
    two.undeploy("1")
    assert list(two.state().versions) == ["2"]
    assert state.served("taxi") == {TWO.uri: 100}
    two.deploy(THREE)
    assert state.served("taxi") == {TWO.uri: 100}
    two.shift({"2": 70, "3": 30})
    assert state.served("taxi") == {TWO.uri: 70, THREE.uri: 30}


def test_rejected_challenger_is_taken_away(two: KserveTarget, state: KserveState) -> None:
    two.undeploy("2")
    assert list(two.state().versions) == ["1"]
    assert state.served("taxi") == {ONE.uri: 100}


def test_undeployment_that_was_interrupted_is_ended_by_the_next_call(
    knative: KserveTarget, state: KserveState, kubeconfig: str
) -> None:
    state.broken[ONE.uri] = "no node has room"
    with pytest.raises(
        StepError, match="version 1 of taxi does not get ready: ModelLoadFailed: no node has room"
    ):
        knative.undeploy("2")
    assert state.services["taxi"]["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert state.served("taxi") == {ONE.uri: 100}
    state.broken.clear()
    target(kubeconfig, KNATIVE).deploy(ONE)
    assert "canaryTrafficPercent" not in state.services["taxi"]["spec"]["predictor"]
    assert state.served("taxi") == {ONE.uri: 100}


def test_stable_predictor_is_followed_by_its_canary_without_a_restart(
    standard: KserveTarget, state: KserveState
) -> None:
    standard.shift({"2": 100})
    age = state.services["taxi"]["hidden"]["age"]["v2"]
    standard.undeploy("1")
    spec = state.services["taxi"]["spec"]
    assert spec["predictor"]["name"] == "v2"
    assert "canary" not in spec
    assert state.services["taxi"]["hidden"]["age"]["v2"] > age  # the same pods


def test_standard_mode_takes_a_third_version(standard: KserveTarget, state: KserveState) -> None:
    standard.deploy(THREE)
    standard.shift({"1": 50, "2": 30, "3": 20})
    assert state.served("taxi") == {ONE.uri: 50, TWO.uri: 30, THREE.uri: 20}
    standard.shift({"2": 60, "3": 40})
    standard.undeploy("1")
    assert state.services["taxi"]["spec"]["predictor"]["name"] == "v2"
    assert state.served("taxi") == {TWO.uri: 60, THREE.uri: 40}


def test_knative_mode_refuses_a_third_version(knative: KserveTarget) -> None:
    with pytest.raises(StepError) as caught:
        knative.deploy(THREE)
    assert str(caught.value) == (
        "taxi has the versions 1 and 2: KServe keeps the latest and the previous revision only in Knative mode; "
        "undeploy one before version 3 is deployed, or use the mode Standard"
    )


def test_version_that_was_promoted_and_rolled_back_is_replaced_without_traffic(
    two: KserveTarget, state: KserveState
) -> None:
    two.shift({"2": 100})
    two.shift({"1": 100})
    shares = []
    step = state.step

    def watched(name: str) -> None:
        step(name)
        shares.append(state.served(name))

    state.step = watched  # type: ignore[method-assign]
    two.undeploy("2")
    two.deploy(THREE)
    assert shares
    assert all(share == {ONE.uri: 100} for share in shares)
    two.shift({"1": 95, "3": 5})
    assert state.served("taxi") == {ONE.uri: 95, THREE.uri: 5}


def test_undeploy_is_refused_while_a_version_has_traffic(two: KserveTarget) -> None:
    with pytest.raises(
        StepError, match="version 1 of taxi has 100 % of the traffic: shift it to another version"
    ):
        two.undeploy("1")


def test_undeploy_of_what_is_not_there_does_nothing(two: KserveTarget, kubeconfig: str) -> None:
    before = two.state().revision
    two.undeploy("9")
    assert two.state().revision == before
    target(kubeconfig, endpoint="other").undeploy("1")


def test_deploy_again_changes_nothing(two: KserveTarget) -> None:
    before = two.state()
    two.deploy(TWO)
    two.shift({"1": 100})
    assert two.state() == before


def test_more_replicas_of_a_version_that_is_there(standard: KserveTarget, state: KserveState) -> None:
    standard.deploy(dataclasses.replace(TWO, replicas=3))
    assert standard.state().versions["2"].replicas == 3
    assert state.services["taxi"]["spec"]["canary"][0]["predictor"]["minReplicas"] == 3


def test_deployment_that_was_interrupted_is_ended_by_the_next_call(
    kubeconfig: str, state: KserveState, two: KserveTarget
) -> None:
    two.undeploy("2")
    state.asleep = True
    with pytest.raises(StepError, match=r"version 3 of taxi is not as wanted after .* call again"):
        two.deploy(THREE, wait_s=0.1)
    state.asleep = False
    revision = two.state().revision
    two.deploy(THREE)
    assert two.state().revision == revision  # it was there: only waited for
    assert two.state().versions["3"].ready == 1
    assert state.served("taxi") == {ONE.uri: 100}


def test_version_that_does_not_start_is_one_sentence_and_gets_no_traffic(
    two: KserveTarget, state: KserveState
) -> None:
    two.undeploy("2")
    state.broken[THREE.uri] = "saved_model.pb is missing"
    with pytest.raises(StepError) as caught:
        two.deploy(THREE)
    assert str(caught.value) == (
        "version 3 of taxi does not get ready: ModelLoadFailed: saved_model.pb is missing (exit code 2); correct it, "
        "then undeploy and deploy it"
    )
    with pytest.raises(StepError, match=r"version 3 of taxi is not ready \(ModelLoadFailed"):
        two.shift({"1": 90, "3": 10})
    assert state.served("taxi") == {ONE.uri: 100}
    assert "saved_model.pb is missing" in two.state().versions["3"].problem
    two.undeploy("3")
    assert state.served("taxi") == {ONE.uri: 100}


def test_shift_on_another_revision_is_refused(two: KserveTarget) -> None:
    seen = two.state().revision
    two.shift({"1": 80, "2": 20}, by="canary")
    with pytest.raises(Conflict, match=rf"\(revision {seen + 1}, expected {seen}; last: shift by canary at"):
        two.shift({"2": 100}, revision=seen)


def test_of_two_shifts_at_once_one_wins(two: KserveTarget, state: KserveState) -> None:
    state.before_write = lambda: two.shift({"1": 60, "2": 40}, by="rollback")
    with pytest.raises(Conflict, match="last: shift by rollback"):
        two.shift({"1": 50, "2": 50})
    assert state.served("taxi") == {ONE.uri: 60, TWO.uri: 40}


def test_status_that_the_controller_writes_meanwhile_is_no_conflict(
    two: KserveTarget, state: KserveState
) -> None:
    state.before_write = lambda: state.touch("taxi")
    two.shift({"1": 50, "2": 50}, by="me")
    assert state.served("taxi") == {ONE.uri: 50, TWO.uri: 50}


def test_shadow_gets_what_the_champions_payload_logger_copies(
    standard: KserveTarget, state: KserveState
) -> None:
    standard.mirror(Shadow("2"), by="ann", why="to see")
    spec = state.services["taxi"]["spec"]
    assert spec["predictor"]["logger"] == {
        "mode": "request",
        "url": "http://taxi-v2-predictor.serving.svc.cluster.local:80/mirrored",
        "metadataHeaders": ["X-Request-Id"],
    }
    assert "logger" not in spec["canary"][0]["predictor"]
    assert standard.state().shadow == Shadow("2")
    assert (standard.history()[-1].action, standard.history()[-1].after["shadow"]["version"]) == (
        "shadow",
        "2",
    )
    revision = standard.state().revision
    standard.mirror(Shadow("2"))
    assert standard.state().revision == revision
    with pytest.raises(StepError, match="version 2 of taxi gets a copy of the traffic: end the shadow first"):
        standard.undeploy("2")
    standard.mirror(None)
    assert "logger" not in state.services["taxi"]["spec"]["predictor"]
    assert standard.state().shadow is None
    standard.undeploy("2")


def test_every_version_with_traffic_is_copied_and_the_shadow_is_not(
    standard: KserveTarget, state: KserveState
) -> None:
    standard.deploy(THREE)
    standard.mirror(Shadow("3"))
    standard.shift({"1": 90, "2": 10})
    spec = state.services["taxi"]["spec"]
    copying = [spec["predictor"], *(canary["predictor"] for canary in spec["canary"])]
    assert [(one["name"], "logger" in one) for one in copying] == [("v1", True), ("v2", True), ("v3", False)]


def test_shadow_that_kserve_cannot_make_is_refused(
    standard: KserveTarget, kubeconfig: str, state: KserveState
) -> None:
    with pytest.raises(StepError, match=r"copies every request, not 20 % of them: give 100"):
        standard.mirror(Shadow("2", 20))
    with pytest.raises(StepError, match="taxi has no version '7'"):
        standard.mirror(Shadow("7"))
    logged = KserveTarget(
        "taxi", KserveSettings("serving", IMAGE, log_url="http://broker.example.com"), kubeconfig
    )
    with pytest.raises(StepError, match=r"used for log_url \(http://broker.example.com\)"):
        logged.mirror(Shadow("2"))
    state.broken[THREE.uri] = "no such bucket"
    with pytest.raises(StepError, match="no such bucket"):
        standard.deploy(THREE)
    with pytest.raises(StepError, match=r"version 3 of taxi is not ready \(.*deploy it, then mirror"):
        standard.mirror(Shadow("3"))
    assert standard.state().shadow is None


def test_shadow_is_refused_in_knative_mode(knative: KserveTarget) -> None:
    with pytest.raises(
        StepError, match="in Knative mode a predictor with another logger is another revision"
    ):
        knative.mirror(Shadow("2"))
    knative.mirror(None)


def test_endpoint_that_is_gone_is_one_sentence(two: KserveTarget, state: KserveState) -> None:
    state.services.clear()
    with pytest.raises(
        StepError, match="there is no endpoint 'taxi' in the namespace serving: deploy a version"
    ):
        two.shift({"2": 100})


def test_name_taken_by_somebody_elses_service_is_one_sentence(kubeconfig: str, state: KserveState) -> None:
    state.services["taxi"] = {"metadata": {"name": "taxi", "annotations": {}}, "spec": {}, "status": {}}
    state.asleep = True
    with pytest.raises(
        StepError, match="the name is taken: the InferenceService taxi in the namespace serving"
    ):
        target(kubeconfig).deploy(ONE)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (
            ("POST", 403, 'inferenceservices is forbidden: User "x" cannot create'),
            r"InferenceService in the namespace serving cannot be applied \(403: .*forbidden.*\): give this account",
        ),
        (
            ("POST", 400, "admission webhook denied the request: unknown storageUri"),
            "cannot be applied .400: admission webhook denied the request: unknown storageUri.: correct the settings",
        ),
        (
            ("POST", 404, "the server could not find the requested resource"),
            "the namespace serving is not there, or knows no InferenceService: make it first",
        ),
    ],
    ids=["no right", "webhook", "no KServe"],
)
def test_refusal_is_one_sentence(
    kubeconfig: str, state: KserveState, failure: tuple[str, int, str], sentence: str
) -> None:
    state.failures.append(failure)
    with pytest.raises(StepError, match=sentence):
        target(kubeconfig).deploy(ONE)


def test_folder_that_kserve_cannot_read_is_refused_unless_sources_say_where_it_is(
    kubeconfig: str, state: KserveState
) -> None:
    registered = dataclasses.replace(ONE, uri="mlflow-artifacts:/1/model")
    with pytest.raises(
        StepError, match="is at 'mlflow-artifacts:/1/model', where KServe's storage initializer reads"
    ):
        target(kubeconfig).deploy(registered)
    settings = KserveSettings("serving", IMAGE, sources={"mlflow-artifacts:/": "s3://mlflow/"})
    made = KserveTarget("taxi", settings, kubeconfig)
    made.poll_s = 0.01
    made.deploy(registered)
    assert state.served("taxi") == {"s3://mlflow/1/model": 100}
    assert made.state().versions["1"].uri == registered.uri


def test_versions_whose_predictors_would_have_one_name_are_refused(standard: KserveTarget) -> None:
    standard.deploy(dataclasses.replace(THREE, version="1.0"))
    with pytest.raises(StepError, match=r"'1\.0' and '1-0' would have the same predictor 'v1-0'"):
        standard.deploy(dataclasses.replace(THREE, version="1-0"))


@pytest.mark.parametrize("endpoint", ["Taxi", "9x", "taxi-", "a" * 41])
def test_endpoint_that_kserve_would_not_take_is_refused(kubeconfig: str, endpoint: str) -> None:
    with pytest.raises(StepError, match="cannot be made with KServe"):
        target(kubeconfig, endpoint=endpoint)


def test_wrong_settings_are_told_all_at_once() -> None:
    with pytest.raises(StepError) as caught:
        open_kserve({"kind": "kserve", "image": "x", "most_replicas": "3", "mod": "Standard"}, "taxi")
    assert str(caught.value) == (
        "serving target kserve: `namespace` is missing; `most_replicas` is '3', expected a whole number; `mod` is no "
        "setting; did you mean `mode`?"
    )
    with pytest.raises(
        StepError, match=r"mode is 'Serverless', expected Standard or Knative; the serving image is 'x'"
    ):
        open_kserve({"kind": "kserve", "namespace": "n", "image": "x", "mode": "Serverless"}, "taxi")

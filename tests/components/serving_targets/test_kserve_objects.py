"""The InferenceService as plain data, and built anew with the kserve SDK's typed models."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from penstock.components.serving_targets.kserve_objects import inference_service
from penstock.components.serving_targets.kserve_record import Record, read_record
from penstock.components.serving_targets.kserve_settings import KNATIVE, STANDARD, KserveSettings
from penstock.components.serving_targets.target import Change, ModelVersion
from penstock.local.envs import ensure_stack
from penstock.project import find_project
from tests.components.serving_targets.kserve_server import KserveState

ROOT = Path(__file__).parents[3]
IMAGE = "registry.example.com/penstock/prediction_service@sha256:" + "a" * 64
VERSIONS = {
    "1": ModelVersion("taxi", "1", "s3://models/taxi/1", replicas=2),
    "2": ModelVersion("taxi", "2", "gs://models/taxi/2"),
}
CHANGE = Change(3, "2026-01-01T00:00:00Z", "shift", "ann", "canary", {"weights": {"1": 100}}, {"weights": {}})
RECORD = Record(VERSIONS, {"1": 90, "2": 10}, main="1", revision=3, changes=(CHANGE,))
SHADOWED = Record(VERSIONS, {"1": 100}, main="1", shadow="2", revision=4)
FULL = KserveSettings(
    "serving",
    IMAGE,
    service_account="models",
    variables={"AWS_REGION": "eu-west-1"},
    options=("--max-rows", "100"),
    most_replicas=5,
    log_url="http://broker.knative-eventing/serving/default",
    log_mode="request",
)


def variables(predictor: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in predictor["containers"][0]["env"]}


def test_standard_mode_has_a_stable_predictor_and_named_canaries() -> None:
    service = inference_service("taxi", RECORD, FULL)
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    stable, [canary] = service["spec"]["predictor"], service["spec"]["canary"]
    assert (stable["name"], stable["minReplicas"], stable["maxReplicas"]) == ("v1", 2, 5)
    assert canary["trafficPercent"] == 10
    assert (canary["predictor"]["name"], canary["predictor"]["minReplicas"]) == ("v2", 1)
    assert "maxReplicas" not in canary["predictor"]  # KServe does not scale canaries
    assert "canaryTrafficPercent" not in json.dumps(service)  # Standard mode would ignore it


@pytest.mark.parametrize(
    ("previous", "weights", "percent"),
    [("1", {"1": 90, "2": 10}, 10), ("1", {"1": 100}, 0), ("1", {"2": 100}, 100), ("", {"2": 100}, None)],
)
def test_knative_mode_divides_by_canary_traffic_percent(
    previous: str, weights: dict[str, int], percent: int | None
) -> None:
    record = Record(VERSIONS, weights, main="2", previous=previous)
    predictor = inference_service("taxi", record, KserveSettings("serving", IMAGE, KNATIVE))["spec"][
        "predictor"
    ]
    assert predictor.get("canaryTrafficPercent") == percent
    assert variables(predictor)["STORAGE_URI"] == "gs://models/taxi/2"
    assert "name" not in predictor


def test_container_gets_the_model_from_kserve_and_knows_what_it_serves() -> None:
    predictor = inference_service("taxi", RECORD, FULL)["spec"]["predictor"]
    [container] = predictor["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", IMAGE)
    assert variables(predictor) == {
        "AWS_REGION": "eu-west-1",
        "PENSTOCK_MODEL_DIR": "/mnt/models",
        "PENSTOCK_MODEL_NAME": "taxi",
        "PENSTOCK_MODEL_VERSION": "1",
        "STORAGE_URI": "s3://models/taxi/1",
    }
    assert container["args"] == ["--http-port", "8080", "--max-rows", "100"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}
    assert predictor["logger"] == {"mode": "request", "url": "http://broker.knative-eventing/serving/default"}
    assert predictor["serviceAccountName"] == "models"


def test_record_comes_back_as_it_was_written() -> None:
    for record in (RECORD, SHADOWED):
        assert read_record(inference_service("taxi", record, FULL)) == record
    assert read_record({"metadata": {}}) is None
    assert read_record(None) is None


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The Python of the serving stack, which holds the kserve SDK."""
    return ensure_stack(find_project(ROOT), "serving")


def as_the_sdk_writes(sdk: Path, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects after the SDK's typed models were built of them."""
    script = Path(__file__).with_name("kserve_models.py")
    done = subprocess.run(
        [sdk, script], input=json.dumps(objects), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout))


def test_sdk_builds_the_same_objects_from_its_typed_models(sdk: Path) -> None:
    knative = KserveSettings("serving", IMAGE, KNATIVE)
    objects = [
        inference_service("taxi", RECORD, FULL),
        inference_service("taxi", SHADOWED, KserveSettings("serving", IMAGE)),
        inference_service("taxi", Record(VERSIONS, {"1": 90, "2": 10}, main="2", previous="1"), knative),
        inference_service("taxi", Record({"1": VERSIONS["1"]}, {"1": 100}, main="1"), knative),
    ]
    assert as_the_sdk_writes(sdk, objects) == objects


def test_sdk_knows_the_status_that_the_tests_controller_writes(sdk: Path) -> None:
    """Else the target would be tested against a status that KServe never has."""
    found = []
    for mode in (STANDARD, KNATIVE):
        state = KserveState()
        state.broken["gs://models/taxi/2"] = "no such bucket"
        settings = KserveSettings("serving", IMAGE, mode)
        previous = "1" if mode == KNATIVE else ""
        main = "2" if mode == KNATIVE else "1"
        state.write(
            "taxi", inference_service("taxi", Record({"1": VERSIONS["1"]}, {"1": 100}, "1"), settings)
        )
        for _ in range(4):
            state.step("taxi")
        state.write("taxi", inference_service("taxi", Record(VERSIONS, {"1": 100}, main, previous), settings))
        for _ in range(4):
            state.step("taxi")
        service = state.services["taxi"]
        found += [
            {**{key: service[key] for key in ("apiVersion", "kind", "spec")}, "status": one}
            for one in state.statuses
        ]
    assert len(found) == 6  # each mode: nothing, all ready, the second version broken
    assert as_the_sdk_writes(sdk, found) == found


def test_check_with_the_sdk_would_notice_a_wrong_key(sdk: Path) -> None:
    wrong = inference_service("taxi", RECORD, FULL)
    wrong["spec"]["canary"][0]["percent"] = 10
    with pytest.raises(
        AssertionError, match=r"InferenceService.spec.canary\[0\]: V1beta1CanarySpec knows no percent"
    ):
        as_the_sdk_writes(sdk, [wrong])

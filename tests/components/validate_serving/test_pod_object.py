"""The pod of a trial: the target's own, with the end of a trial."""

from typing import Any

import pytest

from penstock.components.prediction_service.settings import Settings
from penstock.components.serving_targets.kubernetes_names import selector
from penstock.components.serving_targets.kubernetes_objects import deployment
from penstock.components.serving_targets.kubernetes_opening import read_settings
from penstock.components.serving_targets.target import ModelVersion
from penstock.components.step_io.errors import StepError
from penstock.components.validate_serving.pod_object import trial_pod, trial_settings

URI = "minio://mlpipeline/root/v2/artifacts/training/7f3a/train-model/1/model"
GIVEN: dict[str, Any] = {
    "namespace": "models",
    "image": "registry/serving@sha256:" + "0" * 64,
    "secrets": [{"name": "store-keys", "variables": {"AWS_SECRET_ACCESS_KEY": "secretkey"}}],
    "variables": {"AWS_DEFAULT_REGION": "minio", "PENSTOCK_LOG_URI": "s3://logs"},
    "options": ["--threads", "2", "--log-uri", "s3://logs", "--log-format", "cloudevents"],
    "sources": {"mlflow-artifacts:/": "s3://bucket/mlflow/"},
    "cpu": "250m",
    "memory": "300Mi",
    "memory_limit": "400Mi",
}


def pod(uri: str = URI, **given: Any) -> dict[str, Any]:
    return trial_pod("serving-trial-1", "taxi", uri, trial_settings({**GIVEN, **given}), deadline_s=60)


def options(one: dict[str, Any]) -> list[str]:
    return list(one["spec"]["containers"][0]["args"])


def test_its_container_is_the_targets() -> None:
    """Image, variables, secrets, limits, probes and confinement: what is tried is what will serve."""
    wanted = deployment("taxi", ModelVersion("taxi", "3", URI), read_settings(GIVEN))
    (theirs,) = wanted["spec"]["template"]["spec"]["containers"]
    (ours,) = pod()["spec"]["containers"]
    assert {key for key in theirs if ours.get(key) != theirs[key]} == {"args", "lifecycle"}
    assert ours["resources"] == {
        "requests": {"cpu": "250m", "memory": "300Mi"},
        "limits": {"memory": "400Mi"},
    }
    same = wanted["spec"]["template"]["spec"]
    for key in ("serviceAccountName", "securityContext", "volumes", "automountServiceAccountToken"):
        assert pod()["spec"][key] == same[key], key
    assert same["automountServiceAccountToken"] is False


def test_it_ends_and_is_not_started_anew() -> None:
    spec = pod()["spec"]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 60)
    assert spec["terminationGracePeriodSeconds"] == 15


def test_it_writes_no_request_log_whatever_the_target_says() -> None:
    found = Settings.read(options(pod()), {"PENSTOCK_LOG_URI": "s3://logs"})
    assert (found.log_uri, found.threads) == ("", 2)


@pytest.mark.parametrize(
    ("uri", "sources", "read"),
    [
        (URI, {}, "s3" + URI.removeprefix("minio")),
        ("gs://bucket/model", {}, "gs://bucket/model"),
        ("mlflow-artifacts:/1/model", GIVEN["sources"], "s3://bucket/mlflow/1/model"),
        (URI, {"minio://mlpipeline/": "s3://mirror/"}, URI.replace("minio://mlpipeline/", "s3://mirror/")),
        (URI, {"minio://": "gs://"}, "gs" + URI.removeprefix("minio")),
    ],
)
def test_it_reads_the_model_where_pods_find_it(uri: str, sources: dict[str, str], read: str) -> None:
    assert Settings.read(options(pod(uri, sources=sources)), {}).model_dir == read


def test_no_endpoint_and_no_service_counts_it_as_its_own() -> None:
    labels = pod()["metadata"]["labels"]
    for version in ("", "candidate", "3"):
        assert not selector("taxi", version).items() <= labels.items()


def test_a_model_name_that_is_no_label_makes_a_pod_all_the_same() -> None:
    """Kubernetes takes at most 63 plain characters as a label."""
    name = "Größe der Fahrt " * 10
    one = trial_pod("serving-trial-1", name, URI, trial_settings(GIVEN), deadline_s=60)
    assert name not in one["metadata"]["labels"].values()
    assert Settings.read(options(one), {}).model_name == name


def test_settings_that_are_wrong_are_told_all_at_once() -> None:
    with pytest.raises(StepError) as raised:
        trial_settings({"namespace": "models", "memry": "1Gi"})
    assert str(raised.value) == (
        "serving target kubernetes: `image` is missing; `memry` is no setting; did you mean `memory`?"
    )

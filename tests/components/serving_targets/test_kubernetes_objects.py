"""What the objects of a version promise: confinement, probes, an orderly end, names that never collide."""

from typing import Any

import pytest

from penstock.components.serving_targets.kubernetes_names import object_name
from penstock.components.serving_targets.kubernetes_objects import (
    autoscaler,
    deployment,
    disruption_budget,
    owner_of,
    service,
)
from penstock.components.serving_targets.kubernetes_opening import read_settings
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings, SecretVariables
from penstock.components.serving_targets.target import ModelVersion
from penstock.components.step_io.errors import StepError

IMAGE = "registry/penstock/serving@sha256:" + "0" * 64
SETTINGS = KubernetesSettings(
    "models",
    IMAGE,
    secrets=(SecretVariables("store-keys", {"AWS_SECRET_ACCESS_KEY": "secretkey"}),),
    variables={"AWS_DEFAULT_REGION": "minio"},
    sources={"mlflow-artifacts:/": "s3://bucket/mlflow/"},
    drain_s=7,
    request_timeout_s=20,
)
VERSION = ModelVersion("taxi", "3", "mlflow-artifacts:/17/model", replicas=2)
OWNER = owner_of({"metadata": {"name": "taxi-v3", "uid": "1"}})


def pod() -> dict[str, Any]:
    return deployment("taxi", VERSION, SETTINGS)["spec"]["template"]["spec"]


def test_pod_is_confined() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}}]
    assert container["resources"]["limits"]["memory"] == "2Gi"


def test_secrets_go_in_by_name() -> None:
    (container,) = pod()["containers"]
    variables = {one["name"]: one for one in container["env"]}
    reference = {"name": "store-keys", "key": "secretkey"}
    assert variables["AWS_SECRET_ACCESS_KEY"]["valueFrom"] == {"secretKeyRef": reference}
    assert variables["AWS_DEFAULT_REGION"]["value"] == "minio"


def test_server_is_told_what_to_serve_and_where_pods_read_it() -> None:
    (container,) = pod()["containers"]
    options = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert options["--model-dir"] == "s3://bucket/mlflow/17/model"
    assert (options["--model-name"], options["--model-version"]) == ("taxi", "3")


def test_readiness_and_start_ask_for_the_model_liveness_for_the_process() -> None:
    (container,) = pod()["containers"]
    ports = {one["name"] for one in container["ports"]}
    for probe, path in (("startup", "ready"), ("readiness", "ready"), ("liveness", "live")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked["path"] == f"/v2/health/{path}"
        assert asked["port"] in ports
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == SETTINGS.start_limit_s


def test_requests_in_flight_end_before_the_pod_does() -> None:
    spec = pod()
    (container,) = spec["containers"]
    drain_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = float(container["args"][container["args"].index("--grace-s") + 1])
    assert (drain_s, grace_s) == (7, 20)
    assert spec["terminationGracePeriodSeconds"] > drain_s + grace_s


def test_an_update_never_takes_a_ready_pod_first() -> None:
    strategy = deployment("taxi", VERSION, SETTINGS)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_number_of_replicas_is_the_autoscalers() -> None:
    """Applied by us as well, it would undo at each deploy what load has made of it."""
    assert "replicas" not in deployment("taxi", VERSION, SETTINGS)["spec"]
    spec = autoscaler("taxi", VERSION, SETTINGS, OWNER)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    many = ModelVersion("taxi", "3", "s3://x", replicas=9)
    assert autoscaler("taxi", many, SETTINGS, OWNER)["spec"]["maxReplicas"] == 9
    assert spec["scaleTargetRef"]["name"] == deployment("taxi", VERSION, SETTINGS)["metadata"]["name"]


def test_a_drain_takes_one_of_several_and_never_the_only_one() -> None:
    several = disruption_budget("taxi", VERSION, OWNER)["spec"]
    single = disruption_budget("taxi", ModelVersion("taxi", "3", "s3://x"), OWNER)["spec"]
    assert (several["maxUnavailable"], several.get("minAvailable")) == (1, None)
    assert (single["minAvailable"], single.get("maxUnavailable")) == (1, None)


def test_selectors_choose_the_pods_of_this_version_only() -> None:
    ours = deployment("taxi", VERSION, SETTINGS)["spec"]["template"]["metadata"]["labels"]
    other = ModelVersion("taxi", "4", "s3://x")
    others = deployment("taxi", other, SETTINGS)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment("taxi", VERSION, SETTINGS)["spec"]["selector"]["matchLabels"],
        service("taxi", "3", OWNER)["spec"]["selector"],
        disruption_budget("taxi", VERSION, OWNER)["spec"]["selector"]["matchLabels"],
    ]
    for chosen in selectors:
        assert chosen.items() <= ours.items()
        assert not chosen.items() <= others.items()


def test_what_belongs_to_a_version_goes_with_its_deployment() -> None:
    for one in (
        service("taxi", "3", OWNER),
        disruption_budget("taxi", VERSION, OWNER),
        autoscaler("taxi", VERSION, SETTINGS, OWNER),
    ):
        assert one["metadata"]["ownerReferences"] == [OWNER]


def test_names_are_dns_labels_and_differ() -> None:
    pairs = [
        ("taxi", ""),
        ("taxi", "1"),
        ("taxi-v1", ""),
        ("taxi-v1", "1"),
        ("taxi", "1-v1"),
        ("Taxi", "1"),
        ("taxi_", "1"),
        ("taxi.", "1"),
        ("taxi-", "1"),
        ("3taxi", "1"),
        ("m-3taxi", "1"),
        ("a-v1-x", "2"),
        ("a", "1-x-v2"),
        ("x" * 63, "1"),
        ("x" * 63, "2"),
        ("x" * 63, ""),
    ]
    names = [object_name(*pair) for pair in pairs]
    assert len(set(names)) == len(pairs)
    for name in names:
        assert len(name) <= 52
        assert name[0].isalpha()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[-1] != "-"
    assert names[:2] == ["taxi", "taxi-v1"]


def test_an_image_by_tag_is_refused() -> None:
    with pytest.raises(StepError, match="by digest"):
        KubernetesSettings("models", "registry/penstock/serving:1.0")


def test_all_faults_of_the_settings_come_at_once() -> None:
    where = {
        "kind": "kubernetes",
        "image": IMAGE,
        "namespce": "x",
        "drain_s": True,
        "secrets": [{}],
        "sources": [],
    }
    with pytest.raises(StepError) as refused:
        read_settings(where)
    expected = "expected a list of {name, variables: {VARIABLE: key of the secret}}"
    assert str(refused.value) == (
        "serving target kubernetes: `namespace` is missing; `namespce` is no setting; did you mean `namespace`?; "
        f"`drain_s` is True, expected a whole number; `secrets[0]` is {{}}, {expected}; "
        "`sources` is [], expected a mapping"
    )


def test_settings_are_read_from_plain_values() -> None:
    where = {
        "kind": "kubernetes",
        "namespace": "models",
        "image": IMAGE,
        "options": ["--log-uri", "s3://bucket/logs"],
        "secrets": [{"name": "store-keys", "variables": {"AWS_SECRET_ACCESS_KEY": "secretkey"}}],
        "variables": {"AWS_DEFAULT_REGION": "minio"},
        "sources": {"mlflow-artifacts:/": "s3://bucket/mlflow/"},
        "drain_s": 7,
        "request_timeout_s": 20,
    }
    found = read_settings(where)
    assert found.options == ("--log-uri", "s3://bucket/logs")
    assert (found.secrets, found.variables, found.drain_s) == (SETTINGS.secrets, SETTINGS.variables, 7)

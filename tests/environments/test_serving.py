"""The section `serving` of an environment file, and what a rollout gets of it."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from penstock.app_yaml import AppError
from penstock.components.serving_targets.kserve_settings import KserveSettings
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.local_target import LocalTarget
from penstock.components.serving_targets.vertex_opening import VertexSettings
from penstock.environment_models import Environment
from penstock.environments import read_environment
from penstock.errors import UserError
from penstock.project import find_project
from penstock.serving_environment import (
    OF_A_ROLLOUT,
    OF_A_TRIAL,
    OF_KIND,
    serving_arguments,
    serving_target,
    serving_trial,
)
from penstock.signature import read_signature

PROJECT = find_project(Path(__file__).parent)
IMAGE = "localhost:5000/penstock/serving@sha256:" + 64 * "0"
KFP = """\
backend: kfp
host: http://127.0.0.1:8888
pipeline_root: minio://mlpipeline/penstock
images: localhost:5000/penstock
registry_uri: http://mlflow.kubeflow:5000
"""


def read(tmp_path: Path, text: str) -> Environment:
    path = tmp_path / "try.yaml"
    path.write_text(text)
    return read_environment(path, "try.yaml")


def test_this_machine_serves_from_the_state_folder() -> None:
    environment = Environment(name="local", backend="local")
    found = serving_arguments(PROJECT, environment, "taxi")
    folder = PROJECT.state / "endpoints"
    assert found["serving_target"] == {"kind": "local", "folder": str(folder)}
    assert (found["logs"], found["outcomes"]) == (str(folder / "taxi" / "requests"), "")
    assert found["state_uri"] == str(folder / "taxi" / "rollout.sqlite")


def test_a_local_challenger_gets_as_many_processes_as_the_champion_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    target = LocalTarget(tmp_path / "endpoints" / "taxi")
    environment = Environment(name="local", backend="local")
    target.create()
    assert serving_arguments(PROJECT, environment, "taxi")["replicas"] == 1

    def serve(state: dict[str, Any]) -> None:
        kept = {"model": "taxi", "uri": "/m"}
        state["versions"] = {"1": {**kept, "replicas": 3}, "2": {**kept, "replicas": 5}}
        state["weights"] = {"1": 100}

    target.file.change("deploy", serve, "", "")
    assert serving_arguments(PROJECT, environment, "taxi")["replicas"] == 3


def test_arguments_are_parameters_of_the_pipeline() -> None:
    declared = read_signature(PROJECT.root / "pipelines" / "rollout.py", "rollout").parameters
    assert {name for name in OF_A_ROLLOUT if name not in declared} == set()
    environment = Environment(name="local", backend="local")
    assert set(serving_arguments(PROJECT, environment, "taxi")) == set(OF_A_ROLLOUT)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("kubernetes", KubernetesSettings), ("kserve", KserveSettings), ("vertex", VertexSettings)],
)
def test_keys_are_what_the_target_takes(kind: str, settings: type) -> None:
    taken = {field.name for field in dataclasses.fields(settings)}
    assert set(OF_KIND[kind]) ^ taken == set()


def test_a_cluster_gets_what_is_written_and_where_to_log(tmp_path: Path) -> None:
    environment = read(
        tmp_path,
        KFP
        + f"serving: {{kind: kubernetes, image: '{IMAGE}', logs: 's3://bucket/requests/', hostname: a.example}}",
    )
    target = serving_target(PROJECT, environment)
    assert (target["namespace"], target["image"], target["hostname"]) == ("kubeflow", IMAGE, "a.example")
    assert target["options"] == ["--log-uri", "s3://bucket/requests"]
    found = serving_arguments(PROJECT, environment, "taxi", "s3://root")
    assert (found["logs"], found["state_uri"]) == (
        "s3://bucket/requests/taxi",
        "s3://root/rollouts/taxi.sqlite",
    )


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{kind: kubernetes, logs: s3://b, machine_type: n1}", "the kind kubernetes has no such key"),
        ("{kind: kubernetes}", "the kind kubernetes needs `logs`"),
        ("{logs: s3://b}", "`kind` is missing: local, kubernetes, kserve or vertex"),
        ("{kind: local}", "`local` is this machine, which the backend kfp cannot reach"),
        ("{kind: vertex, logs: gs://b}", "the kind vertex needs `region`"),
        ("{kind: kubernets, logs: s3://b}", "kubernets"),
        ("{kind: kubernetes, logs: s3://b, variables: {API_TOKEN: x}}", "this looks like a secret"),
        (
            "{kind: vertex, logs: gs://b, region: x, project: y, trial: pod}",
            "the kind vertex has no such key",
        ),
        (
            "{kind: kubernetes, logs: s3://b, namespace: models}",
            "steps run in the namespace kubeflow, servers in models: a pod to try a model is made in the former only; "
            "write `trial: process`",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, section: str, sentence: str) -> None:
    with pytest.raises(AppError) as raised:
        read(tmp_path, KFP + f"serving: {section}")
    assert str(raised.value).startswith("try.yaml:6: serving")
    assert sentence in str(raised.value)


def test_a_trial_has_what_the_target_has_but_its_traffic_and_its_log(tmp_path: Path) -> None:
    environment = read(
        tmp_path,
        KFP
        + f"""\
serving:
  kind: kubernetes
  image: {IMAGE}
  logs: s3://bucket/requests
  deployer: penstock-deployer
  hostname: a.example
  memory_limit: 700Mi
  options: [--threads, "2"]
  secrets: [{{name: keys, variables: {{AWS_SECRET_ACCESS_KEY: secretkey}}}}]
  variables: {{AWS_DEFAULT_REGION: minio}}
""",
    )
    assert serving_trial(PROJECT, environment) == {
        "namespace": "kubeflow",
        "image": IMAGE,
        "cpu": "500m",
        "memory": "1Gi",
        "memory_limit": "700Mi",
        "scratch": "4Gi",
        "request_timeout_s": 60,
        "options": ["--threads", "2"],
        "secrets": [{"name": "keys", "variables": {"AWS_SECRET_ACCESS_KEY": "secretkey"}}],
        "variables": {"AWS_DEFAULT_REGION": "minio"},
    }


def test_keys_of_a_trial_are_what_a_pod_takes() -> None:
    assert set(OF_A_TRIAL) <= set(OF_KIND["kubernetes"])


@pytest.mark.parametrize(
    ("text", "as_pod"),
    [
        (KFP + f"serving: {{kind: kserve, logs: s3://b, image: '{IMAGE}'}}", True),
        (KFP + f"serving: {{kind: kubernetes, logs: s3://b, image: '{IMAGE}', trial: process}}", False),
        (
            KFP
            + f"serving: {{kind: kubernetes, logs: s3://b, image: '{IMAGE}', namespace: x, trial: process}}",
            False,
        ),
        (KFP + f"serving: {{kind: vertex, logs: gs://b, image: '{IMAGE}', project: p, region: r}}", False),
        (KFP, False),
        ("backend: local", False),
    ],
)
def test_a_model_is_tried_as_a_pod_where_pods_serve_beside_the_steps(
    tmp_path: Path, text: str, as_pod: bool
) -> None:
    assert bool(serving_trial(PROJECT, read(tmp_path, text))) == as_pod


def test_an_environment_that_serves_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"the environment try says nothing of serving: give .* a section `serving`"
    ):
        serving_target(PROJECT, read(tmp_path, KFP))

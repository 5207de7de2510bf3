"""What is sent: checked, by digest, with the environment's own document, and the same for the same input."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from penstock.argument_checks import check_arguments
from penstock.compile_pipeline import compile_pipeline
from penstock.delivery import deliver
from penstock.environment_models import Notifications, Secret, Serving, Toleration
from penstock.errors import UserError
from penstock.serving_environment import account_of
from tests.submit.conftest import REGISTRY

SECRET = Secret(name="store-keys", variables={"AWS_ACCESS_KEY_ID": "id"}, steps=["extract_data"])


def executors(delivery):
    return delivery.ir["deploymentSpec"]["executors"]


def kubernetes(delivery):
    """Return the Kubernetes side of each executor, through the vendor's proto."""
    document = list(yaml.safe_load_all(delivery.text))[1]
    found = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {
        label: json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        for label, config in found.items()
    }


def test_delivered_ir_is_valid_and_names_images_by_digest_only(deliver_taxi):
    delivery = deliver_taxi()
    ir, platform = yaml.safe_load_all(delivery.text)
    json_format.ParseDict(ir, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    images = [one["container"]["image"] for one in executors(delivery).values() if "container" in one]
    assert len(images) > 10
    assert all(image.startswith(f"{REGISTRY}/") and "@sha256:" in image for image in images)


def test_delivery_of_the_same_input_is_the_same_and_of_other_code_is_not(deliver_taxi, lock, tmp_path):
    first, second = deliver_taxi(), deliver_taxi()
    assert (first.text, first.version, first.run_name) == (second.text, second.version, second.run_name)

    other = tmp_path / "lock.json"
    content = json.loads(lock.read_text())
    content["images"]["gate"]["reference"] = f"{REGISTRY}/gate@sha256:{'f' * 64}"
    other.write_text(json.dumps(content))
    changed = deliver_taxi(lock_path=other)
    assert changed.version != first.version
    assert changed.run_name != first.run_name


def test_run_name_follows_the_arguments_and_the_version_does_not(deliver_taxi):
    plain, seeded = deliver_taxi(), deliver_taxi("seed=1")
    assert plain.version == seeded.version
    assert plain.run_name != seeded.run_name
    assert seeded.arguments["seed"] == 1
    assert plain.run_name.startswith("training-taxi-")


def test_environment_parameters_count_below_those_of_the_command(deliver_taxi, environment):
    stage = environment.model_copy(update={"parameters": {"seed": 7, "min_rows": 5}})
    arguments = deliver_taxi("seed=1", of=stage).arguments
    assert (arguments["seed"], arguments["min_rows"]) == (1, 5)


def test_delivery_is_told_apart_from_the_local_run_by_places_only(deliver_taxi, tmp_path):
    arguments = deliver_taxi().arguments
    root = f"file://{tmp_path}/root"
    assert arguments["app_uri"].startswith(f"{root}/apps/taxi/")
    assert arguments["source"].startswith(f"{root}/data/taxi/")
    assert arguments["source"].endswith("/trips.csv.gz")
    assert arguments["checkpoint_uri"] == f"{root}/checkpoints"
    assert arguments["registry_uri"] == "http://mlflow.example.com"


def test_minio_root_keeps_its_scheme_for_kfp_and_is_s3_for_libraries(deliver_taxi, environment):
    stage = environment.model_copy(update={"pipeline_root": "minio://bucket/penstock/"})
    arguments = deliver_taxi(of=stage).arguments
    assert arguments["app_uri"].startswith("minio://bucket/penstock/apps/taxi/")
    assert arguments["source"].startswith("s3://bucket/penstock/data/taxi/")
    assert arguments["checkpoint_uri"] == "s3://bucket/penstock/checkpoints"


def test_variables_reach_every_step_and_a_secret_only_the_steps_listed(deliver_taxi, environment):
    stage = environment.model_copy(
        update={"variables": {"AWS_ENDPOINT_URL": "http://store:9000"}, "secrets": [SECRET]}
    )
    delivery = deliver_taxi(of=stage)
    for executor in executors(delivery).values():
        if "container" in executor:
            variables = {one["name"]: one["value"] for one in executor["container"]["env"]}
            assert variables["AWS_ENDPOINT_URL"] == "http://store:9000"
            assert variables["PENSTOCK_LOG_FORMAT"] == "json"
            assert variables["PENSTOCK_CODE_VERSION"] == delivery.arguments["code_version"]
    found = kubernetes(delivery)
    holders = {label for label, config in found.items() if config.secret_as_env}
    assert holders == {"exec-extract-data"}
    (secret,) = found["exec-extract-data"].secret_as_env
    assert secret.secret_name == "store-keys"
    assert secret.secret_name_parameter.runtime_value.constant.string_value == "store-keys"
    assert [(one.secret_key, one.env_var) for one in secret.key_to_env] == [("id", "AWS_ACCESS_KEY_ID")]
    assert not secret.optional


def test_notify_alone_gets_the_channels_and_runs_without_them(deliver_taxi, environment):
    stage = environment.model_copy(update={"notifications": Notifications(secret="channels", key="all")})
    found = kubernetes(deliver_taxi(of=stage))
    assert {label for label, config in found.items() if config.secret_as_env} == {"exec-notify"}
    (secret,) = found["exec-notify"].secret_as_env
    assert [(one.secret_key, one.env_var) for one in secret.key_to_env] == [("all", "PENSTOCK_NOTIFY_URLS")]
    assert secret.optional


def test_pods_get_labels_nodes_tolerations_mounts_and_a_folder_to_write_to(deliver_taxi, environment):
    stage = environment.model_copy(
        update={
            "labels": {"team": "fares"},
            "node_selector": {"pool": "training"},
            "tolerations": [Toleration(key="only", operator="Exists", effect="NoSchedule")],
            "secrets": [Secret(name="certificates", mount="/etc/ours")],
        }
    )
    found = kubernetes(deliver_taxi(of=stage))
    for config in found.values():
        assert dict(config.pod_metadata.labels) == {"team": "fares"}
        assert dict(config.node_selector.labels) == {"pool": "training"}
        assert [(one.key, one.operator, one.effect) for one in config.tolerations] == [
            ("only", "Exists", "NoSchedule")
        ]
        assert [(one.secret_name, one.mount_path) for one in config.secret_as_volume] == [
            ("certificates", "/etc/ours")
        ]
        assert [one.mount_path for one in config.empty_dir_mounts] == ["/tmp"]


def test_no_cache_turns_off_the_caching_of_tasks_at_every_depth(deliver_taxi):
    def cached(delivery):
        dags = [delivery.ir["root"], *delivery.ir["components"].values()]
        tasks = [task for dag in dags for task in dag.get("dag", {}).get("tasks", {}).values()]
        return sum(task.get("cachingOptions", {}).get("enableCache", False) for task in tasks), len(tasks)

    hits, tasks = cached(deliver_taxi())
    assert hits > 5
    assert cached(deliver_taxi(cache=False)) == (0, tasks)


def test_importers_are_called_as_kfp_looks_for_them(deliver_taxi):
    """KFP 2.14.3 records an importer by its display name and looks for it by its task's."""
    tasks = deliver_taxi().ir["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    importers = {name: task for name, task in tasks.items() if name.startswith("importer")}
    assert len(importers) == 3
    assert all(task["taskInfo"] == {"name": name} for name, task in importers.items())


def test_vertex_gets_one_document(deliver_taxi, environment):
    stage = environment.model_copy(update={"backend": "vertex"})
    assert len(list(yaml.safe_load_all(deliver_taxi(of=stage).text))) == 1


def test_no_value_of_the_machine_is_sent(deliver_taxi, environment, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-very-secret")
    monkeypatch.setenv("PENSTOCK_NOTIFY_URLS", "slack://hunter2-very-secret")
    delivery = deliver_taxi(of=environment.model_copy(update={"secrets": [SECRET]}))
    assert "hunter2" not in delivery.text + json.dumps(delivery.arguments)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seed": "3"}, "'seed' is '3', expected a whole number"),
        ({"seed": True}, "'seed' is True, expected a whole number"),
        ({"promote": 1}, "'promote' is 1, expected true or false"),
        ({"confidence": float("nan")}, "'confidence' is nan, expected a number"),
        ({"slices": "{}"}, "'slices' is '{}', expected a list"),
        ({"label": "[]"}, "'label' is '[]', expected a mapping"),
        ({"until": 2015}, "'until' is 2015, expected text"),
        ({"sed": 3}, "'sed' is no parameter of it; did you mean 'seed'?"),
    ],
)
def test_argument_of_another_type_or_name_is_refused(project, deliver_taxi, arguments, sentence):
    ir = compile_pipeline("training", project)
    with pytest.raises(UserError) as caught:
        check_arguments(ir, {**deliver_taxi().arguments, **arguments}, "training")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_arguments_are_all_named(project):
    with pytest.raises(UserError) as caught:
        check_arguments(compile_pipeline("training", project), {"app": "taxi"}, "training")
    assert "'label' has no value" in str(caught.value)
    assert "'source' has no value" in str(caught.value)


def test_arguments_that_do_not_fit_into_a_command_are_refused(project, deliver_taxi):
    arguments = {**deliver_taxi().arguments, "slices": ["x" * 1000] * 120}
    with pytest.raises(UserError, match="shorten 'slices'"):
        check_arguments(compile_pipeline("training", project), arguments, "training")


def test_secret_for_an_unknown_step_is_refused(deliver_taxi, environment):
    wrong = SECRET.model_copy(update={"steps": ["extract_dta"]})
    with pytest.raises(UserError, match="did you mean 'extract_data'"):
        deliver_taxi(of=environment.model_copy(update={"secrets": [wrong]}))


def test_missing_lock_and_stale_lock_say_what_to_do(deliver_taxi, lock, tmp_path):
    with pytest.raises(UserError, match="make images"):
        deliver_taxi(lock_path=tmp_path / "none.json")
    content = json.loads(lock.read_text())
    content["images"]["gate"]["tag"] = "0" * 16
    stale = tmp_path / "stale.json"
    stale.write_text(json.dumps(content))
    with pytest.raises(UserError, match="gate"):
        deliver_taxi(lock_path=stale)


def test_unknown_pipeline_is_refused_with_the_nearest_name(project, environment, lock):
    with pytest.raises(UserError, match="did you mean 'training'"):
        deliver(project, environment, "trainin", "taxi", lock_path=lock, publish=False)


# The command


def penstock(cwd: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(project, lock, tmp_path):
    """A project of its own, with an environment `stage` whose host and store are not there."""
    root = tmp_path / "checkout"
    (root / "manifests" / "environments").mkdir(parents=True)
    for name in ("apps", "components", "images", "pipelines"):
        (root / name).symlink_to(project.root / name)
    shutil.copy(lock, root / "images.lock.json")
    (root / "manifests" / "environments" / "stage.yaml").write_text(
        "backend: kfp\nhost: http://127.0.0.1:9\npipeline_root: s3://bucket/penstock\n"
        "images: registry.example.com/penstock\nregistry_uri: http://mlflow.example.com\n"
        "store: {endpoint: 'http://127.0.0.1:9', access_key_variable: A, secret_key_variable: B}\n"
    )
    return root


def test_dry_run_prints_the_copy_and_what_would_be_sent_without_asking_anyone(checkout):
    done = penstock(checkout, "submit", "training", "--env", "stage", "--dry-run", "--yaml")
    assert done.returncode == 0, done.stderr
    ir, platform = yaml.safe_load_all(done.stdout)
    assert ir["pipelineInfo"]["name"] == "training"
    assert "kubernetes" in platform["platforms"]
    assert "s3://bucket/penstock/apps/taxi/" in done.stderr
    assert "nothing was sent" in done.stderr


def test_submit_to_a_host_that_is_not_there_is_one_sentence_and_code_2(checkout):
    done = penstock(checkout, "submit", "training", "--env", "stage")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "penstock: the KFP API at http://127.0.0.1:9 cannot be reached (the connection is refused) to connect: "
        "is it up, and `host` right?\n"
    )


def test_submit_to_an_unknown_environment_names_those_that_are_there(checkout):
    done = penstock(checkout, "submit", "training", "--env", "stag")
    assert done.returncode == 2
    assert "did you mean 'stage'" in done.stderr


def test_publish_to_a_store_that_is_not_there_is_one_sentence(checkout):
    done = penstock(checkout, "app", "publish", "taxi", "--env", "stage", A="key", B="hunter2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "http://127.0.0.1:9 cannot be reached from here" in done.stderr
    assert "hunter2" not in done.stderr


def test_publish_without_the_keys_names_the_variable(checkout):
    done = penstock(checkout, "app", "publish", "taxi", "--env", "stage")
    assert done.returncode == 2
    assert "the environment variable A is not set" in done.stderr


def test_a_rollout_gets_where_models_are_served_and_runs_as_who_may_deploy(project, environment, lock):
    image = f"{REGISTRY}/serving@sha256:{'0' * 64}"
    serving = Serving(
        kind="kubernetes", logs="s3://bucket/requests", deployer="penstock-deployer", image=image
    )
    there = environment.model_copy(update={"serving": serving, "service_account": "penstock"})
    delivery = deliver(project, there, "rollout", "taxi", lock_path=lock, publish=False)
    given = delivery.arguments
    assert (given["model_name"], given["logs"], given["replicas"]) == ("taxi", "s3://bucket/requests/taxi", 1)
    assert given["serving_target"]["image"] == image
    assert given["state_uri"].endswith("/rollouts/taxi.sqlite")
    assert account_of(there, given) == "penstock-deployer"
    assert account_of(there, {"source": ""}) == "penstock"


def test_a_training_gets_how_a_model_is_tried_and_keeps_its_account(project, environment, lock):
    image = f"{REGISTRY}/serving@sha256:{'0' * 64}"
    serving = Serving(
        kind="kubernetes", logs="s3://bucket/requests", deployer="penstock-deployer", image=image
    )
    there = environment.model_copy(update={"serving": serving, "service_account": "penstock"})
    given = deliver(project, there, "training", "taxi", lock_path=lock, publish=False).arguments
    assert (given["serving_trial"]["image"], given["serving_trial"]["namespace"]) == (image, "kubeflow")
    assert account_of(there, given) == "penstock"
    here = deliver(project, environment, "training", "taxi", lock_path=lock, publish=False).arguments
    assert here["serving_trial"] == {}

"""manifests/kubernetes against the real API server: every overlay, the rights of steps, the MLflow server."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.platform import MANAGER
from tests.cluster.conftest import ENV, NAMESPACE, Penstock
from tests.cluster.mlflow_server import MlflowServer
from tests.cluster.projects import ROOT

RENDERED = sorted((ROOT / "manifests" / "kubernetes" / "rendered").glob("*.yaml"))
COMPONENTS = ROOT / "manifests" / "kubernetes" / "components"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:penstock"
# What KFP's pods do with the account of a run, and what none of them may.
MAY = [
    ("argoproj.io", "workflowtaskresults", "", "create"),
    ("argoproj.io", "workflowtaskresults", "", "patch"),
    ("", "configmaps", "kfp-launcher", "get"),
    ("", "secrets", "mlpipeline-minio-artifact", "get"),
    ("", "pods", "", "get"),
    ("", "pods", "", "create"),  # that in which validate_serving tries a model
    ("", "pods", "", "delete"),
    ("", "pods/log", "", "get"),
    ("argoproj.io", "workflows", "", "get"),
]
MAY_NOT = [
    ("", "secrets", "", "list"),
    ("", "secrets", "another", "get"),
    ("", "configmaps", "", "list"),
    ("", "pods", "", "patch"),
    ("", "pods", "", "deletecollection"),
    ("", "pods/exec", "", "create"),
    ("argoproj.io", "workflows", "", "create"),
    ("argoproj.io", "workflows", "", "patch"),
    ("apps", "deployments", "", "patch"),
    ("rbac.authorization.k8s.io", "rolebindings", "", "create"),
]


@pytest.fixture(scope="module")
def checked(kube: Any) -> Callable[[dict[str, Any]], Any]:
    """Let the API server check an object as if it were applied; namespaces that are not there become ours."""
    from kubernetes.dynamic import DynamicClient

    client = DynamicClient(kube)

    def check(one: dict[str, Any]) -> Any:
        moved = {**one, "metadata": {**one["metadata"], "namespace": NAMESPACE}}
        resource = client.resources.get(api_version=one["apiVersion"], kind=one["kind"])
        return client.server_side_apply(
            resource,
            body=moved,
            name=one["metadata"]["name"],
            namespace=NAMESPACE,
            field_manager=MANAGER,
            force_conflicts=True,
            dry_run="All",
            query_params=[("fieldValidation", "Strict")],
        )

    return check


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_overlay_passes_the_api_servers_own_checks(path: Path, checked: Callable[[Any], Any]) -> None:
    objects = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    assert len(objects) > 10
    for one in objects:
        assert checked(one).metadata.name == one["metadata"]["name"]


def test_launcher_configuration_passes_the_api_servers_own_checks(checked: Callable[[Any], Any]) -> None:
    one = yaml.safe_load((COMPONENTS / "launcher-config" / "kfp_launcher.yaml").read_text(encoding="utf-8"))
    providers = yaml.safe_load(checked(one).data["providers"])
    assert set(providers) == {"minio", "s3"}


def test_mistyped_field_is_refused(checked: Callable[[Any], Any]) -> None:
    """What makes the tests above mean something."""
    import kubernetes

    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        checked(wrong)
    assert "prots" in str(refused.value.body)


def test_applying_again_changes_nothing(kube: Any, penstock: Penstock) -> None:
    import kubernetes

    label = {"label_selector": "app.kubernetes.io/part-of=penstock"}
    core, apps = kubernetes.client.CoreV1Api(kube), kubernetes.client.AppsV1Api(kube)
    network, rbac = kubernetes.client.NetworkingV1Api(kube), kubernetes.client.RbacAuthorizationV1Api(kube)

    def generations() -> dict[str, Any]:
        found = apps.list_namespaced_deployment(NAMESPACE, **label).items
        found += network.list_namespaced_network_policy(NAMESPACE, **label).items
        counted = {one.metadata.name: one.metadata.generation for one in found}
        still = core.list_namespaced_config_map(NAMESPACE, **label).items
        still += rbac.list_namespaced_role(NAMESPACE, **label).items
        return counted | {one.metadata.name: one.metadata.resource_version for one in still}

    before = generations()
    assert {"mlflow", "penstock-steps"} <= set(before)
    assert penstock("platform", "apply", "--env", ENV).code == 0
    assert generations() == before


@pytest.mark.parametrize(("group", "resource", "name", "verb"), MAY)
def test_account_of_runs_may(kube: Any, group: str, resource: str, name: str, verb: str) -> None:
    assert allowed(kube, group, resource, name, verb)


@pytest.mark.parametrize(("group", "resource", "name", "verb"), MAY_NOT)
def test_account_of_runs_may_not(kube: Any, group: str, resource: str, name: str, verb: str) -> None:
    assert not allowed(kube, group, resource, name, verb)


def allowed(kube: Any, group: str, resource: str, name: str, verb: str) -> bool:
    import kubernetes

    resource, _, sub = resource.partition("/")
    asked = kubernetes.client.V1ResourceAttributes(
        group=group, resource=resource, subresource=sub, name=name, verb=verb, namespace=NAMESPACE
    )
    review = kubernetes.client.V1SubjectAccessReview(
        spec=kubernetes.client.V1SubjectAccessReviewSpec(user=ACCOUNT, resource_attributes=asked)
    )
    return bool(
        kubernetes.client.AuthorizationV1Api(kube).create_subject_access_review(review).status.allowed
    )


def test_mlflow_takes_its_own_names_and_refuses_others(mlflow: MlflowServer) -> None:
    """A foreign Host header is how a web page in someone's browser would reach it (DNS rebinding)."""
    url = f"{mlflow.url}/api/2.0/mlflow/experiments/search?max_results=1"
    for host in ("mlflow:5000", f"mlflow.{NAMESPACE}:5000", f"mlflow.{NAMESPACE}.svc.cluster.local:5000"):
        assert _status(url, host) == 200, host
    for host in ("mlflow.example.com", "mlflow.another:5000"):
        assert _status(url, host) == 403, host


def _status(url: str, host: str) -> int:
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pods_of_mlflow_are_confined_as_written(kube: Any) -> None:
    import kubernetes

    core = kubernetes.client.CoreV1Api(kube)
    pods = core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/name=mlflow").items
    running = [pod for pod in pods if pod.status.phase == "Running"]
    assert running
    for pod in running:
        (container,) = pod.spec.containers
        assert "@sha256:" in container.image
        assert container.security_context.read_only_root_filesystem
        assert not pod.spec.automount_service_account_token


def test_runs_use_the_account(kube: Any) -> None:
    """Every pod of the last run: drivers, launchers and steps have one account, the environment's."""
    import kubernetes

    pods = kubernetes.client.CoreV1Api(kube).list_namespaced_pod(
        NAMESPACE, label_selector="workflows.argoproj.io/workflow"
    )
    ours = [
        pod
        for pod in pods.items
        if pod.metadata.labels["workflows.argoproj.io/workflow"].startswith("training")
    ]
    if not ours:
        pytest.skip("no run of the training pipeline left pods: run after test_training.py")
    assert {pod.spec.service_account_name for pod in ours} == {"penstock"}

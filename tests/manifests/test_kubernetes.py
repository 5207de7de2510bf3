"""manifests/kubernetes, as rendered: what the API server would not refuse and we would."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.environments import environment_names, load_environment
from penstock.project import find_project

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
SECRET_NAME = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|CREDENTIAL")
Objects = list[dict[str, Any]]


def rendered(overlay: str) -> Objects:
    text = (FOLDER / "rendered" / f"{overlay}.yaml").read_text(encoding="utf-8")
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(objects: Objects, kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pod_specs(objects: Objects) -> Objects:
    return [one["spec"]["template"]["spec"] for one in objects if "template" in one.get("spec", {})]


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> Objects:
    return rendered(request.param)


def kubectl() -> str:
    found = shutil.which("kubectl") or shutil.which(
        "kubectl", path=str(Path(os.environ.get("KUBECONFIG", "")).parent / "bin")
    )
    if not found:
        pytest.skip("kubectl is not there: whether rendered/ is current was NOT checked")
    return found


def test_rendered_files_are_current() -> None:
    path = f"{Path(kubectl()).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [FOLDER / "render", "--check"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_overlay_is_rendered() -> None:
    assert OVERLAYS == ["local-cluster", "preprod", "prod", "test"]
    assert sorted(path.stem for path in (FOLDER / "rendered").glob("*.yaml")) == OVERLAYS


def test_base_goes_to_any_namespace(tmp_path: Path) -> None:
    tool = kubectl()
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "team"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("namespace: team-a\nresources: [../../base]\n")
    done = subprocess.run([tool, "kustomize", overlay], capture_output=True, text=True, check=True)
    found = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert {one["metadata"]["namespace"] for one in found} == {"team-a"}
    for binding in of_kind(found, "RoleBinding").values():
        assert [subject["namespace"] for subject in binding["subjects"]] == ["team-a"]


def test_objects_have_a_namespace_our_label_and_a_name_of_their_own(objects: Objects) -> None:
    for one in objects:
        assert one["metadata"]["namespace"], one["metadata"]["name"]
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "penstock", one["metadata"]["name"]
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def test_kfps_own_configuration_is_left_alone(objects: Objects) -> None:
    assert set(of_kind(objects, "ConfigMap")) == {"mlflow"}
    assert not {"pipeline-runner", "default"} & set(of_kind(objects, "ServiceAccount"))


def test_no_secret_value_is_in_a_file(objects: Objects) -> None:
    assert not of_kind(objects, "Secret")
    for spec in pod_specs(objects):
        for container in spec["containers"]:
            for variable in container["env"]:
                if SECRET_NAME.search(variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], variable["name"]
            assert not re.search(r"://[^/@\s]+:[^/@\s]+@", str(container))


def test_roles_grant_names_not_wildcards(objects: Objects) -> None:
    assert not of_kind(objects, "ClusterRole")
    assert not of_kind(objects, "ClusterRoleBinding")
    for name, role in of_kind(objects, "Role").items():
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]], name
            if "" in rule["apiGroups"] and {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["resourceNames"], name
                assert rule["verbs"] == ["get"], name
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), name
            assert not {"pods/exec", "roles", "rolebindings"} & set(rule["resources"]), name


def test_bindings_join_roles_and_accounts_that_are_there(objects: Objects) -> None:
    roles, accounts = of_kind(objects, "Role"), of_kind(objects, "ServiceAccount")
    bound = set()
    for binding in of_kind(objects, "RoleBinding").values():
        assert binding["roleRef"]["name"] in roles
        bound.add(binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            assert subject["name"] in accounts
    assert bound == set(roles)


def test_pods_are_confined(objects: Objects) -> None:
    specs = pod_specs(objects)
    assert specs
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == 65532
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["path"] == "/health"
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_images_are_services_of_images_yaml_pinned_when_applied(objects: Objects) -> None:
    services = yaml.safe_load((ROOT / "images" / "images.yaml").read_text(encoding="utf-8"))["services"]
    for spec in pod_specs(objects):
        for container in spec["containers"]:
            assert container["image"] in {f"penstock/{name}:unpinned" for name in services}


def test_quota_counts_nothing_that_a_driver_pod_lacks(objects: Objects) -> None:
    """Init containers and sidecars of a run have no limits: a quota on limits would refuse every pod."""
    (quota,) = of_kind(objects, "ResourceQuota").values()
    assert set(quota["spec"]["hard"]) == {"pods", "requests.cpu", "requests.memory"}
    (limits,) = of_kind(objects, "LimitRange").values()
    (container,) = limits["spec"]["limits"]
    assert set(container["defaultRequest"]) == {"cpu", "memory"}
    assert "default" not in container


def test_nobody_calls_a_step_and_steps_reach_what_they_need(objects: Objects) -> None:
    steps = of_kind(objects, "NetworkPolicy")["penstock-steps"]["spec"]
    assert steps["policyTypes"] == ["Ingress", "Egress"]
    assert not steps.get("ingress")
    ports = {port["port"] for rule in steps["egress"] for port in rule["ports"]}
    # DNS, HTTPS, Kubernetes, MLflow, ML Metadata, KFP's API, the object store
    assert {53, 443, 6443, 5000, 8080, 8888, 9000} <= ports
    # A rule without `ports` or without `to` for other than these would be a hole.
    for rule in steps["egress"]:
        assert rule["ports"]


def test_one_writer_for_sqlite_and_several_for_postgresql(objects: Objects) -> None:
    (deployment,) = of_kind(objects, "Deployment").values()
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    variables = {one["name"]: one for one in container["env"]}
    if "valueFrom" in variables["MLFLOW_BACKEND_STORE_URI"]:
        assert deployment["spec"]["replicas"] == 2
        assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
        assert not of_kind(objects, "PersistentVolumeClaim")
        assert of_kind(objects, "PodDisruptionBudget")
    else:
        assert deployment["spec"]["replicas"] == 1
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        assert variables["WORKERS"]["value"] == "1"


def test_environments_name_manifests_that_hold_what_they_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATFORM", raising=False)
    project = find_project(ROOT)
    with_manifests = []
    for name in environment_names(project):
        environment = load_environment(project, name)
        if not environment.platform:
            continue
        with_manifests.append(name)
        overlay = Path(environment.platform).stem
        objects = rendered(overlay)
        assert environment.service_account in of_kind(objects, "ServiceAccount")
        (service,) = of_kind(objects, "Service").values()
        address = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}"
        assert environment.registry_uri == f"{address}:{service['spec']['ports'][0]['port']}"
        assert {one["metadata"]["namespace"] for one in objects} == {environment.namespace}
    assert "test" in with_manifests


def test_server_and_client_of_mlflow_have_the_same_version() -> None:
    def version(stack: str, package: str) -> str:
        text = (ROOT / "images" / stack / "uv.lock").read_text(encoding="utf-8")
        found = re.search(rf'name = "{package}"\nversion = "([^"]+)"', text)
        assert found, f"{stack} has no {package}"
        return found.group(1)

    assert version("mlflow", "mlflow") == version("control", "mlflow-skinny")

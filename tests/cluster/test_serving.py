"""The Kubernetes target on a real cluster, behind a real gateway, with the real service and a real model.

Deploys, shifts and undeploys with the rights of the account penstock-deployer and no others.
"""

import json
import logging
import math
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.components.serving_targets.kubernetes_names import object_name, selector_text
from penstock.components.serving_targets.kubernetes_objects import (
    autoscaler,
    deployment,
    disruption_budget,
    owner_of,
    service,
)
from penstock.components.serving_targets.kubernetes_opening import read_settings
from penstock.components.serving_targets.kubernetes_route import Route, Traffic, route_object
from penstock.components.serving_targets.kubernetes_target import KubernetesTarget
from penstock.components.serving_targets.target import Conflict, ModelVersion, Shadow
from penstock.components.step_io.errors import StepError
from penstock.images.registry import Registry
from penstock.images.targets import all_targets
from penstock.local.envs import ensure_stack
from penstock.platform import MANAGER
from penstock.project import find_project
from penstock.versions import Images
from tests.cluster.conftest import ENV, NAMESPACE, run_penstock
from tests.cluster.mlflow_server import MlflowServer
from tests.cluster.projects import ROOT
from tests.cluster.requests_load import Requests

RENDERED = ROOT / "manifests" / "kubernetes" / "rendered" / "local-cluster.yaml"
DEPLOYER = "penstock-deployer"
MODEL = "taxi"
REQUESTS = 2000
GATEWAY_HAS_IT_S = 1.0  # from the route's acceptance to the proxy's tables


@pytest.fixture(scope="module")
def image(variables: dict[str, str]) -> str:
    """The serving image of this checkout, by the digest that the registry has."""
    for command in (["build", "serving"], ["push", "serving", "--env", ENV]):
        assert run_penstock("images", *command, env=variables).code == 0
    project = find_project(ROOT)
    (built,) = all_targets(project, Images(project), ["serving"])
    prefix = f"{variables['REGISTRY']}/penstock"
    return f"{prefix}/serving@{Registry(prefix).digest('serving', built.tag)}"


@pytest.fixture(scope="module")
def deployer(kube: Any, variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights that the manifests give to runs that deploy, and no others."""
    import kubernetes
    from kubernetes.dynamic import DynamicClient

    client = DynamicClient(kube)
    for one in yaml.safe_load_all(RENDERED.read_text(encoding="utf-8")):
        if one["metadata"]["name"].startswith((DEPLOYER, "penstock-serving")):
            kind = client.resources.get(api_version=one["apiVersion"], kind=one["kind"])
            client.server_side_apply(
                kind, body=one, namespace=NAMESPACE, field_manager=MANAGER, force_conflicts=True
            )
    asked = kubernetes.client.AuthenticationV1TokenRequest(
        spec=kubernetes.client.V1TokenRequestSpec(audiences=[], expiration_seconds=3 * 3600)
    )
    core = kubernetes.client.CoreV1Api(kube)
    token = core.create_namespaced_service_account_token(DEPLOYER, NAMESPACE, asked).status.token
    config = yaml.safe_load(Path(variables["KUBECONFIG"]).read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token}
    path = tmp_path_factory.mktemp("deployer") / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def where(image: str) -> dict[str, Any]:
    """The target as an environment file describes it."""
    keys = {"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"}
    return {
        "kind": "kubernetes",
        "namespace": NAMESPACE,
        "image": image,
        "secrets": [{"name": "mlpipeline-minio-artifact", "variables": keys}],
        "variables": {
            "AWS_ENDPOINT_URL": f"http://minio-service.{NAMESPACE}:9000",
            "AWS_DEFAULT_REGION": "minio",
        },
        "sources": {"mlflow-artifacts:/": "s3://mlpipeline/mlflow/"},
        "options": ["--threads", "1"],
        "cpu": "100m",
        "memory": "512Mi",
        "drain_s": 5,
        "request_timeout_s": 30,
    }


@pytest.fixture(scope="module")
def source(mlflow: MlflowServer, request: pytest.FixtureRequest) -> str:
    """The folder of a model that the pipeline trained on this cluster and registered."""
    path = "model-versions/search?max_results=100"
    found = mlflow(path).get("model_versions", [])
    if not found:
        request.getfixturevalue("trained")
        found = mlflow(path)["model_versions"]
    newest = max(found, key=lambda version: version["creation_timestamp"])
    return str(newest["source"])


@pytest.fixture(scope="module")
def row(mlflow: MlflowServer, source: str) -> dict[str, Any]:
    """A row that the model takes."""
    inputs = mlflow.artifact(source, "model.json")["inputs"]
    return {one["name"]: 1.0 if one["dtype"] == "float64" else "1" for one in inputs}


@pytest.fixture(scope="module")
def name() -> str:
    """An endpoint that no earlier session has used."""
    return f"taxi-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def endpoint(
    name: str, where: dict[str, Any], deployer: Path, gateway: str, source: str, caplog_info: None
) -> Iterator[KubernetesTarget]:
    """An endpoint with versions 1 and 2, all traffic on 1; it is taken away at the end."""
    target = KubernetesTarget(name, read_settings(where), str(deployer))
    try:
        target.deploy(ModelVersion(MODEL, "1", source), by="the test", why="the first")
        target.shift({"1": 100})
        target.deploy(ModelVersion(MODEL, "2", source))
        yield target
    finally:
        target.remove()


@pytest.fixture(scope="module")
def caplog_info() -> Iterator[None]:
    """Show the progress of a deploy where a test fails."""
    logger = logging.getLogger("penstock.components.serving_targets")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)


@pytest.fixture(scope="module")
def requests(gateway: str, name: str, row: dict[str, Any]) -> Requests:
    """Predictions of one row over V1."""
    body = json.dumps({"instances": [row]}).encode()
    return Requests(gateway, f"{name}.{NAMESPACE}.internal", f"/v1/models/{MODEL}:predict", body)


def shift(target: KubernetesTarget, **weights: int) -> None:
    """Divide the traffic, and leave the proxy time to have it."""
    target.shift({version.removeprefix("v"): weight for version, weight in weights.items()}, by="the test")
    time.sleep(GATEWAY_HAS_IT_S)


def test_objects_pass_the_api_servers_own_checks(
    kube: Any, where: dict[str, Any], deployer: Path, name: str
) -> None:
    settings = read_settings({**where, "session_cookie": "version"})
    target = KubernetesTarget(name, settings, str(deployer))
    version = ModelVersion(MODEL, "9", "s3://models/9", replicas=2)
    owner = owner_of({"metadata": {"name": "some", "uid": str(uuid.uuid4())}})
    route = Route(Traffic(("8", "9"), {"8": 90, "9": 10}, Shadow("9", 20)), revision=1)
    objects = [
        deployment(name, version, settings),
        service(name, "9", owner),
        disruption_budget(name, version, owner),
        autoscaler(name, version, settings, owner),
        route_object(name, route, settings),
    ]
    for one in objects:
        found = target.cluster.apply(one, dry_run=True)
        assert found["metadata"]["name"] == one["metadata"]["name"]
    wrong = service(name, "9", owner) | {"spec": {"prots": []}}
    with pytest.raises(StepError, match="prots"):
        target.cluster.apply(wrong, dry_run=True)


def test_a_deployed_version_is_ready_and_answers_only_who_names_it(
    endpoint: KubernetesTarget, requests: Requests
) -> None:
    shift(endpoint, v1=100)
    state = endpoint.state()
    assert {version: one.ready for version, one in state.versions.items()} == {"1": 1, "2": 1}
    assert requests.send(50) == {"1": 50}
    assert requests.send(20, version="2") == {"2": 20}


def test_ten_percent_get_the_canary(endpoint: KubernetesTarget, requests: Requests) -> None:
    """2,000 requests; bounds of the binomial distribution, 4 standard deviations: 1 false alarm in 16,000."""
    shift(endpoint, v1=90, v2=10)
    found = requests.send(REQUESTS)
    print(f"canary at 10 %: {dict(found)}")
    assert set(found) == {"1", "2"}, "some requests were not answered"
    assert abs(found["2"] - REQUESTS * 0.1) <= 4 * math.sqrt(REQUESTS * 0.1 * 0.9)


def test_promotion_and_rollback_lose_no_request(endpoint: KubernetesTarget, requests: Requests) -> None:
    shift(endpoint, v1=90, v2=10)
    took_s = []
    with requests.during() as load:
        for weights in ({"v1": 50, "v2": 50}, {"v2": 100}, {"v1": 100}):
            begun = time.monotonic()
            shift(endpoint, **weights)
            took_s.append(time.monotonic() - begun - GATEWAY_HAS_IT_S)
    print(f"shifts took {', '.join(f'{s:.1f} s' for s in took_s)}; answers: {dict(load.answers)}")
    assert set(load.answers) == {"1", "2"}
    assert requests.send(50) == {"1": 50}
    changes = [change for change in endpoint.history() if change.action == "shift"]
    assert [change.after["weights"] for change in changes[-3:]] == [
        {"1": 50, "2": 50},
        {"2": 100},
        {"1": 100},
    ]


def test_kserves_grpc_client_goes_the_same_ways(
    endpoint: KubernetesTarget, name: str, gateway: str, row: dict[str, Any]
) -> None:
    shift(endpoint, v1=100)
    python = ensure_stack(find_project(ROOT), "serving")
    inputs = [
        {
            "name": key,
            "shape": [1, 1],
            "datatype": "FP64" if isinstance(value, float) else "BYTES",
            "data": [value],
        }
        for key, value in row.items()
    ]
    address = gateway.removeprefix("http://")
    command = [str(python), str(Path(__file__).with_name("ask_gateway.py")), address]
    command += [f"{name}.{NAMESPACE}.internal", MODEL, json.dumps({"inputs": inputs}), "20"]
    for forced, expected in (([], {"1": 20}), (["2"], {"2": 20})):
        done = subprocess.run([*command, *forced], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_what_is_not_for_the_public_is_not_passed_on(
    endpoint: KubernetesTarget, gateway: str, requests: Requests
) -> None:
    shift(endpoint, v1=100)
    for path in ("/metrics", f"/v2/repository/models/{MODEL}/load", "/docs"):
        asked = urllib.request.Request(gateway + path, headers={"Host": requests.host})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=30)
        assert refused.value.code == 404, path


def test_a_shadow_gets_a_copy_and_its_answers_go_nowhere(
    endpoint: KubernetesTarget, requests: Requests, kube: Any
) -> None:
    shift(endpoint, v1=100)
    endpoint.mirror(Shadow("2"))
    time.sleep(GATEWAY_HAS_IT_S)
    before = _answered(kube, endpoint.name, "2")
    assert requests.send(100) == {"1": 100}
    until = time.monotonic() + 20
    while (copies := _answered(kube, endpoint.name, "2") - before) < 100 and time.monotonic() < until:
        time.sleep(0.5)
    endpoint.mirror(None)
    assert copies == 100


def test_of_a_rollback_and_an_advance_at_once_one_wins(endpoint: KubernetesTarget, deployer: Path) -> None:
    shift(endpoint, v1=90, v2=10)
    revision = endpoint.state().revision
    together = threading.Barrier(2)
    ended: dict[str, str] = {}

    def call(who: str, weights: dict[str, int]) -> None:
        own = KubernetesTarget(endpoint.name, endpoint.settings, str(deployer))
        together.wait()
        try:
            own.shift(weights, revision, by=who)
            ended[who] = "won"
        except Conflict as conflict:
            ended[who] = str(conflict)

    wanted = {"rollback": {"1": 100}, "advance": {"1": 50, "2": 50}}
    threads = [threading.Thread(target=call, args=one) for one in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [who for who, how in ended.items() if how == "won"]
    (told,) = [how for how in ended.values() if how != "won"]
    assert "was changed in between" in told
    state = endpoint.state()
    assert (state.weights, state.revision) == (wanted[winner], revision + 1)
    assert endpoint.history()[-1].by == winner


def test_a_deploy_that_was_killed_is_ended_by_the_next_call(
    endpoint: KubernetesTarget, where: dict[str, Any], deployer: Path, source: str, requests: Requests
) -> None:
    """Killed with its objects half made or its pod half started; versions that serve notice nothing of it."""
    shift(endpoint, v1=100)
    program = (
        "import json, sys\n"
        "from penstock.components.serving_targets.kubernetes_opening import read_settings\n"
        "from penstock.components.serving_targets.kubernetes_target import KubernetesTarget\n"
        "from penstock.components.serving_targets.target import ModelVersion\n"
        "name, where, kubeconfig, source = sys.argv[1:]\n"
        "target = KubernetesTarget(name, read_settings(json.loads(where)), kubeconfig)\n"
        "target.deploy(ModelVersion('taxi', '3', source))\n"
    )
    command = [sys.executable, "-c", program, endpoint.name, json.dumps(where), str(deployer), source]
    process = subprocess.Popen(command, cwd=ROOT)
    name = object_name(endpoint.name, "3")
    until = time.monotonic() + 120
    while endpoint.cluster.get("Deployment", name) is None and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert "not deployed to the end" in endpoint.state().versions["3"].problem
    with requests.during() as load:
        endpoint.deploy(ModelVersion(MODEL, "3", source))
        endpoint.undeploy("3")
    print(f"while a version came and went: {dict(load.answers)}")
    assert set(load.answers) == {"1"}
    assert "3" not in endpoint.state().versions


def test_a_version_that_is_made_anew_loses_no_request(
    endpoint: KubernetesTarget, where: dict[str, Any], deployer: Path, source: str, requests: Requests
) -> None:
    """As with a new serving image: the new pod is ready before the old one ends, which answers what it has begun."""
    shift(endpoint, v1=100)
    revision = endpoint.state().revision
    pods = {pod["metadata"]["name"] for pod in endpoint.rollout.pods("1")}
    variables = {**where["variables"], "PENSTOCK_MAX_WAITING": "900"}
    renewed = KubernetesTarget(endpoint.name, read_settings({**where, "variables": variables}), str(deployer))
    with requests.during() as load:
        renewed.deploy(ModelVersion(MODEL, "1", source))
        until = time.monotonic() + 120
        while pods & {pod["metadata"]["name"] for pod in endpoint.rollout.pods("1")}:
            assert time.monotonic() < until, "the old pod does not end"
            time.sleep(1)
    print(f"while a version was made anew: {dict(load.answers)}")
    assert set(load.answers) == {"1"}
    assert endpoint.state().revision == revision


def test_a_version_that_cannot_start_is_told_and_taken_away(endpoint: KubernetesTarget) -> None:
    with pytest.raises(StepError) as refused:
        endpoint.deploy(ModelVersion(MODEL, "4", "s3://mlpipeline/there/is/nothing"))
    print(refused.value)
    assert "version 4" in str(refused.value)
    assert "it said last: " in str(refused.value)
    assert "s3://mlpipeline/there/is/nothing" in str(refused.value)
    assert "4" not in endpoint.state().versions


def test_undeploy_is_refused_while_there_is_traffic(endpoint: KubernetesTarget) -> None:
    shift(endpoint, v1=99, v2=1)
    with pytest.raises(StepError, match="has 1 % of the traffic"):
        endpoint.undeploy("2")
    shift(endpoint, v1=100)


def test_nothing_is_left_of_an_endpoint(endpoint: KubernetesTarget, kube: Any) -> None:
    """The last test: it takes the endpoint away."""
    import kubernetes

    endpoint.remove()
    assert endpoint.state().versions == {}
    chosen = {"label_selector": selector_text(endpoint.name)}
    core, apps = kubernetes.client.CoreV1Api(kube), kubernetes.client.AppsV1Api(kube)
    scaling, policy = kubernetes.client.AutoscalingV2Api(kube), kubernetes.client.PolicyV1Api(kube)
    until = time.monotonic() + 60  # the garbage collector's own time
    left: list[Any] = []
    while time.monotonic() < until:
        left = [
            *core.list_namespaced_service(NAMESPACE, **chosen).items,
            *core.list_namespaced_pod(NAMESPACE, **chosen).items,
            *apps.list_namespaced_deployment(NAMESPACE, **chosen).items,
            *scaling.list_namespaced_horizontal_pod_autoscaler(NAMESPACE, **chosen).items,
            *policy.list_namespaced_pod_disruption_budget(NAMESPACE, **chosen).items,
        ]
        if not left:
            break
        time.sleep(1)
    assert [one.metadata.name for one in left] == []


def _answered(kube: Any, endpoint: str, version: str) -> int:
    """Return how many predictions the pods of a version have answered, from their own metrics."""
    import kubernetes

    core = kubernetes.client.CoreV1Api(kube)
    chosen = selector_text(endpoint, version)
    total = 0
    for pod in core.list_namespaced_pod(NAMESPACE, label_selector=chosen).items:
        for line in _read(f"http://{pod.status.pod_ip}:8080/metrics").splitlines():
            if line.startswith("penstock_rows_total{"):
                total += round(float(line.rpartition(" ")[2]))
    return total


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:
        return str(response.read().decode())

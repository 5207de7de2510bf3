"""The Kubernetes target over HTTP: idempotence, compare-and-set, and what people read when it cannot go on."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.components.serving_targets import kubernetes_api, kubernetes_pods, kubernetes_target
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.kubernetes_target import KubernetesTarget
from penstock.components.serving_targets.target import Conflict, ModelVersion, Shadow
from penstock.components.step_io.errors import StepError
from tests.components.serving_targets.kubernetes_server import (
    ClusterState,
    container_status,
    kubernetes_server,
)

SETTINGS = KubernetesSettings("models", "registry/serving@sha256:" + "0" * 64)
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes"
ROUTE = f"PATCH {ROUTES}/taxi"


@pytest.fixture
def cluster() -> ClusterState:
    return ClusterState()


@pytest.fixture
def kubeconfig(cluster: ClusterState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(kubernetes_pods, "SETTLED_S", 0.0)
    monkeypatch.setattr(kubernetes_target, "ACCEPTED_S", 0.5)
    monkeypatch.setattr(kubernetes_api, "PAUSES_S", (0.0, 0.0, 0.0))
    with kubernetes_server(cluster, tmp_path) as path:
        yield path


@pytest.fixture
def target(kubeconfig: Path) -> KubernetesTarget:
    return KubernetesTarget("taxi", SETTINGS, str(kubeconfig))


@pytest.fixture
def canary(target: KubernetesTarget) -> KubernetesTarget:
    """Version 1 with all traffic, version 2 ready beside it; at revision 3."""
    target.deploy(version("1"))
    target.shift({"1": 100})
    target.deploy(version("2"))
    return target


def version(number: str, **options: Any) -> ModelVersion:
    return ModelVersion("taxi", number, f"s3://models/{number}", **options)


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StepError) as error:
        call(*arguments, **options)
    return str(error.value)


def test_deployed_version_is_ready_and_has_no_traffic(target: KubernetesTarget) -> None:
    target.deploy(version("3", replicas=2), by="me", why="a new one")
    state = target.state()
    assert (state.weights, state.revision, state.running) == ({}, 1, True)
    assert (state.versions["3"].ready, state.versions["3"].replicas) == (2, 2)
    assert state.versions["3"].uri == "s3://models/3"
    assert state.url == "http://taxi.models.internal"
    (change,) = target.history()
    assert (change.action, change.by, change.why) == ("deploy", "me", "a new one")


def test_an_endpoint_that_nobody_made_is_empty(target: KubernetesTarget) -> None:
    """A first rollout asks before it deploys."""
    state = target.state()
    assert (state.revision, state.versions, target.history()) == (0, {}, [])
    assert refused(target.shift, {"1": 100}) == (
        "there is no endpoint 'taxi' in the namespace models: deploy a version first"
    )


def test_deploying_again_changes_nothing(canary: KubernetesTarget, cluster: ClusterState) -> None:
    before = {key: one["metadata"]["generation"] for key, one in cluster.objects.items() if key[0] != "pods"}
    history = canary.history()
    canary.deploy(version("2"))
    after = {key: one["metadata"]["generation"] for key, one in cluster.objects.items() if key[0] != "pods"}
    assert (after, canary.history()) == (before, history)


@pytest.mark.parametrize(
    "last", ["deployments", "services", "poddisruptionbudgets", "horizontalpodautoscalers"]
)
def test_deploy_that_was_killed_is_ended_by_the_next(
    target: KubernetesTarget, cluster: ClusterState, last: str
) -> None:
    class Killed(BaseException):
        """As kill -9: nothing of ours runs after it."""

    kinds = {
        "Deployment": "deployments",
        "Service": "services",
        "PodDisruptionBudget": "poddisruptionbudgets",
    }
    apply = target.cluster.apply

    def until(one: Any, **options: Any) -> Any:
        found = apply(one, **options)
        if kinds.get(one["kind"], "horizontalpodautoscalers") == last:
            raise Killed
        return found

    target.cluster.apply = until  # type: ignore[method-assign]
    with pytest.raises(Killed):
        target.deploy(version("3"))
    target.cluster.apply = apply  # type: ignore[method-assign]
    assert target.state().versions["3"].problem == "not deployed to the end: deploy it again, or undeploy it"
    target.deploy(version("3"))
    assert target.state().versions["3"].problem == ""
    kept = {kind for kind, _ in cluster.objects}
    assert kept >= {*kinds.values(), "horizontalpodautoscalers", "httproutes"}


def test_undeploy_that_was_killed_is_ended_by_the_next(
    canary: KubernetesTarget, cluster: ClusterState
) -> None:
    deployment = cluster.objects["deployments", "taxi-v2"]
    canary.undeploy("2")
    cluster.objects["deployments", "taxi-v2"] = deployment  # the route was written, no more
    canary.undeploy("2")
    assert list(canary.state().versions) == ["1"]
    assert [change.action for change in canary.history()].count("undeploy") == 1


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            container_status(waiting={"reason": "ErrImagePull", "message": "not found"}),
            "the image image cannot be pulled: not found",
        ),
        (
            container_status(
                waiting={"reason": "CrashLoopBackOff"},
                last={"terminated": {"exitCode": 2, "reason": "Error"}},
                restarts=2,
            ),
            "the server ended with exit code 2 (2 restarts); it said last: s3://models/3 holds no model.json",
        ),
    ],
)
def test_version_that_cannot_start_is_taken_away_with_its_reason(
    target: KubernetesTarget, cluster: ClusterState, status: Any, sentence: str
) -> None:
    last = '{"severity": "ERROR", "message": "s3://models/3 holds no model.json"}'
    cluster.pod_status, cluster.log = status, f"starting\n{last}\n"
    assert refused(target.deploy, version("3")) == (
        f"version 3 of taxi was not deployed: 0 of 1 replicas ready; {sentence}"
    )
    assert not cluster.objects


def test_pods_of_an_earlier_try_do_not_count(target: KubernetesTarget, cluster: ClusterState) -> None:
    target.rollout.apply(version("3"))
    left = cluster.objects["pods", "taxi-v3-0"]
    crashed = {"waiting": {"reason": "CrashLoopBackOff"}, "last": {"terminated": {"exitCode": 2}}}
    left["status"] = container_status(**crashed, restarts=9)
    mended = KubernetesSettings("models", "registry/serving@sha256:" + "1" * 64)
    target.settings = target.rollout.settings = mended
    cluster.pod_status = container_status(running={})
    cluster.before = lambda call: cluster.objects.update({("pods", "taxi-v3-9"): left})
    assert "runs and is not ready" in refused(target.deploy, version("3"), wait_s=0)


def test_pods_that_are_refused_are_told(target: KubernetesTarget, cluster: ClusterState) -> None:
    cluster.no_pods_because = 'pods "taxi-v3-" is forbidden: exceeded quota: penstock'
    assert refused(target.deploy, version("3")) == (
        "version 3 of taxi was not deployed: 0 of 1 replicas ready; no pod can be made: "
        'pods "taxi-v3-" is forbidden: exceeded quota: penstock'
    )


def test_version_that_does_not_get_ready_in_time_is_told(
    target: KubernetesTarget, cluster: ClusterState
) -> None:
    cluster.pod_status, cluster.log = container_status(running={}), "loading\n"
    assert refused(target.deploy, version("3"), wait_s=0) == (
        "version 3 of taxi was not deployed: after 0 s 0 of 1 replicas ready; pod taxi-v3-0 runs and is not ready; "
        "it said last: loading"
    )


def test_progress_is_told_while_an_image_is_pulled(
    target: KubernetesTarget, cluster: ClusterState, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.pod_status = container_status(waiting={"reason": "ContainerCreating"})
    with caplog.at_level("INFO"):
        refused(target.deploy, version("3"), wait_s=0)
    assert "0 of 1 replicas ready; an image is being pulled, or a container made" in caplog.text


def test_version_that_serves_is_kept_when_deploying_it_again_fails(
    canary: KubernetesTarget, cluster: ClusterState
) -> None:
    cluster.pod_status = container_status(running={})
    more = ModelVersion("taxi", "1", "s3://models/1", replicas=3)
    assert "it was deployed before, and is kept" in refused(canary.deploy, more, wait_s=0)
    assert ("deployments", "taxi-v1") in cluster.objects


def test_other_model_under_a_version_is_refused(canary: KubernetesTarget) -> None:
    assert refused(canary.deploy, ModelVersion("taxi", "1", "s3://elsewhere")) == (
        "taxi serves version 1 from s3://models/1, not from s3://elsewhere: undeploy it first"
    )


def test_objects_of_others_are_left_alone(target: KubernetesTarget, cluster: ClusterState) -> None:
    foreign = {"metadata": {"name": "taxi-v1", "uid": "1", "labels": {}}, "spec": {}}
    cluster.objects["deployments", "taxi-v1"] = foreign
    assert "is not Penstock's" in refused(target.deploy, version("1"))
    cluster.objects["httproutes", "taxi"] = foreign
    assert "is not Penstock's" in refused(target.state)
    assert cluster.objects["deployments", "taxi-v1"] is foreign


def test_version_that_is_not_ready_gets_no_traffic(canary: KubernetesTarget, cluster: ClusterState) -> None:
    cluster.objects["pods", "taxi-v2-0"]["status"] = container_status(
        waiting={"reason": "CrashLoopBackOff"}, last={"terminated": {"exitCode": 1}}, restarts=3
    )
    writes = len([call for call in cluster.calls if call == ROUTE])
    assert refused(canary.shift, {"1": 90, "2": 10}) == (
        "version 2 of taxi is not ready (the server ended with exit code 1 (3 restarts)): deploy it, then shift"
    )
    assert len([call for call in cluster.calls if call == ROUTE]) == writes
    canary.shift({"1": 100, "2": 0})  # without a share it need not be


@pytest.mark.parametrize("weights", [{"1": 90}, {"1": 50, "2": 60}, {"1": 100.0}, {"1": 90, "9": 10}])
def test_wrong_weights_are_refused(canary: KubernetesTarget, weights: Any) -> None:
    refused(canary.shift, weights)
    assert canary.state().weights == {"1": 100}


def test_a_change_in_between_makes_the_later_give_way(
    canary: KubernetesTarget, cluster: ClusterState, kubeconfig: Path
) -> None:
    """A rollback while a canary advances: what was written first holds, the other is told."""
    rival = KubernetesTarget("taxi", SETTINGS, str(kubeconfig))

    def rolled_back(call: str) -> None:
        if call == ROUTE:
            cluster.before = None
            rival.shift({"2": 100}, by="somebody else")

    cluster.before = rolled_back
    sentence = refused(canary.shift, {"1": 50, "2": 50}, by="the rollout")
    assert sentence == (
        "the traffic of taxi was shifted in between, to 2: 100 %: look at it with `penstock endpoint show`, then "
        "decide again"
    )
    assert canary.state().weights == {"2": 100}
    assert [change.by for change in canary.history()][-1] == "somebody else"


def test_of_shifts_at_the_same_time_one_wins(canary: KubernetesTarget, kubeconfig: Path) -> None:
    revision = canary.state().revision
    together = threading.Barrier(6)
    ended: list[str] = []

    def shift(share: int) -> None:
        own = KubernetesTarget("taxi", SETTINGS, str(kubeconfig))
        together.wait()
        try:
            own.shift({"1": 100 - share, "2": share}, revision, by=str(share))
            ended.append(str(share))
        except Conflict as conflict:
            assert f"revision {revision + 1}, expected {revision}" in str(conflict)  # noqa: PT017
            ended.append("told")

    threads = [threading.Thread(target=shift, args=(share,)) for share in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended.count("told") == 5
    (winner,) = set(ended) - {"told"}
    state = canary.state()
    assert (state.revision, state.weights["2"]) == (revision + 1, int(winner))
    assert canary.history()[-1].by == winner


def test_what_the_gateway_writes_into_the_route_is_no_conflict(
    canary: KubernetesTarget, cluster: ClusterState
) -> None:
    touched: list[str] = []

    def status_written(call: str) -> None:
        if call == ROUTE and len(touched) < 3:
            touched.append(call)
            cluster.touch("httproutes", "taxi")

    cluster.before = status_written
    canary.shift({"2": 100}, revision=3)
    assert (canary.state().weights, canary.state().revision) == ({"2": 100}, 4)


def test_a_change_whose_answer_got_lost_is_done_once(canary: KubernetesTarget, cluster: ClusterState) -> None:
    cluster.failures = [(ROUTE, 0)]
    canary.shift({"2": 100}, revision=3)
    assert (canary.state().weights, canary.state().revision) == ({"2": 100}, 4)


def test_undeploy_is_refused_while_there_is_traffic(canary: KubernetesTarget) -> None:
    canary.shift({"1": 90, "2": 10})
    assert refused(canary.undeploy, "2") == (
        "version 2 of taxi has 10 % of the traffic: shift it to another version first"
    )
    canary.shift({"1": 100})
    canary.mirror(Shadow("2"))
    assert (
        refused(canary.undeploy, "2") == "version 2 of taxi gets a copy of the traffic: end the shadow first"
    )
    canary.mirror(None)
    canary.undeploy("2")
    canary.undeploy("2")
    assert list(canary.state().versions) == ["1"]


def test_all_of_a_version_goes_with_it(canary: KubernetesTarget, cluster: ClusterState) -> None:
    canary.undeploy("2")
    assert not [name for _, name in cluster.objects if name.startswith("taxi-v2")]
    canary.remove()
    assert not cluster.objects


def test_shadow_is_written_and_ended(canary: KubernetesTarget) -> None:
    canary.mirror(Shadow("2", 20))
    assert canary.state().shadow == Shadow("2", 20)
    canary.mirror(None)
    assert canary.state().shadow is None
    assert refused(canary.mirror, Shadow("2", 0)) == "the share of the shadow is 0: give 1 to 100 percent"


def test_gateway_that_refuses_or_is_not_there_is_told(
    canary: KubernetesTarget, cluster: ClusterState
) -> None:
    cluster.refusal = "no listener allows it"
    assert refused(canary.shift, {"2": 100}) == (
        "the gateway gateway in the namespace models refuses the route of taxi (NotAllowed: no listener allows it): "
        "correct it there"
    )
    cluster.gateway_answers = False
    assert refused(canary.shift, {"1": 100}) == (
        "no gateway took the route of taxi within 0 s: is there a Gateway gateway in the namespace models, and does its "
        "controller run?"
    )


def test_disturbances_are_outlasted(canary: KubernetesTarget, cluster: ClusterState) -> None:
    cluster.failures = [(f"GET {ROUTES}", 503), ("GET /api/v1", 429), (ROUTE, 500), (f"GET {ROUTES}", 0)]
    canary.shift({"2": 100})
    assert cluster.failures == []
    assert canary.state().weights == {"2": 100}


def test_missing_right_is_told(target: KubernetesTarget, cluster: ClusterState) -> None:
    cluster.failures = [("PATCH /apis/policy", 403)]
    assert refused(target.deploy, version("1")) == (
        "PodDisruptionBudget taxi-v1 in the namespace models cannot be applied (403: injected): give this account the "
        "rights of the Role penstock-deployer (`penstock platform apply`)"
    )


def test_api_that_is_down_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_api, "PAUSES_S", ())
    with kubernetes_server(ClusterState(), tmp_path) as kubeconfig:
        target = KubernetesTarget("taxi", SETTINGS, str(kubeconfig))
    assert refused(target.state).startswith("the Kubernetes API does not answer (")


def test_no_cluster_is_told(tmp_path: Path) -> None:
    assert refused(KubernetesTarget, "taxi", SETTINGS, str(tmp_path / "none")).endswith("set KUBECONFIG")

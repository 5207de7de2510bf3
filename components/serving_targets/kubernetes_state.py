"""How the versions of an endpoint are, from their Deployments and pods, and where it is asked."""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.components.serving_targets.kubernetes_api import Cluster
from penstock.components.serving_targets.kubernetes_objects import MODEL, URI
from penstock.components.serving_targets.kubernetes_pods import is_ready, pods_problem, restarts
from penstock.components.serving_targets.kubernetes_rollout import Rollout
from penstock.components.serving_targets.kubernetes_route import host_name
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.target import Deployed
from penstock.components.step_io.errors import StepError

VERSION = "app.kubernetes.io/version"
USUAL_PORTS = {"http": 80, "https": 443}
GONE = "its Deployment is gone: deploy it again"
HALF_DONE = "not deployed to the end: deploy it again, or undeploy it"


def read_versions(rollout: Rollout, routed: Iterable[str]) -> dict[str, Deployed]:
    """Return the versions that the route names, and those that have objects without it."""
    routed = list(routed)
    deployments = {one["metadata"]["labels"][VERSION]: one for one in rollout.deployments()}
    pods = rollout.pods()
    versions = {}
    for version in dict.fromkeys([*routed, *deployments]):
        if (found := deployments.get(version)) is None:
            versions[version] = Deployed(version, "", "", 0, problem=GONE)
            continue
        own = [pod for pod in pods if pod["metadata"]["labels"][VERSION] == version]
        problem = pods_problem(own, rollout.last_line)
        texts = [problem.text if problem else "", "" if version in routed else HALF_DONE]
        marks: Mapping[str, Any] = found["metadata"].get("annotations") or {}
        versions[version] = Deployed(
            version,
            marks.get(MODEL, ""),
            marks.get(URI, ""),
            found["spec"].get("replicas", 1),
            ready=sum(map(is_ready, own)),
            restarts=restarts(own),
            problem="; ".join(filter(None, texts)),
        )
    return versions


def url_of(cluster: Cluster, endpoint: str, settings: KubernetesSettings) -> str:
    """Return the endpoint's URL; its host name is for whoever resolves it, or sends it as Host."""
    scheme, port = "http", USUAL_PORTS["http"]
    try:
        gateway = cluster.get("Gateway", settings.gateway, settings.gateway_namespace)
    except StepError:  # in another namespace, which this account may not read
        gateway = None
    for listener in (gateway or {}).get("spec", {}).get("listeners", []):
        if listener["protocol"].lower() in USUAL_PORTS:
            scheme, port = listener["protocol"].lower(), listener["port"]
            break
    suffix = "" if port == USUAL_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host_name(endpoint, settings)}{suffix}"

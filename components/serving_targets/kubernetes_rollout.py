"""Brings the objects of one version up, waits until they serve with progress in the log, and takes them away."""

import logging
import time
from typing import Any

from penstock.components.serving_targets.kubernetes_api import Cluster
from penstock.components.serving_targets.kubernetes_names import labels, object_name, selector_text
from penstock.components.serving_targets.kubernetes_objects import (
    CONTAINER,
    MADE_FROM,
    MODEL,
    URI,
    autoscaler,
    deployment,
    disruption_budget,
    owner_of,
    service,
)
from penstock.components.serving_targets.kubernetes_pods import (
    Problem,
    being_made,
    last_message,
    pods_problem,
    refused_pods,
)
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.target import ModelVersion
from penstock.components.step_io.errors import StepError

POLL_S = 1.0
SAY_AGAIN_S = 15.0
LOG_LINES = 20
BEING_MADE = "; an image is being pulled, or a container made"

Json = dict[str, Any]
_log = logging.getLogger(__name__)


class Rollout:
    """The objects of the versions of one endpoint."""

    def __init__(self, cluster: Cluster, endpoint: str, settings: KubernetesSettings) -> None:
        self.cluster, self.endpoint, self.settings = cluster, endpoint, settings

    def apply(self, version: ModelVersion) -> None:
        """Apply the objects of a version; those that are there as wanted stay untouched.

        Raises:
            StepError: The Deployment is somebody else's, or serves another model folder.
        """
        name = object_name(self.endpoint, version.version)
        self._check_ours(name, version)
        found = self.cluster.apply(deployment(self.endpoint, version, self.settings))
        owner = owner_of(found)
        self.cluster.apply(service(self.endpoint, version.version, owner))
        self.cluster.apply(disruption_budget(self.endpoint, version, owner))
        self.cluster.apply(autoscaler(self.endpoint, version, self.settings, owner))
        if found["spec"].get("replicas", 1) < version.replicas:  # sooner than the autoscaler would
            self.cluster.scale(name, version.replicas)

    def wait(self, version: ModelVersion, wait_s: float) -> None:
        """Wait until all replicas of the version are ready.

        Raises:
            StepError: They are not within `wait_s` seconds, or will never be; with the reason.
        """
        began = time.monotonic()
        said, said_at = "", began
        problem: Problem | None = None
        since = began  # when the problem was first seen
        while True:
            found = self.cluster.get("Deployment", object_name(self.endpoint, version.version))
            if found is None:
                raise StepError("somebody removed its Deployment meanwhile")
            ready, wanted = _ready(found), max(found["spec"].get("replicas", 1), version.replicas)
            if _rolled_out(found, wanted):
                _log.info(
                    "version %s of %s: %d of %d replicas ready", version.version, self.endpoint, ready, wanted
                )
                return
            now, before = time.monotonic(), problem
            pods = self._newest(version.version, found)
            problem = refused_pods(found) or pods_problem(pods, self.last_line)
            since = since if before and problem and before.patience_s == problem.patience_s else now
            text = f"{ready} of {wanted} replicas ready" + (
                f"; {problem.text}" if problem else BEING_MADE * being_made(pods)
            )
            if text != said or now - said_at > SAY_AGAIN_S:
                _log.info(
                    "version %s of %s after %.0f s: %s", version.version, self.endpoint, now - began, text
                )
                said, said_at = text, now
            hopeless = problem is not None and now - since >= problem.patience_s
            if hopeless or now - began >= wait_s:
                self._tell_logs(version.version)
                raise StepError(text if hopeless else f"after {wait_s:.0f} s {text}")
            time.sleep(POLL_S)

    def deployments(self) -> list[Json]:
        """Return the Deployments of all versions."""
        return self.cluster.list("Deployment", selector_text(self.endpoint))

    def pods(self, version: str = "") -> list[Json]:
        """Return the pods of a version, or of all."""
        return self.cluster.list("Pod", selector_text(self.endpoint, version))

    def last_line(self, pod: str, previous: bool) -> str:
        """Return the last line that a pod's server printed."""
        return last_message(self.cluster.log(pod, CONTAINER, LOG_LINES, previous=previous))

    def remove(self, version: str, wait_s: float) -> None:
        """Remove the objects of a version, or of all versions where it is empty; its last requests end first.

        Raises:
            StepError: Its pods are still there after `wait_s` seconds.
        """
        for found in self.deployments():
            if not version or found["metadata"]["labels"]["app.kubernetes.io/version"] == version:
                self.cluster.delete("Deployment", found["metadata"]["name"])
        until = time.monotonic() + wait_s
        while left := [pod["metadata"]["name"] for pod in self.pods(version)]:
            if time.monotonic() > until:
                raise StepError(
                    f"{', '.join(left)} of {self.endpoint} still runs after {wait_s:.0f} s; it gets no traffic and "
                    f"goes by itself: `kubectl -n {self.cluster.namespace} get pods` tells when"
                )
            time.sleep(POLL_S)

    def _check_ours(self, name: str, version: ModelVersion) -> None:
        found = self.cluster.get("Deployment", name)
        if found is None:
            return
        wanted = labels(self.endpoint, version.version)
        if any((found["metadata"].get("labels") or {}).get(key) != value for key, value in wanted.items()):
            raise StepError(
                f"the Deployment {name} in the namespace {self.cluster.namespace} is not Penstock's: give the endpoint "
                "another name, or remove it"
            )
        marks = found["metadata"].get("annotations") or {}
        if (marks.get(MODEL), marks.get(URI)) != (version.model, version.uri):
            raise StepError(
                f"{self.endpoint} serves version {version.version} from {marks.get(URI)}, not from {version.uri}: "
                "undeploy it first"
            )

    def _newest(self, version: str, deployment: Json) -> list[Json]:
        """Return the newest pods: those of an earlier try may have failed for what is mended now."""
        mark = _mark(deployment["spec"]["template"])
        return [pod for pod in self.pods(version) if _mark(pod) == mark]

    def _tell_logs(self, version: str) -> None:
        for pod in self.pods(version)[:1]:
            name = pod["metadata"]["name"]
            lines = self.cluster.log(name, CONTAINER, LOG_LINES) or self.cluster.log(
                name, CONTAINER, LOG_LINES, previous=True
            )
            for line in lines.splitlines():
                _log.info("%s: %s", name, line)


def _mark(one: Json) -> str:
    return str((one["metadata"].get("annotations") or {}).get(MADE_FROM, ""))


def _ready(found: Json) -> int:
    return int((found.get("status") or {}).get("readyReplicas", 0))


def _rolled_out(found: Json, wanted: int) -> bool:
    """Tell whether all pods are of the newest kind and take requests."""
    status = found.get("status") or {}
    return (
        status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )

"""A server in a pod of its own, as the target will run it: made, watched, and gone when we are.

with server_pod(trial, model_uri, "taxi", evidence_uri, settings) as server: ...

The pod is deleted at the end, whatever the end is. Nothing of ours runs after a kill -9: then the step's next attempt
deletes it, Kubernetes does when the step's own pod goes, and until then it ends itself after its deadline.
"""

import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from penstock.components.serving_targets.kubernetes_api import Cluster, WriteConflict
from penstock.components.serving_targets.kubernetes_objects import CONTAINER
from penstock.components.serving_targets.kubernetes_pods import is_ready
from penstock.components.step_io.errors import StepError
from penstock.components.validate_serving.pod_object import (
    STOP_S,
    owned_by,
    trial_name,
    trial_pod,
    trial_settings,
)
from penstock.components.validate_serving.pod_status import IMAGE_S, waiting, why_ended
from penstock.components.validate_serving.servers import MOST_LOG
from penstock.components.validate_serving.settings import Settings
from penstock.components.validate_serving.usage import read_tensorflow

ROLE = "penstock-serving-trial"
NAME_FROM_KFP, RUN_OF_KFP = "KFP_POD_NAME", "pipeline/runid"  # a variable of each step, a label of its pod
POLL_S = 0.5
ASK_AGAIN_S = 1.0
SAY_AGAIN_S = 60.0
GONE_S = STOP_S + 15.0  # until a deleted pod has gone
TOLD_S = 5.0  # until a node has told the API that a container ended
LOG_LINES = 5000
REPLAY_S = 900  # for all that is not the start and not the load

Json = dict[str, Any]
log = logging.getLogger(__name__)


class ServerPod:
    """The prediction service in a pod."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self.name = cluster, name
        self._pod: Json = {}
        self.rest = self.grpc = ""
        self.started = time.monotonic()
        self._asked = -math.inf

    def wait_until_begun(self) -> None:
        """Wait until its container runs, or has ended: from then on the model's own time counts.

        Raises:
            StepError: It cannot begin.
        """
        began = since = said_at = time.monotonic()
        said, before = "", math.nan
        while True:
            pod = self._cluster.get("Pod", self.name)
            ended, held = why_ended(self.name, pod), waiting(pod or {})
            if ended or held is None:
                self._begin(pod or {})
                return
            now = time.monotonic()
            if held.patience_s != before:
                before, since = held.patience_s, now
            if now - since >= held.patience_s:
                raise StepError(f"the serving pod {self.name} does not start: {held.text}: {held.advice}")
            if held.text != said or now - said_at > SAY_AGAIN_S:
                log.info("pod %s waits for %.0f s: %s", self.name, now - began, held.text)
                said, said_at = held.text, now
            time.sleep(POLL_S)

    def _begin(self, pod: Json) -> None:
        self._pod, self.started = pod, time.monotonic()
        address = (pod.get("status") or {}).get("podIP", "")
        host = f"[{address}]" if ":" in address else address
        ports = {one["name"]: one["containerPort"] for one in pod["spec"]["containers"][0]["ports"]}
        if host:  # a server that has ended already may have none
            self.rest, self.grpc = f"http://{host}:{ports['http']}", f"{host}:{ports['grpc']}"
        log.info("pod %s runs on %s", self.name, pod["spec"].get("nodeName", "a node"))

    def ended(self) -> str:
        """Return why its server is no longer there, as the end of a sentence; empty while it is.

        Raises:
            StepError: The cluster or somebody ended it, which tells nothing of the model.
        """
        if time.monotonic() < self._asked + ASK_AGAIN_S:
            return ""
        self._asked = time.monotonic()
        return why_ended(self.name, self._cluster.get("Pod", self.name))

    def lost(self) -> str:
        """Return the same after a request failed: the node may take a moment to tell the API of an end.

        Raises:
            StepError: As `ended`.
        """
        until = time.monotonic() + TOLD_S
        while True:
            said = why_ended(self.name, self._cluster.get("Pod", self.name))
            if said or self._listens() or time.monotonic() > until:
                return said
            time.sleep(POLL_S)

    def unreached(self) -> None:
        """Tell a server that does not answer from one that we do not reach.

        Raises:
            StepError: Its node finds it ready.
        """
        pod = self._cluster.get("Pod", self.name)
        if pod is not None and is_ready(pod):
            raise StepError(
                f"the serving pod {self.name} is ready, and this step cannot reach it at {self.rest}: the network policy "
                "penstock-steps must let it (`penstock platform apply`)"
            )

    def tensorflow(self) -> str:
        """Return the version that it runs on; empty while it does not answer."""
        return read_tensorflow(self.rest) if self.rest else ""

    def log(self) -> str:
        """Return the end of what it logged."""
        return self._cluster.log(self.name, CONTAINER, LOG_LINES)[-MOST_LOG:]

    def facts(self) -> dict[str, str]:
        """Return where it runs, and within which limits, as Kubernetes has them."""
        container = self._pod["spec"]["containers"][0]
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        return {
            "kind": "pod",
            "name": self.name,
            "namespace": self._cluster.namespace,
            "node": self._pod["spec"].get("nodeName", ""),
            "image": container["image"],
            "cpu": asked["cpu"],
            "memory": asked["memory"],
            "memory_limit": most["memory"],
        }

    def _listens(self) -> bool:
        parts = urlsplit(self.rest)
        with contextlib.suppress(OSError):
            socket.create_connection((parts.hostname or "", parts.port or 0), TOLD_S).close()
            return True
        return False


@contextlib.contextmanager
def server_pod(
    trial: Mapping[str, Any], uri: str, model: str, identity: str, settings: Settings, kubeconfig: str = ""
) -> Iterator[ServerPod]:
    """Start the prediction service in a pod; deletes it at the end, come what may.

    Args:
        trial: The target's settings (pod_object.py).
        uri: The model's folder, as the run knows it.
        model: Name that it is served under.
        identity: What each attempt of this step has in common, and no other step: the URI of an output.
        settings: Budgets, from which follows how long the pod may live.
        kubeconfig: As for Cluster.

    Raises:
        StepError: The settings are wrong, or the pod cannot be made or does not begin.
    """
    where = trial_settings(trial)
    cluster = Cluster(where.namespace, kubeconfig, ROLE)
    name, mine = trial_name(identity), own_pod(cluster)
    deadline_s = math.ceil(IMAGE_S + settings.start_s + settings.load_s + REPLAY_S)
    run = ((mine or {}).get("metadata", {}).get("labels") or {}).get(RUN_OF_KFP, "")
    owner = owned_by(mine) if mine else None
    body = trial_pod(name, model, uri, where, deadline_s=deadline_s, run=run, owner=owner)
    try:
        create(cluster, body)
        server = ServerPod(cluster, name)
        server.wait_until_begun()
        yield server
    except BaseException:  # a signal among them: little time is left, and Kubernetes does the rest
        with contextlib.suppress(StepError):
            cluster.delete("Pod", name)
        raise
    remove(cluster, name, deadline_s)


def own_pod(cluster: Cluster) -> Json | None:
    """Return the pod that this step runs in; None outside a cluster.

    A host name is cut after 63 characters, which names of KFP's pods exceed: KFP tells the whole one.
    """
    name = os.environ.get(NAME_FROM_KFP) or socket.gethostname()
    found = cluster.get("Pod", name)
    if found is None:
        log.warning(
            "the pod %s of this step is not in the namespace %s: nothing but its deadline ends the serving pod "
            "if this step is killed",
            name,
            cluster.namespace,
        )
    return found


def create(cluster: Cluster, body: Json) -> None:
    """Make the pod, after deleting what a killed attempt has left.

    Raises:
        StepError: It cannot be made, or the other does not go.
    """
    name, until = body["metadata"]["name"], time.monotonic() + GONE_S
    while True:
        try:
            cluster.create(body)
        except WriteConflict as conflict:
            if time.monotonic() > until:
                raise StepError(
                    f"the serving pod {name} cannot be made ({conflict}): `kubectl -n {cluster.namespace} delete pod "
                    f"{name}`, then run the step again"
                ) from conflict
            log.info("deleting the pod %s of an earlier attempt", name)
            cluster.delete("Pod", name)
            time.sleep(POLL_S)
        else:
            return


def remove(cluster: Cluster, name: str, deadline_s: int) -> None:
    """Delete the pod and wait until it has gone; what was proven counts, whether it goes or not."""
    try:
        cluster.delete("Pod", name)
        until = time.monotonic() + GONE_S
        while cluster.get("Pod", name) is not None:
            if time.monotonic() > until:
                log.warning("the pod %s was told to end, and is still there", name)
                return
            time.sleep(POLL_S)
    except StepError as error:
        log.warning("%s; the pod %s ends by itself within %d s", error, name, deadline_s)

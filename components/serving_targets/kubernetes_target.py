"""The Kubernetes target: versions as Deployments behind Services, traffic by an HTTPRoute of the Gateway API.

Everything that can be half done is done in an order in which the next call ends it: objects, readiness, then one write
of the route. The route is the only state; it is written if it is as it was read (its resourceVersion), so of two
changes at the same time one wins and the other is told.

Sticky assignment: see kubernetes_settings. Shadow: a gateway that knows no share of mirrored requests
(Contour 1.33 is one) mirrors all.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import uuid4

from penstock.components.serving_targets.kubernetes_api import Cluster, WriteConflict
from penstock.components.serving_targets.kubernetes_names import MANAGER, object_name
from penstock.components.serving_targets.kubernetes_pods import is_ready, pods_problem
from penstock.components.serving_targets.kubernetes_rollout import Rollout
from penstock.components.serving_targets.kubernetes_route import (
    Route,
    Traffic,
    read_route,
    refusal,
    route_object,
)
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.kubernetes_state import read_versions, url_of
from penstock.components.serving_targets.local_state import now, whoever
from penstock.components.serving_targets.target import (
    Change,
    Conflict,
    EndpointState,
    ModelVersion,
    Shadow,
    check_name,
    check_weights,
    shares_text,
)
from penstock.components.step_io.errors import StepError

READY_S = 600.0
ACCEPTED_S = 30.0
GONE_MARGIN_S = 30.0
POLL_S = 0.2
ATTEMPTS = 20  # the gateway's controller writes its status into the route too

Mutation = Callable[[Traffic], Traffic]
_log = logging.getLogger(__name__)


class KubernetesTarget:
    """A target (see target.py) in one namespace of a cluster."""

    def __init__(self, endpoint: str, settings: KubernetesSettings, kubeconfig: str = "") -> None:
        self.name = check_name("the endpoint", endpoint)
        self.settings = settings
        self.cluster = Cluster(settings.namespace, kubeconfig)
        self.rollout = Rollout(self.cluster, endpoint, settings)

    def deploy(self, version: ModelVersion, wait_s: float = READY_S, by: str = "", why: str = "") -> None:
        """Bring a version up; all its replicas are ready, without traffic, when this returns.

        Raises:
            StepError: The version is there with another model folder, or is not ready within `wait_s` seconds, or
                never will be; then it is taken away again, unless it was deployed before.
        """
        check_name("the version", version.version)
        check_name("the model", version.model)
        if version.replicas < 1:
            raise StepError(f"replicas is {version.replicas}: give 1 or more")
        known = version.version in self._route().traffic.versions
        self.rollout.apply(version)
        try:
            self.rollout.wait(version, wait_s)
        except StepError as error:
            kept = " (it was deployed before, and is kept as it is)"
            if not known:
                self.cluster.delete("Deployment", object_name(self.name, version.version))
                kept = ""
            raise StepError(
                f"version {version.version} of {self.name} was not deployed: {error}{kept}"
            ) from error

        def add(traffic: Traffic) -> Traffic:
            return replace(traffic, versions=tuple(dict.fromkeys([*traffic.versions, version.version])))

        self._change("deploy", add, by, why)
        self._wait_until_accepted()

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = "", why: str = ""
    ) -> None:
        """Divide the traffic anew; the gateway has it when this returns, and no request is dropped.

        Without `revision` the call is for the weights that it finds when it begins; if they are changed before its own
        change is made, it gives way.

        Raises:
            Conflict: The endpoint was changed in between.
            StepError: The weights are wrong, a version is not ready, or the gateway refuses the route.
        """
        begun = self._existing()
        wanted = check_weights(weights, dict.fromkeys(begun.traffic.versions), self.name)
        self._check_ready(wanted)

        def divide(traffic: Traffic) -> Traffic:
            if (traffic.weights, traffic.shadow) != (begun.traffic.weights, begun.traffic.shadow):
                raise Conflict(
                    f"the traffic of {self.name} was shifted in between, to {shares_text(traffic.weights)}: look at it "
                    "with `penstock endpoint show`, then decide again"
                )
            check_weights(wanted, dict.fromkeys(traffic.versions), self.name)
            return replace(traffic, weights=wanted)

        self._change("shift", divide, by, why, revision)
        self._wait_until_accepted()

    def mirror(self, shadow: Shadow | None, by: str = "", why: str = "") -> None:
        """Send a copy of the traffic to a version, whose answers go nowhere; None ends it.

        Raises:
            StepError: The version is not ready, or the share is none from 1 to 100.
        """
        if shadow is not None:
            if not 1 <= shadow.percent <= 100:
                raise StepError(f"the share of the shadow is {shadow.percent!r}: give 1 to 100 percent")
            check_weights({shadow.version: 100}, dict.fromkeys(self._existing().traffic.versions), self.name)
            self._check_ready({shadow.version: 100})
            if shadow.percent < 100:
                _log.warning(
                    "a gateway that knows no share of mirrored requests (Contour) mirrors all of them"
                )

        def mirror(traffic: Traffic) -> Traffic:
            if shadow and shadow.version not in traffic.versions:
                raise Conflict(f"{self.name} has no version {shadow.version!r} any more: deploy it first")
            return replace(traffic, shadow=shadow)

        self._change("shadow", mirror, by, why)
        self._wait_until_accepted()

    def undeploy(self, version: str, by: str = "", why: str = "") -> None:
        """Take a version away once its last requests have ended; nothing happens when it is not there.

        Raises:
            StepError: It has traffic, or is the shadow.
        """

        def take(traffic: Traffic) -> Traffic:
            if weight := traffic.weights.get(version):
                raise StepError(
                    f"version {version} of {self.name} has {weight} % of the traffic: shift it to another version first"
                )
            if traffic.shadow and traffic.shadow.version == version:
                raise StepError(
                    f"version {version} of {self.name} gets a copy of the traffic: end the shadow first"
                )
            return replace(traffic, versions=tuple(one for one in traffic.versions if one != version))

        check_name("the version", version)
        if self._route().resource_version:
            self._change("undeploy", take, by, why)
            self._wait_until_accepted()  # no gateway sends it anything from here on
        self.rollout.remove(version, self._gone_s())

    def remove(self) -> None:
        """Take the whole endpoint away, whatever traffic it has: the route with its history, then the versions."""
        self.cluster.delete("HTTPRoute", object_name(self.name))
        self.rollout.remove("", self._gone_s())

    def state(self) -> EndpointState:
        """Return how things are now; an endpoint that was never deployed to is at revision 0."""
        route = self._route()
        versions = read_versions(self.rollout, route.traffic.versions)
        return EndpointState(
            endpoint=self.name,
            revision=route.revision,
            versions=versions,
            weights=dict(route.traffic.weights),
            shadow=route.traffic.shadow,
            url=url_of(self.cluster, self.name, self.settings),
            running=any(one.ready for one in versions.values()),
        )

    def history(self) -> list[Change]:
        """Return the latest changes, the oldest first: some hundred."""
        return list(self._route().changes)

    def _change(self, action: str, mutate: Mutation, by: str, why: str, expected: int | None = None) -> None:
        """Write the route anew if it is as it was read; else look at it again.

        Raises:
            Conflict: The revision is another one than expected.
            StepError: `mutate` says so, or others write all the time.
        """
        change_id = uuid4().hex
        for _ in range(ATTEMPTS):
            before = self._route()
            if before.change_id == change_id:  # written, though its answer got lost
                return
            if expected is not None and before.revision != expected:
                raise Conflict(
                    f"the endpoint {self.name} was changed in between (revision {before.revision}, expected {expected}; "
                    f"last: {_last(before)}): look at it with `penstock endpoint show`, then decide again"
                )
            traffic = mutate(before.traffic)
            if traffic == before.traffic and before.resource_version:
                return
            revision = before.revision + 1
            change = Change(
                revision, now(), action, by or whoever(), why, before.traffic.as_json(), traffic.as_json()
            )
            after = Route(traffic, revision, (*before.changes, change), change_id, before.resource_version)
            wanted = route_object(self.name, after, self.settings)
            try:
                (self.cluster.apply if before.resource_version else self.cluster.create)(wanted)
            except WriteConflict:
                continue
            return
        raise Conflict(
            f"the route of {self.name} is changed all the time: nothing was changed by this call; try again"
        )

    def _wait_until_accepted(self) -> None:
        """Wait until the gateway has taken the route as it is now.

        Raises:
            StepError: It refuses, or no gateway looks at it.
        """
        namespace = self.settings.gateway_namespace or self.settings.namespace
        gateway = f"{self.settings.gateway} in the namespace {namespace}"
        until = time.monotonic() + ACCEPTED_S
        while True:
            found = self.cluster.get("HTTPRoute", object_name(self.name))
            if found is None:
                raise StepError(
                    f"somebody removed the route of {self.name} meanwhile: deploy its versions again"
                )
            if not (reason := refusal(found)):
                return
            if time.monotonic() > until:
                break
            time.sleep(POLL_S)
        if reason != "waiting":
            raise StepError(
                f"the gateway {gateway} refuses the route of {self.name} ({reason}): correct it there"
            )
        raise StepError(
            f"no gateway took the route of {self.name} within {ACCEPTED_S:.0f} s: is there a Gateway {gateway}, and does "
            "its controller run?"
        )

    def _check_ready(self, versions: Mapping[str, int]) -> None:
        """Raise unless each version has a pod that takes requests; say so where some do not."""
        for version in versions:
            pods = self.rollout.pods(version)
            ready = sum(map(is_ready, pods))
            problem = pods_problem(pods, self.rollout.last_line)
            reason = f" ({problem.text})" if problem else ""
            if not ready:
                raise StepError(
                    f"version {version} of {self.name} is not ready{reason}: deploy it, then shift"
                )
            if ready < len(pods):
                _log.warning(
                    "version %s of %s has %d of %d pods ready%s", version, self.name, ready, len(pods), reason
                )

    def _route(self) -> Route:
        found = self.cluster.get("HTTPRoute", object_name(self.name))
        if found and (found["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") != MANAGER:
            raise StepError(
                f"the HTTPRoute {object_name(self.name)} in the namespace {self.settings.namespace} is not Penstock's: "
                "give the endpoint another name"
            )
        return read_route(found)

    def _existing(self) -> Route:
        route = self._route()
        if not route.resource_version:
            raise StepError(
                f"there is no endpoint {self.name!r} in the namespace {self.settings.namespace}: deploy a version first"
            )
        return route

    def _gone_s(self) -> float:
        return self.settings.drain_s + self.settings.request_timeout_s + GONE_MARGIN_S


def _last(route: Route) -> str:
    if not route.changes:
        return "none"
    change = route.changes[-1]
    return f"{change.action} by {change.by} at {change.time[:19]}Z"

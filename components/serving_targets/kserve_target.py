"""The KServe target: one InferenceService per endpoint, in Standard or in Knative mode.

Every change is one write of the InferenceService with the resourceVersion that was read, so of two at the same time
one wins; then KServe's controller is awaited. A call that was interrupted in between is ended by the next one.

Two things differ from the other targets, because KServe knows no predictor without traffic but a canary: the first
version of an endpoint has all traffic as soon as it is ready. In Knative mode there are the latest revision and the
one before, no third version.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from penstock.components.serving_targets.kserve_objects import KIND, inference_service
from penstock.components.serving_targets.kserve_record import Record, read_record
from penstock.components.serving_targets.kserve_rules import check_shadow, with_version, without_version
from penstock.components.serving_targets.kserve_settings import KserveSettings
from penstock.components.serving_targets.kserve_status import (
    failure,
    misrouted,
    not_ready,
    url_of,
)
from penstock.components.serving_targets.kubernetes_api import PATHS, Cluster, WriteConflict
from penstock.components.serving_targets.local_state import now, whoever
from penstock.components.serving_targets.target import (
    WHOLE,
    Change,
    Conflict,
    Deployed,
    EndpointState,
    ModelVersion,
    Shadow,
    check_name,
    check_weights,
)
from penstock.components.step_io.errors import StepError

NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")  # <endpoint>-<version>-predictor is a DNS label
SCHEME = re.compile(r"(gs|s3|hdfs|webhdfs|https?|pvc|hf|oci)://")
READY_S, SHIFTED_S = 600.0, 120.0
TOLD_EVERY_S = 30
ATTEMPTS = 20  # the controller writes its status into the object too

Json = dict[str, Any]
Mutation = Callable[[Record, Json | None], Record]
_log = logging.getLogger(__name__)


class KserveCluster(Cluster):
    """A namespace of a cluster with KServe."""

    def _path(self, kind: str, namespace: str = "") -> str:
        paths = PATHS | {KIND: "/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"}
        return paths[kind].format(namespace=namespace or self.namespace)


class KserveTarget:
    """A target (see target.py) in one namespace of a cluster with KServe."""

    poll_s = 1.0

    def __init__(self, endpoint: str, settings: KserveSettings, kubeconfig: str = "") -> None:
        if not NAME.fullmatch(endpoint):
            raise StepError(
                f"endpoint {endpoint!r} cannot be made with KServe: 1 to 40 of a-z, 0-9 and '-', a letter first, "
                "no '-' at the end"
            )
        self.name = endpoint
        self.settings = settings
        self.cluster = KserveCluster(settings.namespace, kubeconfig)

    def deploy(self, version: ModelVersion, wait_s: float = READY_S, by: str = "", why: str = "") -> None:
        """Bring a version up; it is ready when this returns. The first one of an endpoint has all traffic then.

        Raises:
            StepError: The version is there with another folder, there is no room for it, or it does not get ready
                within `wait_s` seconds or ever; then it stays as it is, without traffic.
        """
        check_name("the version", version.version)
        check_name("the model", version.model)
        if not SCHEME.match(uri := self.settings.readable(version.uri)):
            raise StepError(
                f"{version.model} version {version.version} is at {uri!r}, where KServe's storage initializer reads "
                "nothing: expected gs://, s3://, pvc://, https:// or the like; set sources in the section `serving`"
            )
        deadline = time.monotonic() + wait_s
        self._end_interrupted(deadline)

        self._change(
            "deploy",
            lambda record, service: with_version(record, version, service, self.settings, self.name),
            by,
            why,
        )
        self._wait(f"version {version.version} of {self.name}", deadline, self._readiness(version.version))

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = "", why: str = ""
    ) -> None:
        """Divide the traffic anew; KServe says that it is done when this returns.

        Raises:
            Conflict: The endpoint was changed in between.
            StepError: The weights are wrong, or a version is not ready.
        """
        begun, service = self._existing()
        wanted = check_weights(weights, begun.versions, self.name)
        for version in wanted:
            if reason := not_ready(service, begun, version, self.settings.mode):
                raise StepError(
                    f"version {version} of {self.name} is not ready ({reason}): deploy it, then shift"
                )

        def divide(record: Record, service: Json | None) -> Record:
            if record.weights != begun.weights or not set(wanted) <= set(record.versions):
                raise self._conflict(record, begun.revision)
            return replace(record, weights=wanted)

        self._change("shift", divide, by, why, revision)
        deadline = time.monotonic() + SHIFTED_S
        self._wait(
            f"the traffic of {self.name}",
            deadline,
            lambda record, service: (misrouted(service, record, self.settings.mode), ""),
        )

    def mirror(self, shadow: Shadow | None, by: str = "", why: str = "") -> None:
        """Let KServe's payload logger send each request of the versions with traffic to another one too (REST).

        KServe replaces their pods for it, one after the other, since the logger runs beside the model server.

        Raises:
            StepError: KServe cannot (Knative mode, a share, a logger that is used), or the version is not ready.
        """
        if shadow is not None:
            check_shadow(shadow, self.settings, self.name)
            record, service = self._existing()
            check_weights({shadow.version: WHOLE}, record.versions, self.name)
            if reason := not_ready(service, record, shadow.version, self.settings.mode):
                raise StepError(
                    f"version {shadow.version} of {self.name} is not ready ({reason}): deploy it, then mirror"
                )
        elif self._read()[0] is None:
            return

        def copy(record: Record, service: Json | None) -> Record:
            if shadow and shadow.version not in record.versions:
                raise Conflict(f"{self.name} has no version {shadow.version!r} any more: deploy it first")
            return replace(record, shadow=shadow.version if shadow else "")

        self._change("shadow", copy, by, why)
        deadline = time.monotonic() + SHIFTED_S
        self._wait(
            f"the traffic of {self.name}",
            deadline,
            lambda record, service: (not_ready(service, record, record.main, self.settings.mode), ""),
        )

    def undeploy(self, version: str, by: str = "", why: str = "") -> None:
        """Take a version away; nothing happens when it is not there.

        The predictor that a canary replaced is followed by it without a restart (Standard mode). A rejected latest
        revision is followed by a new revision of the version before it, once that is ready (Knative mode).

        Raises:
            StepError: It has traffic, or is the shadow.
        """
        deadline = time.monotonic() + READY_S
        self._end_interrupted(deadline)
        if self._read()[0] is not None:
            self._change(
                "undeploy",
                lambda record, service: without_version(record, version, service, self.settings, self.name),
                by,
                why,
            )
            self._end_interrupted(deadline)

    def state(self) -> EndpointState:
        """Return how things are now; an endpoint that was never deployed to is at revision 0.

        KServe does not tell how many pods answer: all replicas of a version count as ready once it is.
        """
        record, service = self._read()
        if record is None or service is None:
            return EndpointState(self.name, 0)
        versions = {}
        for name, version in record.versions.items():
            problem = not_ready(service, record, name, self.settings.mode)
            ready = 0 if problem else version.replicas
            versions[name] = Deployed(name, version.model, version.uri, version.replicas, ready, 0, problem)
        return EndpointState(
            endpoint=self.name,
            revision=record.revision,
            versions=versions,
            weights=dict(record.weights),
            shadow=Shadow(record.shadow) if record.shadow else None,
            url=url_of(service),
            running=any(one.ready for one in versions.values()),
        )

    def history(self) -> list[Change]:
        """Return the latest changes, the oldest first: some hundred."""
        record, _ = self._read()
        return list(record.changes) if record else []

    def _change(self, action: str, mutate: Mutation, by: str, why: str, expected: int | None = None) -> None:
        """Write the InferenceService anew if it is as it was read; else look at it again.

        Raises:
            Conflict: The revision is another one than expected.
            StepError: `mutate` says so.
        """
        for _ in range(ATTEMPTS):
            found, service = self._read()
            before = found or Record()
            if expected is not None and before.revision != expected:
                raise self._conflict(before, expected)
            after = mutate(before, service)
            if after == before:
                return
            revision = before.revision + 1
            change = Change(revision, now(), action, by or whoever(), why, before.shown(), after.shown())
            after = replace(after, revision=revision, changes=(*before.changes, change))
            try:
                self._write(after, service)
            except WriteConflict:
                continue
            return
        raise Conflict(
            f"the InferenceService {self.name} is changed all the time: nothing was changed by this call; try again"
        )

    def _write(self, record: Record, service: Json | None) -> None:
        wanted = inference_service(self.name, record, self.settings)
        if service is None:
            self.cluster.create(wanted)
        else:
            wanted["metadata"]["resourceVersion"] = service["metadata"]["resourceVersion"]
            self.cluster.apply(wanted)

    def _end_interrupted(self, deadline: float) -> None:
        """Let the latest revision take over where an undeployment left the traffic pinned (Knative mode)."""
        record, _ = self._read()
        if record is None or not record.previous or record.previous != record.main:
            return
        self._wait(f"version {record.main} of {self.name}", deadline, self._readiness(record.main))
        for _ in range(ATTEMPTS):
            record, service = self._read()
            if record is None or record.previous != record.main:
                return
            try:
                self._write(replace(record, previous=""), service)
                return
            except WriteConflict:
                continue

    def _readiness(self, version: str) -> Callable[[Record, Json], tuple[str, str]]:
        mode = self.settings.mode
        return lambda record, service: (
            not_ready(service, record, version, mode),
            failure(service, record, version, mode),
        )

    def _wait(self, what: str, deadline: float, look: Callable[[Record, Json], tuple[str, str]]) -> None:
        """Wait until nothing is missing; `look` returns what is, and why it will stay so."""
        began = told_at = time.monotonic()
        while True:
            record, service = self._existing()
            missing, never = look(record, service)
            if not missing:
                return
            if never:
                raise StepError(
                    f"{what} does not get ready: {never}; correct it, then undeploy and deploy it"
                )
            at = time.monotonic()
            if at >= deadline:
                raise StepError(
                    f"{what} is not as wanted after {at - began:.0f} s ({missing}): look at the InferenceService "
                    f"{self.name} in the namespace {self.settings.namespace}, then call again"
                )
            if at - told_at >= TOLD_EVERY_S:
                _log.info("%s: %.0f s so far, %s", what, at - began, missing)
                told_at = at
            time.sleep(min(self.poll_s, deadline - at))

    def _conflict(self, record: Record, expected: int) -> Conflict:
        last = record.changes[-1] if record.changes else None
        told = f"{last.action} by {last.by} at {last.time[:19]}Z" if last else "none"
        return Conflict(
            f"the endpoint {self.name} was changed in between (revision {record.revision}, expected {expected}; last: "
            f"{told}): look at it with `penstock endpoint show`, then decide again"
        )

    def _read(self) -> tuple[Record | None, Json | None]:
        service = self.cluster.get(KIND, self.name)
        record = read_record(service)
        if service is not None and record is None:
            raise StepError(
                f"the name is taken: the InferenceService {self.name} in the namespace {self.settings.namespace} is not "
                "Penstock's: give the endpoint another name"
            )
        return record, service

    def _existing(self) -> tuple[Record, Json]:
        record, service = self._read()
        if record is None or service is None:
            raise StepError(
                f"there is no endpoint {self.name!r} in the namespace {self.settings.namespace}: deploy a version "
                "first, unless somebody removed it"
            )
        return record, service

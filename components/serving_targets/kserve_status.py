"""What the status of an InferenceService says: is a version ready, does the traffic go where it shall.

Conditions as KServe documents them in its API: PredictorReady and IngressReady make Ready in both modes; in Knative
mode LatestDeploymentReady and RoutesReady are reported too. Canaries of Standard mode are told in canaryStatuses.
Source: pkg/apis/serving/v1beta1/inference_service_status.go of kserve/kserve
"""

from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.kserve_objects import predictor_name
from penstock.components.serving_targets.kserve_record import Record
from penstock.components.serving_targets.kserve_settings import KNATIVE

REQUIRED = ("PredictorReady", "IngressReady", "Ready")
WHERE_REPORTED = ("LatestDeploymentReady", "RoutesReady")
FAILED = ("BlockedByFailedLoad", "InvalidSpec")
WAITING = "KServe has not said anything of it yet"

Json = Mapping[str, Any]


def not_ready(service: Json, record: Record, version: str, mode: str) -> str:
    """Return why a version does not answer yet; empty when it does."""
    status = service.get("status") or {}
    if mode == KNATIVE:
        return _not_ready_revision(status, record, version)
    if version == record.main:
        return _false_condition(status)
    for canary in status.get("canaryStatuses") or []:
        if canary.get("name") == predictor_name(version):
            return "" if canary.get("ready") else _failure(canary) or "its pods are not ready"
    return WAITING


def failure(service: Json, record: Record, version: str, mode: str) -> str:
    """Return why a version will never be ready, where KServe says so; else empty."""
    status = service.get("status") or {}
    if mode != KNATIVE and version != record.main:
        for canary in status.get("canaryStatuses") or []:
            if canary.get("name") == predictor_name(version):
                return "" if canary.get("ready") else _failure(canary)
        return ""
    if version != record.main or not not_ready(service, record, version, mode):
        return ""
    revision = _component(status).get("latestCreatedRevision", "")
    if mode == KNATIVE and revision == record.older_revision:
        return ""  # it tells of what was there before
    return _failure(status)


def misrouted(service: Json, record: Record, mode: str) -> str:
    """Return how the traffic differs from the record's weights; empty when it does not."""
    status = service.get("status") or {}
    if mode == KNATIVE:
        if not record.previous or record.previous == record.main:
            return ""
        # After a rollback both entries name the latest revision, until the controller has looked again.
        ready = _component(status).get("latestReadyRevision")
        named = [one for one in _traffic(status) if one.get("revisionName") == ready]
        latest = sum(int(one.get("percent") or 0) for one in named)
        wanted = record.weights.get(record.main, 0)
        return (
            "" if latest == wanted else f"the latest revision has {latest} % of the traffic, not {wanted} %"
        )
    found = {one.get("name"): one.get("trafficPercent", 0) for one in status.get("canaryStatuses") or []}
    for version in record.versions:
        wanted = record.weights.get(version, 0)
        if version != record.main and (has := found.get(predictor_name(version))) != wanted:
            return f"version {version} has {has or 0} % of the traffic, not {wanted} %"
    return _false_condition(status)


def newest_revision(service: Json | None) -> str:
    """Return the revision that Knative made last; empty when there is none."""
    return str(_component((service or {}).get("status") or {}).get("latestCreatedRevision", ""))


def url_of(service: Json) -> str:
    """Return where the endpoint answers; empty while it does not."""
    status = service.get("status") or {}
    return str(status.get("url") or (status.get("address") or {}).get("url") or "")


def _not_ready_revision(status: Json, record: Record, version: str) -> str:
    component = _component(status)
    if version != record.main:
        kept = component.get("previousRolledoutRevision") or component.get("latestRolledoutRevision")
        return "" if kept else "KServe tells of no previous revision"
    created = component.get("latestCreatedRevision", "")
    if not created or created == record.older_revision:
        return WAITING
    if component.get("latestReadyRevision") != created:
        return _failure(status) or _false_condition(status) or f"the revision {created} is not ready"
    return _false_condition(status)


def _false_condition(status: Json) -> str:
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    for name in (*REQUIRED, *WHERE_REPORTED):
        found = conditions.get(name)
        if found is None:
            if name in REQUIRED:
                return f"{name} is not reported yet" if conditions else WAITING
        elif found.get("status") != "True":
            told = ": ".join(filter(None, [found.get("reason"), found.get("message")]))
            return f"{name} is {found.get('status')}" + (f" ({told})" if told else "")
    return ""


def _failure(status: Json) -> str:
    model = status.get("modelStatus") or {}
    if model.get("transitionStatus") not in FAILED:
        return ""
    info = model.get("lastFailureInfo") or {}
    told = ": ".join(filter(None, [info.get("reason"), info.get("message")])) or model["transitionStatus"]
    return told + (f" (exit code {info['exitCode']})" if info.get("exitCode") else "")


def _component(status: Json) -> Json:
    return (status.get("components") or {}).get("predictor") or {}


def _traffic(status: Json) -> list[Json]:
    return _component(status).get("traffic") or []

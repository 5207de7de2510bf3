"""The traffic of an endpoint as a Gateway API HTTPRoute, and what such a route says.

One route holds REST and gRPC, told apart by path, so that one write changes both. It is all the state there is: which
versions a request may name, their shares, the shadow, and in annotations the revision and the latest changes.

    paths of V1 and V2 over REST, x-model-version: 3   → version 3, port of REST
    paths of V1 and V2 over REST                       → by weights, port of REST
    methods of V2 over gRPC, x-model-version: 3        → version 3, port of gRPC
    methods of V2 over gRPC                            → by weights, port of gRPC

Where the weights are empty, requests that name no version find no route: 404. A request that names a version that is
not deployed goes by weights, as a Gateway cannot answer by itself; the answer's x-model-version tells who gave it.
Source: https://gateway-api.sigs.k8s.io/reference/spec/ (v1)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.components.serving_targets.kubernetes_names import ANNOTATION, labels, object_name
from penstock.components.serving_targets.kubernetes_objects import GRPC_PORT, HTTP_PORT
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.recent_changes import as_text, from_text
from penstock.components.serving_targets.target import FORCED_HEADER, WHOLE, Change, Shadow
from penstock.components.step_io.errors import StepError

# Not /metrics, and nothing that loads or unloads models (/v2/repository, RepositoryModelLoad).
REST_PATHS = tuple(
    {"type": "PathPrefix", "value": path} for path in ("/v1/models", "/v2/models", "/v2/health")
)
GRPC_SERVICE = "/inference.GRPCInferenceService"
GRPC_PATHS = tuple(
    {"type": "Exact", "value": f"{GRPC_SERVICE}/{method}"}
    for method in ("ModelInfer", "ModelMetadata", "ModelReady", "ServerLive", "ServerMetadata", "ServerReady")
)
PROTOCOLS = ((HTTP_PORT, REST_PATHS), (GRPC_PORT, GRPC_PATHS))
MOST_RULES = 16  # of an HTTPRoute
MOST_VERSIONS = MOST_RULES // len(PROTOCOLS) - 1

REVISION = f"{ANNOTATION}/revision"
CHANGES = f"{ANNOTATION}/changes"
CHANGE_ID = f"{ANNOTATION}/change-id"
LONGEST_HISTORY = 60_000  # characters; all annotations together may have 256 KiB

Json = dict[str, Any]


@dataclass(frozen=True)
class Traffic:
    """Who may be asked, and who is."""

    versions: tuple[str, ...] = ()  # those that a request may name
    weights: Mapping[str, int] = field(default_factory=dict)
    shadow: Shadow | None = None

    def as_json(self) -> Json:
        """Return it for the history."""
        return {
            "versions": list(self.versions),
            "weights": dict(self.weights),
            "shadow": vars(self.shadow) if self.shadow else None,
        }


@dataclass(frozen=True)
class Route:
    """A route as it was read."""

    traffic: Traffic = field(default_factory=Traffic)
    revision: int = 0
    changes: tuple[Change, ...] = ()  # the latest ones
    change_id: str = ""
    resource_version: str = ""  # empty: there is none yet


def route_object(endpoint: str, route: Route, settings: KubernetesSettings) -> Json:
    """Return the HTTPRoute; applying it fails if it has another resource version by then.

    Raises:
        StepError: There are more versions than an HTTPRoute has room for.
    """
    versions = route.traffic.versions
    if len(versions) > MOST_VERSIONS:
        raise StepError(
            f"{endpoint} has {len(versions)} versions ({', '.join(versions)}), a route has room for {MOST_VERSIONS}: "
            "undeploy those without traffic"
        )
    metadata: Json = {
        "name": object_name(endpoint),
        "labels": labels(endpoint),
        "annotations": {
            REVISION: str(route.revision),
            CHANGES: as_text(route.changes, LONGEST_HISTORY),
            CHANGE_ID: route.change_id,
        },
    }
    if route.resource_version:
        metadata["resourceVersion"] = route.resource_version
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": {
            "parentRefs": [
                {"name": settings.gateway, "namespace": settings.gateway_namespace or settings.namespace}
            ],
            "hostnames": [host_name(endpoint, settings)],
            "rules": _rules(endpoint, route.traffic, settings) or [_nobody()],
        },
    }


def host_name(endpoint: str, settings: KubernetesSettings) -> str:
    """Return the host name under which the gateway knows the endpoint."""
    return settings.hostname or f"{object_name(endpoint)}.{settings.namespace}.internal"


def read_route(found: Json | None) -> Route:
    """Return what a route says; the rules count, whoever wrote them. None: there is no route.

    Raises:
        StepError: It has no revision.
    """
    if found is None:
        return Route()
    metadata = found["metadata"]
    marks = metadata.get("annotations") or {}
    try:
        revision = int(marks[REVISION])
    except (KeyError, ValueError) as error:
        raise StepError(
            f"the HTTPRoute {metadata['name']} has no readable annotation {REVISION}: it is not Penstock's, or was changed "
            "by hand; remove it, then deploy again"
        ) from error
    return Route(
        _traffic(found["spec"].get("rules") or []),
        revision,
        tuple(from_text(marks.get(CHANGES, ""))),
        marks.get(CHANGE_ID, ""),
        metadata["resourceVersion"],
    )


def refusal(found: Json) -> str:
    """Return why the gateway does not take the route as it is now; empty if it does, `waiting` if it has not yet said.

    See RouteParentStatus in the specification.
    """
    generation = found["metadata"]["generation"]
    parents = (found.get("status") or {}).get("parents") or []
    conditions = [one for parent in parents for one in parent.get("conditions") or []]
    current = {one["type"]: one for one in conditions if one.get("observedGeneration", 0) >= generation}
    for kind in ("Accepted", "ResolvedRefs"):
        if kind in current and current[kind]["status"] != "True":
            return f"{current[kind].get('reason')}: {current[kind].get('message')}"
    return "" if "Accepted" in current else "waiting"


def _rules(endpoint: str, traffic: Traffic, settings: KubernetesSettings) -> list[Json]:
    rules = []
    for port, paths in PROTOCOLS:
        places: list[Json] = [{"path": path} for path in paths]
        for version in traffic.versions:
            header = {"type": "Exact", "name": FORCED_HEADER, "value": version}
            matches = [place | {"headers": [header]} for place in places]
            rules.append(_rule(matches, [_backend(endpoint, version, port)], settings))
        if traffic.weights:
            shares = [
                _backend(endpoint, version, port) | {"weight": weight}
                for version, weight in sorted(traffic.weights.items())
            ]
            rule = _rule(places, shares, settings)
            if traffic.shadow:
                rule["filters"] = [_mirror(endpoint, traffic.shadow, port)]
            if settings.session_cookie:
                rule["sessionPersistence"] = {"type": "Cookie", "sessionName": settings.session_cookie}
            rules.append(rule)
    return rules


def _rule(matches: list[Json], backends: list[Json], settings: KubernetesSettings) -> Json:
    timeouts = {"request": f"{settings.request_timeout_s}s"}
    return {"matches": matches, "backendRefs": backends, "timeouts": timeouts}


def _nobody() -> Json:
    """Return the one rule of an endpoint without versions: a path that nobody asks for."""
    return {"matches": [{"path": {"type": "Exact", "value": "/nobody-serves-here"}}]}


def _backend(endpoint: str, version: str, port: int) -> Json:
    return {"name": object_name(endpoint, version), "port": port}


def _mirror(endpoint: str, shadow: Shadow, port: int) -> Json:
    copied: Json = {"backendRef": _backend(endpoint, shadow.version, port)}
    if shadow.percent < WHOLE:
        copied["percent"] = shadow.percent
    return {"type": "RequestMirror", "requestMirror": copied}


def _traffic(rules: list[Json]) -> Traffic:
    rest = [rule for rule in rules if _port(rule) == HTTP_PORT]
    named = {}
    by_weight: Json = {}
    for rule in rest:
        headers = rule["matches"][0].get("headers") or []
        if headers:
            named[rule["backendRefs"][0]["name"]] = headers[0]["value"]
        else:
            by_weight = rule
    weights = {
        named.get(one["name"], one["name"]): one.get("weight", 1)
        for one in by_weight.get("backendRefs") or []
    }
    shadow = None
    for one in by_weight.get("filters") or []:
        if one["type"] == "RequestMirror":
            copied = one["requestMirror"]
            name = copied["backendRef"]["name"]
            shadow = Shadow(named.get(name, name), copied.get("percent", WHOLE))
    return Traffic(
        tuple(named.values()), {version: weight for version, weight in weights.items() if weight}, shadow
    )


def _port(rule: Json) -> int:
    backends = rule.get("backendRefs") or [{}]
    return int(backends[0].get("port", 0))

"""The configuration of the local router, Envoy, as plain data (Envoy's v3 API, as JSON).

The bootstrap never changes; clusters, endpoints and routes are files that Envoy watches and that are replaced by
a move, so that a change of weights reaches Envoy whole and drops no request.

Each version has two clusters, one for REST and one for gRPC, told apart by the content type: one port for both.
Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.components.serving_targets.target import FORCED_HEADER, KEY_HEADER, Shadow

API = "type.googleapis.com/envoy"
REST, GRPC = "rest", "grpc"
PROTOCOLS = (GRPC, REST)
CLUSTERS_FILE, ROUTES_FILE = "clusters.json", "routes.json"
ROUTES = "routes"

REQUEST_TIMEOUT_S = 60
IDLE_TIMEOUT_S = (
    4  # of a connection to a worker; uvicorn closes its own after 5 s, and the first to close is safe
)
CHECK_INTERVAL_S, CHECK_TIMEOUT_S = 5, 5
LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
NO_LIMIT = 1_000_000  # Envoy's 1024 and 3 are for fleets; how much a worker takes is for the service to say
# A request that a worker had begun is not sent again: one that kills its worker would kill the next one too.
RETRY_ON = "connect-failure,refused-stream,reset-before-request"

Json = dict[str, Any]


def bootstrap(folder: Path, host: str, port: int) -> Json:
    """Return what Envoy is started with.

    Args:
        folder: Where the watched files are, and the log of requests that no worker answered.
        host: Address to listen on.
        port: Port for REST and gRPC.
    """
    return {
        "node": {"id": "penstock", "cluster": "penstock"},
        "admin": {
            "address": _address("127.0.0.1", 0),
            # The rest of the admin interface could stop Envoy or show its memory to anyone on this machine.
            "allow_paths": [{"exact": path} for path in ("/ready", "/drain_listeners")]
            + [{"prefix": path} for path in ("/stats", "/clusters", "/config_dump")],
        },
        "dynamic_resources": {"cds_config": _file(folder / CLUSTERS_FILE)},
        "static_resources": {"listeners": [_listener(folder, host, port)]},
    }


def clusters(versions: Mapping[str, str], folder: Path, change: str) -> Json:
    """Return the discovery response with the clusters of all versions (version → ready path)."""
    found = [
        _cluster(cluster_name(version, protocol), protocol, path, folder)
        for version, path in versions.items()
        for protocol in PROTOCOLS
    ]
    return _response("config.cluster.v3.Cluster", found, change)


def endpoints(version: str, protocol: str, workers: Iterable[tuple[int, int]], change: str) -> Json:
    """Return the discovery response with the workers of one cluster, as (REST port, gRPC port)."""
    hosts = [
        {
            "endpoint": {
                "address": _address("127.0.0.1", rest if protocol == REST else grpc),
                # Both are as healthy as the worker says over REST.
                "health_check_config": {"port_value": rest},
            }
        }
        for rest, grpc in workers
    ]
    name = cluster_name(version, protocol)
    found = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}] if hosts else []}
    return _response("config.endpoint.v3.ClusterLoadAssignment", [found], change)


def routes(versions: Sequence[str], weights: Mapping[str, int], shadow: Shadow | None, change: str) -> Json:
    """Return the discovery response with the routes.

    Args:
        versions: All that a request may name.
        weights: Percent by version; empty: nothing has traffic yet.
        shadow: Who gets a copy of what goes by weights.
        change: Name of this change; Envoy reports which one it has.
    """
    table = [route for protocol in PROTOCOLS for route in _routes(versions, weights, shadow, protocol)]
    found = {
        "name": ROUTES,
        "virtual_hosts": [{"name": "endpoint", "domains": ["*"], "routes": table}],
    }
    return _response("config.route.v3.RouteConfiguration", [found], change)


def cluster_name(version: str, protocol: str) -> str:
    """Return the name of a cluster."""
    return f"{version}/{protocol}"


def endpoints_file(version: str, protocol: str) -> str:
    """Return the name of the file with the workers of a cluster."""
    return f"workers-{version}-{protocol}.json"


def _routes(
    versions: Sequence[str], weights: Mapping[str, int], shadow: Shadow | None, protocol: str
) -> list[Json]:
    def route(action: Json, *headers: Json) -> Json:
        match: Json = {"prefix": "/", "headers": list(headers)}
        return {"match": match | ({"grpc": {}} if protocol == GRPC else {}), **action}

    def to_cluster(action: Json) -> Json:
        return {"route": {"timeout": f"{REQUEST_TIMEOUT_S}s", "retry_policy": _retry_policy(), **action}}

    forced = [
        route(
            to_cluster({"cluster": cluster_name(version, protocol)}),
            {"name": FORCED_HEADER, "string_match": {"exact": version}},
        )
        for version in versions
    ]
    unknown = route(
        _answer(
            404, f"no such version is deployed (header {FORCED_HEADER}); there are: {', '.join(versions)}"
        ),
        {"name": FORCED_HEADER, "present_match": True},
    )
    if not weights:
        return [
            *forced,
            unknown,
            route(_answer(503, "no version has traffic yet: try again in some seconds")),
        ]
    # Versions stay in one order: a key that leaves a version when its share changes goes to the one that gained.
    shares = [
        {"name": cluster_name(version, protocol), "weight": weights[version]}
        for version in versions
        if version in weights
    ]
    action: Json = {}
    if shadow is not None:
        percent = {"numerator": shadow.percent, "denominator": "HUNDRED"}
        copied = {
            "cluster": cluster_name(shadow.version, protocol),
            "runtime_fraction": {"default_value": percent},
        }
        action["request_mirror_policies"] = [copied]
    by_key = action | {
        "weighted_clusters": {"clusters": shares, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": KEY_HEADER}}],
    }
    by_chance = action | {"weighted_clusters": {"clusters": shares}}
    has_key = {"name": KEY_HEADER, "string_match": {"safe_regex": {"regex": ".+"}}}
    return [*forced, unknown, route(to_cluster(by_key), has_key), route(to_cluster(by_chance))]


def _listener(folder: Path, host: str, port: int) -> Json:
    manager = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "endpoint",
        "codec_type": "AUTO",  # HTTP/1.1 and, for gRPC, HTTP/2 by its preface
        "server_header_transformation": "PASS_THROUGH",
        "rds": {"route_config_name": ROUTES, "config_source": _file(folder / ROUTES_FILE)},
        # A request's id goes to the worker, to the shadow and into the answer; one that came is left as it is.
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{API}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "local_reply_config": {"body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}},
        "access_log": [_unanswered(folder / "unanswered.jsonl")],
        "drain_timeout": "1s",
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": f"{API}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    return {
        "name": "endpoint",
        "address": _address(host, port),
        "enable_reuse_port": False,  # else a second Envoy could take the same port, and half of the requests
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(name: str, protocol: str, ready_path: str, folder: Path) -> Json:
    version = name.removesuffix(f"/{protocol}")
    http2: Json = {"http2_protocol_options": {}} if protocol == GRPC else {"http_protocol_options": {}}
    return {
        "@type": f"{API}.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(folder / endpoints_file(version, protocol))},
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "ignore_health_on_host_removal": True,  # else a worker that leaves stays until it stops answering
        "circuit_breakers": {"thresholds": [dict.fromkeys(LIMITS, NO_LIMIT)]},
        "common_lb_config": {
            # Below this, checks count no more: all workers here were ready once, and a slow answer beats none.
            "healthy_panic_threshold": {"value": 50},
            "update_merge_window": "0s",  # else Envoy's threads hear a second later that a worker is healthy
        },
        "health_checks": [
            {
                "timeout": f"{CHECK_TIMEOUT_S}s",
                "interval": f"{CHECK_INTERVAL_S}s",
                "no_traffic_interval": f"{CHECK_INTERVAL_S}s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 1,
                "http_health_check": {"path": ready_path},
            }
        ],
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": http2,
                "common_http_protocol_options": {"idle_timeout": f"{IDLE_TIMEOUT_S}s"},
            }
        },
    }


def _retry_policy() -> Json:
    previous = f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": RETRY_ON,
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [{"name": "previous_hosts", "typed_config": {"@type": previous}}],
        # Picks of a replica before giving in to one that has failed; a dead one is picked often, it has no load.
        "host_selection_retry_max_attempts": 20,
    }


def _unanswered(path: Path) -> Json:
    """Return a log of the requests that Envoy had to answer itself, with the keys of the service's own log."""
    return {
        "name": "unanswered",
        "filter": {"response_flag_filter": {}},
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {
                "json_format": {
                    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                    "cluster": "%UPSTREAM_CLUSTER%",
                    "status": "%RESPONSE_CODE%",
                    "duration_ms": "%DURATION%",
                    "error": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                }
            },
        },
    }


def _answer(status: int, sentence: str) -> Json:
    return {"direct_response": {"status": status, "body": {"inline_string": sentence}}}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _file(path: Path) -> Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def _response(kind: str, resources: list[Json], change: str) -> Json:
    typed = [{"@type": f"{API}.{kind}", **resource} for resource in resources]
    return {"version_info": change, "resources": typed}


def same_content(one: Json, other: Json) -> bool:
    """Tell whether two responses say the same, whatever their change is called."""
    return json.dumps(one["resources"], sort_keys=True) == json.dumps(other["resources"], sort_keys=True)

"""The Kubernetes objects of one version: Deployment, Service, PodDisruptionBudget, HorizontalPodAutoscaler.

The Deployment owns the other three, so that they go with it. It says nothing of the number of replicas, which is the
autoscaler's: a number applied here would undo what load has made of it.
"""

import hashlib
import json
from typing import Any

from penstock.components.serving_targets.kubernetes_names import ANNOTATION, labels, object_name, selector
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.target import ModelVersion

MODULE = "penstock.components.prediction_service.server"
CONTAINER = "server"
HTTP_PORT, GRPC_PORT = 8080, 8081
READY, LIVE = "/v2/health/ready", "/v2/health/live"
PROBE_TIMEOUT_S = 5
NOBODY = 65532

MODEL = f"{ANNOTATION}/model"
URI = f"{ANNOTATION}/model-uri"
MADE_FROM = f"{ANNOTATION}/made-from"  # tells pods of this description from those of an earlier one

Json = dict[str, Any]


def deployment(endpoint: str, version: ModelVersion, settings: KubernetesSettings) -> Json:
    """Return the Deployment: a server that is sent requests once it has answered, and ends when it has answered all."""
    marks = {MODEL: version.model, URI: version.uri}
    pod = pod_spec(endpoint, version, settings)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(endpoint, version.version) | {"annotations": marks},
        "spec": {
            "selector": {"matchLabels": selector(endpoint, version.version)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": settings.start_limit_s + 60,
            "template": {
                "metadata": {
                    "labels": labels(endpoint, version.version),
                    "annotations": {
                        MADE_FROM: hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:16],
                        "prometheus.io/scrape": "true",
                        "prometheus.io/path": "/metrics",
                        "prometheus.io/port": str(HTTP_PORT),
                    },
                },
                "spec": pod,
            },
        },
    }


def service(endpoint: str, version: str, owner: Json) -> Json:
    """Return the Service, with a port for REST and one for gRPC (HTTP/2 without TLS)."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(endpoint, version, owner),
        "spec": {
            "selector": selector(endpoint, version),
            "ports": [
                {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"},
                {
                    "name": "grpc",
                    "port": GRPC_PORT,
                    "targetPort": "grpc",
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                },
            ],
        },
    }


def disruption_budget(endpoint: str, version: ModelVersion, owner: Json) -> Json:
    """Return the PodDisruptionBudget: one pod at a time; a single one is not evicted (its node's drain waits)."""
    allowed = {"maxUnavailable": 1} if version.replicas > 1 else {"minAvailable": 1}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(endpoint, version.version, owner),
        "spec": {
            "selector": {"matchLabels": selector(endpoint, version.version)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a server that never got ready holds no drain up
            **allowed,
        },
    }


def autoscaler(endpoint: str, version: ModelVersion, settings: KubernetesSettings, owner: Json) -> Json:
    """Return the HorizontalPodAutoscaler: quick up, slow down (a canary's load comes in steps)."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(endpoint, version.version, owner),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": object_name(endpoint, version.version),
            },
            "minReplicas": version.replicas,
            "maxReplicas": max(version.replicas, settings.most_replicas),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": settings.cpu_target_percent},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


def owner_of(deployed: Json) -> Json:
    """Return the reference by which a Deployment that the API returned owns other objects."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployed["metadata"]["name"],
        "uid": deployed["metadata"]["uid"],
    }


def pod_spec(endpoint: str, version: ModelVersion, settings: KubernetesSettings) -> Json:
    """Return the specification of a version's pods, which validate_serving tries before there is a Deployment."""
    return {
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.drain_s + settings.request_timeout_s + 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(endpoint, version.version)},
            }
        ],
        "containers": [_container(version, settings)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": settings.scratch}}],
    }


def _container(version: ModelVersion, settings: KubernetesSettings) -> Json:
    arguments = ["--model-dir", settings.readable(version.uri)]
    arguments += ["--model-name", version.model, "--model-version", version.version]
    arguments += ["--http-port", str(HTTP_PORT), "--grpc-port", str(GRPC_PORT)]
    arguments += ["--grace-s", str(settings.request_timeout_s), *settings.options]
    period_s = 2
    return {
        "name": CONTAINER,
        "image": settings.image,
        "command": ["python", "-m", MODULE],
        "args": arguments,
        "workingDir": "/tmp",
        "env": _variables(settings),
        "ports": [
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe(READY, period_s, max(1, settings.start_limit_s // period_s)),
        "readinessProbe": _probe(READY, 5, 2),
        "livenessProbe": _probe(LIVE, 10, 6),
        # A gateway goes on sending to a pod for a moment after it began to end: the server stops only then.
        "lifecycle": {"preStop": {"sleep": {"seconds": settings.drain_s}}},
        "resources": {
            "requests": {"cpu": settings.cpu, "memory": settings.memory},
            "limits": {"memory": settings.memory_limit},  # no limit of CPU: throttling shows as latency
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _variables(settings: KubernetesSettings) -> list[Json]:
    plain = {"HOME": "/tmp", **settings.variables}
    from_secrets = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key}}}
        for secret in settings.secrets
        for variable, key in secret.variables.items()
    ]
    return [{"name": name, "value": value} for name, value in plain.items()] + from_secrets


def _probe(path: str, period_s: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": PROBE_TIMEOUT_S,
        "failureThreshold": failures,
    }


def _metadata(endpoint: str, version: str, owner: Json | None = None) -> Json:
    found: Json = {"name": object_name(endpoint, version), "labels": labels(endpoint, version)}
    return found | ({"ownerReferences": [owner]} if owner else {})

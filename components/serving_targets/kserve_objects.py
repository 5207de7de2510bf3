"""The InferenceService of an endpoint, as plain data: what KServe's v1beta1 API takes.

The SDK's typed models are not used here: kserve would set protobuf and pandas of the control stack back by a major
version and bring a model server along. The tests build each object with the SDK's models instead, which refuse what
the API does not know.

Standard mode has one stable predictor and, since KServe 0.20, any number of named canaries beside it. Knative mode
has the latest revision of one predictor and the one before it, divided by canaryTrafficPercent.
Sources: https://kserve.github.io/website/docs/reference/crd-api, https://github.com/kserve/kserve/pull/5672
"""

import re
from typing import Any

from penstock.components.serving_targets.kserve_record import Record
from penstock.components.serving_targets.kserve_settings import KNATIVE, KserveSettings
from penstock.components.serving_targets.kubernetes_names import APPLICATION, MANAGER
from penstock.components.serving_targets.target import ModelVersion

API_VERSION, KIND = "serving.kserve.io/v1beta1", "InferenceService"
MODE = "serving.kserve.io/deploymentMode"
CONTAINER = "kserve-container"  # the name by which KServe knows the model server
MODEL_FOLDER = "/mnt/models"  # where KServe's storage initializer puts what STORAGE_URI names
MODULE = "penstock.components.prediction_service.server"
HTTP_PORT = 8080
NOBODY = 65532
READY = "/v2/health/ready"
MIRRORED = "/mirrored"  # where the prediction service takes what the payload logger sends
REQUEST_ID = "X-Request-Id"  # as Go writes it: KServe's logger compares to the letter

Json = dict[str, Any]


def inference_service(endpoint: str, record: Record, settings: KserveSettings) -> Json:
    """Return the InferenceService that serves a record."""

    def logged(version: ModelVersion, found: Json) -> Json:
        copied = record.shadow and version.version != record.shadow and record.weights.get(version.version)
        return found | ({"logger": shadow_logger(endpoint, record.shadow, settings)} if copied else {})

    main = record.versions[record.main]
    spec: Json = {"predictor": logged(main, predictor(main, settings))}
    if settings.mode == KNATIVE:
        if record.previous:
            pinned = record.previous == record.main  # the same version again, until it is ready
            percent = 0 if pinned else record.weights.get(record.main, 0)
            spec["predictor"]["canaryTrafficPercent"] = percent
    else:
        spec["predictor"]["name"] = predictor_name(record.main)
        canaries = [
            {
                "trafficPercent": record.weights.get(name, 0),
                "predictor": logged(version, predictor(version, settings, canary=True))
                | {"name": predictor_name(name)},
            }
            for name, version in record.versions.items()
            if name != record.main
        ]
        if canaries:
            spec["canary"] = canaries
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": endpoint,
            "namespace": settings.namespace,
            "labels": {"app.kubernetes.io/name": APPLICATION, "app.kubernetes.io/managed-by": MANAGER},
            "annotations": {MODE: settings.mode, **record.annotations()},
        },
        "spec": spec,
    }


def predictor(version: ModelVersion, settings: KserveSettings, *, canary: bool = False) -> Json:
    """Return the predictor of a version: our serving image, with the model where KServe puts it.

    A canary has a fixed number of replicas, because KServe does not scale canaries.
    """
    found: Json = {
        "minReplicas": version.replicas,
        "timeout": settings.request_timeout_s,
        "containers": [_container(version, settings)],
    }
    if not canary:
        found["maxReplicas"] = max(version.replicas, settings.most_replicas)
    if settings.service_account:
        found["serviceAccountName"] = settings.service_account
    if settings.log_url:
        found["logger"] = {"mode": settings.log_mode, "url": settings.log_url}
    return found


def shadow_logger(endpoint: str, version: str, settings: KserveSettings) -> Json:
    """Return the payload logger that sends each request to a version's own Service, with the request's id."""
    host = f"{endpoint}-{predictor_name(version)}-predictor.{settings.namespace}.svc.cluster.local"
    return {
        "mode": "request",
        "url": f"http://{host}:{settings.service_port}{MIRRORED}",
        "metadataHeaders": [REQUEST_ID],
    }


def predictor_name(version: str) -> str:
    """Return the name of a version's predictor; its Deployment is <endpoint>-<this>-predictor.

    >>> predictor_name("3"), predictor_name("2024.1")
    ('v3', 'v2024-1')
    """
    return "v" + re.sub(r"[^a-z0-9-]", "-", version.lower())


def _container(version: ModelVersion, settings: KserveSettings) -> Json:
    variables = {
        **settings.variables,
        "STORAGE_URI": settings.readable(version.uri),
        "PENSTOCK_MODEL_DIR": MODEL_FOLDER,
        "PENSTOCK_MODEL_NAME": version.model,
        "PENSTOCK_MODEL_VERSION": version.version,
    }
    ready = {"httpGet": {"path": READY, "port": HTTP_PORT}, "timeoutSeconds": 5}
    return {
        "name": CONTAINER,
        "image": settings.image,
        "command": ["python", "-m", MODULE],
        "args": ["--http-port", str(HTTP_PORT), *settings.options],
        "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "ports": [{"containerPort": HTTP_PORT, "protocol": "TCP"}],
        "readinessProbe": ready,
        "resources": {
            "requests": {"cpu": settings.cpu, "memory": settings.memory},
            "limits": {"memory": settings.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
        },
    }

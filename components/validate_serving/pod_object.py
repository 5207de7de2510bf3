"""The pod in which a model is tried: the target's own pod, with the end of a trial.

What differs from a pod of the target: it is not started anew when it ends, so that its exit code and its log can be
read; it writes no request log; nothing drains, because nobody else sends requests; its labels put it behind no
Service; it ends by itself after a time, and Kubernetes removes it with the step's own pod.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.components.serving_targets.kubernetes_names import ANNOTATION, APPLICATION, MANAGER
from penstock.components.serving_targets.kubernetes_objects import MODEL, URI, pod_spec
from penstock.components.serving_targets.kubernetes_opening import read_settings
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.target import ModelVersion
from penstock.components.validate_serving.servers import VERSION

COMPONENT = "serving-trial"  # the network policy of the steps lets them reach pods with this label
RUN = f"{ANNOTATION}/run"
STOP_S = 15
AS_S3 = {"minio://": "s3://"}  # KFP's name of the same store, which no reader of ours knows
# Whatever the target's options and variables say: the last of two equal options counts.
NO_REQUEST_LOG = ("--log-format", "jsonl", "--log-uri", "")

Json = dict[str, Any]


def trial_settings(given: Mapping[str, Any]) -> KubernetesSettings:
    """Return the target's settings for a trial.

    Args:
        given: The parameter `trial`: fields of KubernetesSettings.

    Raises:
        StepError: A key or a value is wrong; all faults at once.
    """
    found = read_settings(given)
    sources = dict(found.sources)  # the first that fits counts: what the environment says comes before
    for begin, place in AS_S3.items():
        sources.setdefault(begin, place)
    return replace(found, sources=sources, options=(*found.options, *NO_REQUEST_LOG))


def trial_name(identity: str) -> str:
    """Return the pod's name: the same for each attempt of a step, so that one finds what another has left.

    >>> trial_name("minio://mlpipeline/root/training/7f3a/validate-serving/evidence")
    'serving-trial-fb5df7a8ec11'
    """
    return f"{COMPONENT}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def trial_pod(
    name: str,
    model: str,
    uri: str,
    settings: KubernetesSettings,
    *,
    deadline_s: int,
    run: str = "",
    owner: Json | None = None,
) -> Json:
    """Return the Pod.

    Args:
        name: Its name.
        model: Name that the model is served under.
        uri: The model's folder, as the run knows it.
        settings: Of the target, from `trial_settings`.
        deadline_s: Seconds after which Kubernetes ends it.
        run: The run's id; empty is unknown.
        owner: Reference to the step's pod, with which it goes; None: nothing owns it.
    """
    spec = pod_spec(name, ModelVersion(model, VERSION, uri), settings)
    del spec["topologySpreadConstraints"]
    del spec["containers"][0]["lifecycle"]
    labels = {
        "app.kubernetes.io/name": APPLICATION,  # by it, the servers' network policy is this pod's as well
        "app.kubernetes.io/instance": name,  # no endpoint's
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/managed-by": MANAGER,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": labels | ({RUN: run} if run else {}),
            "annotations": {MODEL: model, URI: uri},
            **({"ownerReferences": [owner]} if owner else {}),
        },
        "spec": spec
        | {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": deadline_s,
            "terminationGracePeriodSeconds": STOP_S,
        },
    }


def owned_by(pod: Json) -> Json:
    """Return the reference by which a pod that the API returned owns others."""
    return {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}

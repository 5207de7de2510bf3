"""Makes a Kubernetes target from the plain values of an environment file or a run's parameter."""

from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings, SecretVariables
from penstock.components.serving_targets.kubernetes_target import KubernetesTarget
from penstock.components.serving_targets.plain_settings import read_plain

KIND = "kubernetes"


def open_kubernetes(where: Mapping[str, Any], endpoint: str) -> KubernetesTarget:
    """Return the endpoint of a cluster.

    Args:
        where: `kind: kubernetes`, and the fields of KubernetesSettings; `secrets` as a list of {name, variables}.
        endpoint: Its name.

    Raises:
        StepError: A key or a value is wrong, or there is no cluster.
    """
    return KubernetesTarget(endpoint, read_settings(where))


def read_settings(where: Mapping[str, Any]) -> KubernetesSettings:
    """Return the settings.

    Raises:
        StepError: A key or a value is wrong; all faults at once.
    """
    return read_plain(KIND, where, KubernetesSettings, {"secrets": _secrets})


def _secrets(value: Any) -> tuple[tuple[SecretVariables, ...], list[str]]:
    expected = "expected a list of {name, variables: {VARIABLE: key of the secret}}"
    if not isinstance(value, list):
        return (), [f"`secrets` is {value!r}, {expected}"]
    found, faults = [], []
    for at, one in enumerate(value):
        if (
            not isinstance(one, Mapping)
            or not one.get("name")
            or not isinstance(one.get("variables"), Mapping)
        ):
            faults.append(f"`secrets[{at}]` is {one!r}, {expected}")
        else:
            found.append(SecretVariables(one["name"], dict(one["variables"])))
    return tuple(found), faults

"""Makes a Kubernetes target from the plain values of an environment file or a run's parameter."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_origin, get_type_hints

from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings, SecretVariables
from penstock.components.serving_targets.kubernetes_target import KubernetesTarget
from penstock.components.step_io.errors import StepError

KIND = "kubernetes"
REQUIRED = ("namespace", "image")
# What a value is given as, and in words.
GIVEN_AS = {
    str: (str, "text"),
    int: (int, "a whole number"),
    tuple: (list, "a list"),
    Mapping: (Mapping, "a mapping"),
}


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
    hints = get_type_hints(KubernetesSettings)
    kinds = {name: GIVEN_AS[get_origin(hint) or hint] for name, hint in hints.items()}
    faults = [f"`{name}` is missing" for name in REQUIRED if not where.get(name)]
    values: dict[str, Any] = {}
    for key, value in where.items():
        if key == "kind":
            continue
        if key not in kinds:
            near = get_close_matches(key, kinds, 1)
            faults.append(f"`{key}` is no setting" + (f"; did you mean `{near[0]}`?" if near else ""))
        elif key == "secrets":
            values[key], wrong = _secrets(value)
            faults += wrong
        elif isinstance(value, bool) or not isinstance(value, kinds[key][0]):
            faults.append(f"`{key}` is {value!r}, expected {kinds[key][1]}")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    if faults:
        raise StepError(f"serving target {KIND}: {'; '.join(faults)}")
    return KubernetesSettings(**values)


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

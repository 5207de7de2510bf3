"""What only one platform knows of a run: written into the uploaded copy, never into the reviewed IR.

Environment variables are part of the IR's containers, the rest becomes a second YAML document, in the format of
kfp-kubernetes (KubernetesExecutorConfig): secrets by name, pod labels, node selectors, tolerations, and /tmp as a
volume, so that a cluster may forbid writing anywhere else. Not there, since KFP 2.14 knows no such key: the
security context (images run as a user of their own anyway) and the service account, which a run carries itself.
"""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from penstock.environment_models import NOTIFY_VARIABLE, Environment
from penstock.errors import UserError
from penstock.ir_tasks import all_tasks
from penstock.nearest import did_you_mean

NOTIFY = "notify"


def steps_of(ir: Mapping[str, Any]) -> dict[str, str]:
    """Return the step of each executor label of an unpinned IR (`penstock/<step>:unpinned`)."""
    steps = {}
    for label, executor in ir["deploymentSpec"]["executors"].items():
        name = executor.get("container", {}).get("image", "").rpartition(":")[0]
        if name:
            steps[label] = name.rpartition("/")[2]
    return steps


def with_variables(
    ir: Mapping[str, Any], environment: Environment, steps: Mapping[str, str], code_version: str
) -> dict[str, Any]:
    """Return the IR with the environment's variables in each container; what a pipeline set itself stays."""
    changed = copy.deepcopy(dict(ir))
    ours = {
        **environment.variables,
        "PENSTOCK_CODE_VERSION": code_version,
        "PENSTOCK_LOG_FORMAT": "json",
    }
    for label in steps:
        container = changed["deploymentSpec"]["executors"][label]["container"]
        own = {entry["name"] for entry in container.get("env", [])}
        added = [{"name": name, "value": value} for name, value in sorted(ours.items()) if name not in own]
        container["env"] = [*container.get("env", []), *added]
    return changed


def with_names_of_importers(ir: Mapping[str, Any]) -> dict[str, Any]:
    """Return the IR with importers called by the name of their task.

    KFP's launcher (seen in 2.14.3) records an importer under its display name, and its driver looks for it under
    the task's: a group that reads its artifact fails with `cannot find producer task`.
    """
    changed = copy.deepcopy(dict(ir))
    executors, components = changed["deploymentSpec"]["executors"], changed.get("components", {})
    for name, task in all_tasks(changed):
        label = components.get(task["componentRef"]["name"], {}).get("executorLabel")
        if "importer" in executors.get(label, {}):
            task["taskInfo"] = {"name": name}
    return changed


def platform_spec(environment: Environment, steps: Mapping[str, str]) -> dict[str, Any]:
    """Return the second document: the Kubernetes side of each executor."""
    executors = {label: _executor(environment, step) for label, step in sorted(steps.items())}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def check_secrets(environment: Environment, known: Collection[str]) -> None:
    """Refuse a secret for a step that nobody knows: a misspelt step would go without.

    Args:
        environment: The environment.
        known: All steps of the project; a secret may be for another pipeline's.

    Raises:
        UserError: A name in `secrets.steps` is no step.
    """
    for secret in environment.secrets:
        for step in secret.steps:
            if step not in known:
                raise UserError(
                    f"manifests/environments/{environment.name}.yaml gives the secret {secret.name!r} to {step!r}, "
                    f"which is no step{did_you_mean(step, known)} (there are: {', '.join(sorted(known))})"
                )


def _executor(environment: Environment, step: str) -> dict[str, Any]:
    """Return the KubernetesExecutorConfig of a step's container, as JSON fields."""
    secrets = [secret for secret in environment.secrets if not secret.steps or step in secret.steps]
    variables = [_secret_as_env(secret.name, secret.variables) for secret in secrets if secret.variables]
    notifications = environment.notifications
    if step == NOTIFY and notifications.secret:
        # A notification that cannot be sent must not keep the handler from running: hence optional.
        found = _secret_as_env(notifications.secret, {NOTIFY_VARIABLE: notifications.key}, optional=True)
        variables.append(found)
    config: dict[str, Any] = {
        "secretAsEnv": variables,
        "secretAsVolume": [
            {**_named(secret.name), "mountPath": secret.mount} for secret in secrets if secret.mount
        ],
        "podMetadata": {"labels": environment.labels} if environment.labels else {},
        "nodeSelector": {"labels": environment.node_selector} if environment.node_selector else {},
        "tolerations": [_given(toleration.model_dump()) for toleration in environment.tolerations],
        "emptyDirMounts": [{"volumeName": "tmp", "mountPath": "/tmp"}],
    }
    return _given(config)


def _secret_as_env(name: str, variables: Mapping[str, str], optional: bool = False) -> dict[str, Any]:
    keys = [{"secretKey": key, "envVar": variable} for variable, key in sorted(variables.items())]
    return {**_named(name), "keyToEnv": keys, **({"optional": True} if optional else {})}


def _named(secret: str) -> dict[str, Any]:
    """Return a secret's name, as backends before and after 2.5 look for it."""
    return {
        "secretName": secret,
        "secretNameParameter": {"runtimeValue": {"constant": secret}},
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}

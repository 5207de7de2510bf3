"""What the section `serving` of an environment file gives a rollout: the target, and where its logs are.

serving_arguments(project, environment, "taxi")
# {"serving_target": {"kind": "local", "folder": "…/.penstock/endpoints"}, "logs": …, "outcomes": …, …}
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.environment_models import Environment, Serving
from penstock.errors import UserError
from penstock.project import Project

SERVICE = "serving"  # the image
LOCAL, KUBERNETES, KSERVE, VERTEX = "local", "kubernetes", "kserve", "vertex"
EVERY_KIND = ("kind", "replicas", "logs", "outcomes")
OF_SERVERS = ("image", "service_account", "variables", "sources", "most_replicas")
OF_PODS = (*OF_SERVERS, "namespace", "options", "cpu", "memory", "memory_limit", "request_timeout_s")
OF_KIND = {  # what the settings of a target take (serving_targets/<kind>_settings.py, vertex_opening.py)
    LOCAL: (),
    KUBERNETES: (
        *OF_PODS,
        "secrets",
        "gateway",
        "gateway_namespace",
        "hostname",
        "session_cookie",
        "scratch",
        "cpu_target_percent",
        "drain_s",
        "start_limit_s",
    ),
    KSERVE: (*OF_PODS, "mode", "log_url", "log_mode", "service_port"),
    VERTEX: (
        *OF_SERVERS,
        "project",
        "region",
        "machine_type",
        "accelerator_type",
        "accelerator_count",
        "log_table",
        "log_sample",
        "dedicated",
        "api_endpoint",
        "start_limit_s",
    ),
}
OF_RUNS = ("deployer", "trial")  # on a cluster; not of a target
OF_A_TRIAL = (  # a pod that validate_serving makes (KubernetesSettings); whatever brings traffic to it is left out
    *OF_SERVERS,
    "secrets",
    "namespace",
    "options",
    "cpu",
    "memory",
    "memory_limit",
    "scratch",
    "request_timeout_s",
    "start_limit_s",
)
LOG_VARIABLE = "PENSTOCK_LOG_URI"  # what the prediction service reads
OF_A_ROLLOUT = ("serving_target", "logs", "outcomes", "endpoint", "replicas", "state_uri")


def kind_of(environment: Environment) -> str:
    """Return the kind of target; empty where nothing is served."""
    return environment.serving.kind or (LOCAL if environment.backend == "local" else "")


def account_of(environment: Environment, arguments: Mapping[str, Any]) -> str:
    """Return the service account of a run with these arguments: runs that deploy may need one that others must not have."""
    deploys = "serving_target" in arguments
    return (environment.serving.deployer if deploys else "") or environment.service_account


def serving_arguments(
    project: Project, environment: Environment, model: str, root: str = "", lock: Path | None = None
) -> dict[str, Any]:
    """Return the parameters of a rollout that the environment determines.

    Args:
        project: The project.
        environment: Where it goes.
        model: Name in the registry; the endpoint is called the same.
        root: The pipeline root, as steps reach it; empty on this machine.
        lock: The digests of the images; default: images.lock.json at the project's root.

    Raises:
        UserError: The environment serves nothing, or its serving image is not known.
    """
    serving = environment.serving
    target = serving_target(project, environment, lock)
    replicas = serving.replicas
    if target["kind"] == LOCAL:
        folder = project.state / "endpoints" / model
        replicas = max(replicas, _replicas_in_traffic(folder))
        logs = f"{serving.logs.rstrip('/')}/{model}" if serving.logs else str(folder / "requests")
        outcomes = str(folder / "outcomes") if (folder / "outcomes").is_dir() else ""
        state = str(folder / "rollout.sqlite")
    else:
        logs = f"{serving.logs.rstrip('/')}/{model}" if serving.logs else ""
        outcomes, state = "", f"{root.rstrip('/')}/rollouts/{model}.sqlite"
    if serving.outcomes:
        outcomes = f"{serving.outcomes.rstrip('/')}/{model}"
    return {
        "serving_target": target,
        "logs": logs,
        "outcomes": outcomes,
        "endpoint": "",
        "replicas": replicas,
        "state_uri": state,
    }


def serving_target(project: Project, environment: Environment, lock: Path | None = None) -> dict[str, Any]:
    """Return the target as steps take it (serving_targets/opening.py).

    Raises:
        UserError: The environment serves nothing, or its serving image is not known.
    """
    serving, kind = environment.serving, kind_of(environment)
    if not kind:
        raise UserError(
            f"the environment {environment.name} says nothing of serving: give manifests/environments/"
            f"{environment.name}.yaml a section `serving` (docs/environment_yaml.md)"
        )
    if kind == LOCAL:
        return {"kind": LOCAL, "folder": str(project.state / "endpoints")}
    if not serving.logs:
        raise UserError(
            f"serving.logs of the environment {environment.name} is empty: a rollout reads there how the versions do"
        )
    image = serving.image or _locked_image(project, environment, lock)
    target = _given(serving, OF_KIND[kind]) | {"kind": kind, "image": image}
    logs = serving.logs.rstrip("/")
    if kind == VERTEX:
        target |= {"project": serving.project or environment.project}
        target |= {"region": serving.region or environment.region}
        return target | {"variables": {**serving.variables, LOG_VARIABLE: logs}}
    return target | {
        "namespace": serving.namespace or environment.namespace,
        "options": [*serving.options, "--log-uri", logs],
    }


def _replicas_in_traffic(folder: Path) -> int:
    """Return how many processes a local version has that answers: one that may take its place needs as many."""
    from penstock.components.serving_targets.local_state import StateFile

    state = StateFile(folder).read()
    if state is None:
        return 0
    return max((state["versions"][version]["replicas"] for version in state["weights"]), default=0)


def tried_as_pod(environment: Environment) -> bool:
    """Tell whether validate_serving makes a pod there: where the target is the cluster that the steps run on."""
    on_cluster = environment.backend == "kfp" and kind_of(environment) in (KUBERNETES, KSERVE)
    return on_cluster and environment.serving.trial == "pod"


def serving_trial(project: Project, environment: Environment, lock: Path | None = None) -> dict[str, Any]:
    """Return how a model is tried before it is registered (validate_serving's `trial`); empty: as a process.

    Raises:
        UserError: The environment's serving image is not known.
    """
    if not tried_as_pod(environment):
        return {}
    serving = environment.serving
    image = serving.image or _locked_image(project, environment, lock)
    return _given(serving, OF_A_TRIAL) | {
        "image": image,
        "namespace": serving.namespace or environment.namespace,
    }


def _given(serving: Serving, keys: Sequence[str]) -> dict[str, Any]:
    """Return what an environment file says, or its defaults, without what is empty."""
    unset: tuple[Any, ...] = ("", None, [], {})
    given = serving.model_dump()
    return {key: given[key] for key in given if key in keys and given[key] not in unset}


def foreign_keys(serving: Serving, kind: str) -> list[str]:
    """Return the keys that were written and mean nothing for a kind."""
    known = (*EVERY_KIND, *OF_KIND[kind], *(OF_RUNS if kind in (KUBERNETES, KSERVE) else ()))
    return [key for key in Serving.model_fields if key in serving.model_fields_set and key not in known]


def _locked_image(project: Project, environment: Environment, lock: Path | None) -> str:
    from penstock.images.lock import lock_path, read_lock

    path = lock or lock_path(project)
    found = read_lock(path).images.get(SERVICE) if path.exists() else None
    if found is None:
        raise UserError(
            f"the serving image of the environment {environment.name} is not known: `make images ENV="
            f"{environment.name}` writes it into {path.name}, or name it with serving.image"
        )
    return found.reference

"""What the section `serving` of an environment file gives a rollout: the target, and where its logs are.

serving_arguments(project, environment, "taxi")
# {"serving_target": {"kind": "local", "folder": "…/.penstock/endpoints"}, "logs": …, "outcomes": …, …}
"""

from typing import Any

from penstock.environment_models import Environment, Serving
from penstock.errors import UserError
from penstock.project import Project

SERVICE = "serving"  # the image
LOCAL, KUBERNETES, VERTEX = "local", "kubernetes", "vertex"
EVERY_KIND = ("kind", "replicas", "logs", "outcomes")
ON_KUBERNETES = (
    "gateway",
    "gateway_namespace",
    "hostname",
    "service_account",
    "secrets",
    "variables",
    "sources",
    "cpu",
    "memory",
    "memory_limit",
    "most_replicas",
    "session_cookie",
)
ON_VERTEX = (
    "service_account",
    "variables",
    "most_replicas",
    "machine_type",
    "accelerator_type",
    "accelerator_count",
    "request_log_table",
)
KEYS = {
    LOCAL: EVERY_KIND,
    KUBERNETES: (*EVERY_KIND, "image", "namespace", *ON_KUBERNETES),
    VERTEX: (*EVERY_KIND, "image", *ON_VERTEX),
}
OF_A_ROLLOUT = ("serving_target", "logs", "outcomes", "endpoint", "replicas", "state_uri")


def kind_of(environment: Environment) -> str:
    """Return the kind of target; empty where nothing is served."""
    return environment.serving.kind or (LOCAL if environment.backend == "local" else "")


def serving_arguments(
    project: Project, environment: Environment, model: str, root: str = ""
) -> dict[str, Any]:
    """Return the parameters of a rollout that the environment determines.

    Args:
        project: The project.
        environment: Where it goes.
        model: Name in the registry; the endpoint is called the same.
        root: The pipeline root, as steps reach it; empty on this machine.

    Raises:
        UserError: The environment serves nothing, or its serving image is not known.
    """
    serving = environment.serving
    target = serving_target(project, environment)
    if target["kind"] == LOCAL:
        folder = project.state / "endpoints" / model
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
        "replicas": serving.replicas,
        "state_uri": state,
    }


def serving_target(project: Project, environment: Environment) -> dict[str, Any]:
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
    image = serving.image or _locked_image(project, environment)
    given = serving.model_dump()
    if kind == VERTEX:
        target = {
            "kind": VERTEX,
            "project": environment.project,
            "region": environment.region,
            "image": image,
        }
        return target | {key: given[key] for key in ON_VERTEX if given[key] not in ("", 0, {})}
    target = {"kind": KUBERNETES, "namespace": serving.namespace or environment.namespace, "image": image}
    target |= {key: given[key] for key in ON_KUBERNETES if given[key] not in ("", [], {})}
    return target | {"options": ["--log-uri", serving.logs.rstrip("/")]}


def foreign_keys(serving: Serving, kind: str) -> list[str]:
    """Return the keys that were written and mean nothing for a kind."""
    return [key for key in Serving.model_fields if key in serving.model_fields_set and key not in KEYS[kind]]


def _locked_image(project: Project, environment: Environment) -> str:
    from penstock.images.lock import lock_path, read_lock

    path = lock_path(project)
    found = read_lock(path).images.get(SERVICE) if path.exists() else None
    if found is None:
        raise UserError(
            f"the serving image of the environment {environment.name} is not known: `make images ENV="
            f"{environment.name}` writes it into {path.name}, or name it with serving.image"
        )
    return found.reference

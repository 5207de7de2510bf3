"""Applies the Kubernetes objects of an environment: server-side apply, then wait until they serve."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.kubernetes_access import api_client, kubernetes_errors
from penstock.project import Project

MANAGER = "penstock"  # who owns the fields that we set
SERVES_WITHIN_S = 180
UNPINNED = ":unpinned"


def apply_platform(project: Project, environment: Environment, dry_run: bool = False) -> Iterator[str]:
    """Apply the environment's manifests, and yield a line for each object.

    Raises:
        UserError: The file or an image is missing, the cluster refuses, or a deployment does not come up.
    """
    from kubernetes.dynamic import DynamicClient

    objects = read_manifests(project, environment)
    with kubernetes_errors(
        f"the cluster of {environment.name}", "set KUBECONFIG to one that may apply these manifests"
    ):
        client = DynamicClient(api_client())
    for one in objects:
        kind, name = one["kind"], one["metadata"]["name"]
        namespace = one["metadata"].get("namespace")
        with kubernetes_errors(
            f"{kind} {name}", f"correct {environment.platform} or ask for the right to apply it"
        ):
            resource = client.resources.get(api_version=one["apiVersion"], kind=kind)
            client.server_side_apply(
                resource,
                body=one,
                name=name,
                namespace=namespace,
                field_manager=MANAGER,
                force_conflicts=True,
                **({"dry_run": "All"} if dry_run else {}),
            )
        yield f"{'checked' if dry_run else 'applied'}  {kind} {name}"
    if dry_run:
        return
    for one in objects:
        if one["kind"] == "Deployment":
            _wait(client, one)
            yield f"serves   Deployment {one['metadata']['name']}"


def read_manifests(project: Project, environment: Environment) -> list[dict[str, Any]]:
    """Return the objects of the environment's manifests, its images by digest.

    Raises:
        UserError: The file is missing, or images.lock.json lacks an image.
    """
    path = project.root / environment.platform
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: correct `platform` in manifests/environments/{environment.name}.yaml"
        ) from None
    objects = [one for one in documents if one]
    for one in objects:
        _pin(one, project.root / "images.lock.json")
    return objects


def _pin(value: Any, lock_path: Path) -> None:
    """Replace every image penstock/<name>:unpinned under `value` by its digest."""
    if isinstance(value, list):
        for item in value:
            _pin(item, lock_path)
    elif isinstance(value, dict):
        image = value.get("image")
        if isinstance(image, str) and image.endswith(UNPINNED):
            from penstock.images.lock import read_lock

            name = image.removesuffix(UNPINNED).rpartition("/")[2]
            lock = read_lock(lock_path)
            if name not in lock.images:
                raise UserError(f"{lock_path} has no image {name!r}: run `make images`")
            value["image"] = lock.images[name].reference
        for item in value.values():
            _pin(item, lock_path)


def _wait(client: Any, declared: dict[str, Any]) -> None:
    """Wait until a deployment has rolled out."""
    name, namespace = declared["metadata"]["name"], declared["metadata"].get("namespace")
    deployments = client.resources.get(api_version="apps/v1", kind="Deployment")
    until = time.monotonic() + SERVES_WITHIN_S
    while time.monotonic() < until:
        found = deployments.get(name=name, namespace=namespace)
        status = found.status
        wanted = found.spec.replicas or 1
        if (
            status.observedGeneration == found.metadata.generation
            and (status.updatedReplicas or 0) >= wanted
            and (status.availableReplicas or 0) >= wanted
            and (status.replicas or 0) == wanted
        ):
            return
        time.sleep(1)
    raise UserError(
        f"the deployment {name} in the namespace {namespace} does not serve after {SERVES_WITHIN_S} s: "
        f"`kubectl -n {namespace} describe deployment {name}` tells why"
    )

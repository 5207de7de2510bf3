"""Registers a delivery with KFP: a pipeline by name, and one version of it for each content.

Names are the contents' hashes and KFP refuses a second version of the same name, so doing it again, or at the
same time as somebody else, finds what is there.
"""

from penstock.delivery import Delivery
from penstock.kfp_backend.client import API, ApiError, Backend, equals


def ensure_version(backend: Backend, delivery: Delivery) -> tuple[str, str]:
    """Return the ids of the pipeline and of the version that holds the delivery's text, made where needed.

    Raises:
        UserError: The API refuses, or cannot be reached.
    """
    pipeline_id = ensure_pipeline(backend, delivery.pipeline)
    found = find_version(backend, pipeline_id, delivery.version)
    if found:
        return pipeline_id, found
    doing = f"upload the pipeline {delivery.pipeline}"
    try:
        made = backend.upload(
            f"{API}/pipelines/upload_version",
            (f"{delivery.pipeline}.yaml", delivery.text.encode()),
            doing=doing,
            pipelineid=pipeline_id,
            name=delivery.version,
            description=f"environment {backend.environment.name}",
        )
        return pipeline_id, str(made["pipeline_version_id"])
    except ApiError as error:
        found = find_version(backend, pipeline_id, delivery.version)
        if not found:  # else somebody else was faster: it is the same content
            raise error
        return pipeline_id, found


def ensure_pipeline(backend: Backend, name: str) -> str:
    """Return the id of a pipeline, made where needed; raises as `ensure_version` does."""
    if found := find_pipeline(backend, name):
        return found
    body = {"display_name": name, **backend.in_namespace}
    try:
        return str(backend.post(f"{API}/pipelines", body, doing=f"make the pipeline {name}")["pipeline_id"])
    except ApiError as error:
        found = find_pipeline(backend, name)
        if not found:
            raise error
        return found


def find_pipeline(backend: Backend, name: str) -> str:
    """Return the id of the pipeline of that name; empty when there is none."""
    answer = backend.get(
        f"{API}/pipelines",
        doing=f"look for the pipeline {name}",
        filter=equals("display_name", name),
        **backend.in_namespace,
    )
    return next((str(one["pipeline_id"]) for one in answer.get("pipelines") or []), "")


def find_version(backend: Backend, pipeline_id: str, name: str) -> str:
    """Return the id of the version of that name; empty when there is none."""
    answer = backend.get(
        f"{API}/pipelines/{pipeline_id}/versions",
        doing=f"look for the version {name}",
        filter=equals("display_name", name),
    )
    return next((str(one["pipeline_version_id"]) for one in answer.get("pipeline_versions") or []), "")

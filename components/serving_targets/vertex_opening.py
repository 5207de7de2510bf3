"""Makes a Vertex AI target from the plain values of an environment file or a run's parameter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.components.serving_targets.plain_settings import read_plain
from penstock.components.serving_targets.vertex_calls import VertexPlace
from penstock.components.serving_targets.vertex_options import Machines, RequestLog, VertexOptions
from penstock.components.serving_targets.vertex_registry import Container
from penstock.components.serving_targets.vertex_target import VertexTarget
from penstock.components.step_io.errors import StepError

KIND = "vertex"


@dataclass(frozen=True)
class VertexSettings:
    """The keys of the section `serving` of an environment file for `kind: vertex`."""

    project: str
    region: str
    image: str  # the serving image in Artifact Registry, by digest
    variables: Mapping[str, str] = field(default_factory=dict)  # more of the container's environment
    sources: Mapping[str, str] = field(default_factory=dict)  # how URIs of the registry begin → gs://…
    machine_type: str = "n1-standard-2"
    accelerator_type: str = ""
    accelerator_count: int = 0
    most_replicas: int = 0  # 0: as many as a version asks for, no autoscaling
    service_account: str = ""
    start_limit_s: int = 600
    log_table: str = ""  # project.dataset.table for Vertex's request-response logging; empty: none
    log_sample: float = 1.0
    dedicated: bool = True
    api_endpoint: str = ""  # other than <region>-aiplatform.googleapis.com


def open_vertex(where: Mapping[str, Any], endpoint: str) -> VertexTarget:
    """Return an endpoint of Vertex AI.

    Args:
        where: `kind: vertex`, and the fields of VertexSettings.
        endpoint: Its name, which is its id on Vertex AI.

    Raises:
        StepError: A key or a value is wrong.
    """
    settings = read_plain(KIND, where, VertexSettings)
    if settings.log_table and settings.log_table.count(".") != 2:
        raise StepError(
            f"serving target {KIND}: log_table is {settings.log_table!r}, expected project.dataset.table"
        )
    if not 0 < settings.log_sample <= 1:
        raise StepError(
            f"serving target {KIND}: log_sample is {settings.log_sample:g}, expected a share above 0, to 1"
        )
    options = VertexOptions(
        container=Container(settings.image, dict(settings.variables), settings.start_limit_s),
        machines=Machines(
            settings.machine_type,
            settings.accelerator_type,
            settings.accelerator_count,
            settings.most_replicas,
            settings.service_account,
        ),
        request_log=RequestLog(settings.log_table, settings.log_sample) if settings.log_table else None,
        dedicated=settings.dedicated,
        sources=dict(settings.sources),
    )
    place = VertexPlace(settings.project, settings.region, settings.api_endpoint)
    return VertexTarget(endpoint, place, options)

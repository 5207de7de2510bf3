"""What an endpoint of Vertex AI is made with, and what its versions run on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.components.serving_targets.target import ModelVersion
from penstock.components.serving_targets.vertex_registry import Container


@dataclass(frozen=True)
class Machines:
    """What a deployed version runs on."""

    machine_type: str = "n1-standard-2"
    accelerator_type: str = ""
    accelerator_count: int = 0
    max_replicas: int = 0  # 0: as many as the version asks for, no autoscaling
    service_account: str = ""


@dataclass(frozen=True)
class RequestLog:
    """Vertex's own request-response logging to BigQuery."""

    table: str  # project.dataset.table
    sample: float = 1.0

    def config(self) -> dict[str, Any]:
        """Return a PredictRequestResponseLoggingConfig."""
        return {
            "enabled": True,
            "sampling_rate": self.sample,
            "bigquery_destination": {"output_uri": f"bq://{self.table.removeprefix('bq://')}"},
        }


@dataclass(frozen=True)
class VertexOptions:
    """How the endpoint is made and what versions run on."""

    container: Container
    machines: Machines = field(default_factory=Machines)
    request_log: RequestLog | None = None
    dedicated: bool = True  # an address of its own: other customers' traffic is no neighbour
    sources: Mapping[str, str] = field(
        default_factory=dict
    )  # how URIs of the registry begin → their place in Google Cloud Storage

    def readable(self, uri: str) -> str:
        """Return where Vertex AI reads a model folder."""
        for begin, place in self.sources.items():
            if uri.startswith(begin):
                return place + uri.removeprefix(begin)
        return uri

    def deployed_model(self, version: ModelVersion, model: str) -> dict[str, Any]:
        """Return the DeployedModel of a version; it is found again by its display name."""
        machines = self.machines
        machine: dict[str, Any] = {"machine_type": machines.machine_type}
        if machines.accelerator_type:
            machine |= {
                "accelerator_type": machines.accelerator_type,
                "accelerator_count": machines.accelerator_count or 1,
            }
        return {
            "model": model,
            "display_name": f"{version.model}@{version.version}",
            "service_account": machines.service_account,
            "dedicated_resources": {
                "machine_spec": machine,
                "min_replica_count": version.replicas,
                "max_replica_count": max(version.replicas, machines.max_replicas),
            },
        }

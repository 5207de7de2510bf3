"""What an Endpoint of Vertex AI (aiplatform_v1.Endpoint) says in terms of versions."""

from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.recent_changes import from_text
from penstock.components.serving_targets.target import Deployed, EndpointState

REVISION = "penstock-revision"  # label


def state_of(resource: Any, endpoint: str, host: str, folders: Mapping[str, str]) -> EndpointState:
    """Return the state that an Endpoint tells.

    Args:
        resource: aiplatform_v1.Endpoint.
        endpoint: Its name here.
        host: Where requests go when it has no address of its own.
        folders: Model folder by version, as far as it is known.
    """
    versions = {}
    for version, ones in sorted(by_version(resource).items()):
        versions[version] = Deployed(
            version=version,
            model=ones[0].display_name.rpartition("@")[0] or ones[0].display_name,
            uri=folders.get(version, ""),
            replicas=sum(one.dedicated_resources.min_replica_count or 1 for one in ones),
            ready=sum(ready_replicas(one) for one in ones),
            problem="; ".join(
                one.status.message for one in ones if one.status.message and not ready_replicas(one)
            ),
        )
    host = resource.dedicated_endpoint_dns or host
    return EndpointState(
        endpoint=endpoint,
        revision=revision_of(resource),
        versions=versions,
        weights=weights_of(resource),
        url=f"{'' if '://' in host else 'https://'}{host}/v1/{resource.name}:predict",
        running=any(one.ready for one in versions.values()),
    )


def by_version(resource: Any) -> dict[str, list[Any]]:
    """Return the DeployedModels by version; one that somebody else deployed counts under its own name."""
    found: dict[str, list[Any]] = {}
    for one in resource.deployed_models:
        found.setdefault(one.display_name.rpartition("@")[2] or one.id, []).append(one)
    return found


def weights_of(resource: Any) -> dict[str, int]:
    """Return the traffic split by version."""
    split = dict(resource.traffic_split)
    weights = {
        version: sum(split.get(one.id, 0) for one in ones) for version, ones in by_version(resource).items()
    }
    return {version: weight for version, weight in sorted(weights.items()) if weight}


def ready_replicas(deployed: Any) -> int:
    """Return how many replicas of a DeployedModel answer.

    It is listed once its deployment succeeded; the API tells a number only of some machines.
    """
    if deployed.status.last_update_time or deployed.status.message:
        return int(deployed.status.available_replica_count)
    return int(deployed.dedicated_resources.min_replica_count or 1)


def revision_of(resource: Any) -> int:
    """Return the number of the last change that somebody asked for; 0 for an endpoint that we did not make."""
    text = resource.labels.get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def last_change(resource: Any) -> str:
    """Return who changed it last, as people read it."""
    changes = from_text(resource.description)
    return f"{changes[-1].action} by {changes[-1].by} at {changes[-1].time[:19]}Z" if changes else "none"

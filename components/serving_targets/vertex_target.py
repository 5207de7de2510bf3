"""The Vertex AI target: versions from the Model Registry on one Endpoint, with a traffic split between them.

Vertex names what an endpoint serves by numbers (DeployedModel ids). Here a version is found by the display name
that its deployment gave it, `<model>@<version>`, so that a traffic split is made of versions alone.

The revision is a label of the Endpoint and the latest changes are its description; both are written in the
update that makes a change, under the Endpoint's etag. Of two concurrent shifts one wins.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.components.serving_targets.local_state import now, whoever
from penstock.components.serving_targets.recent_changes import as_text, from_text, listed, shown
from penstock.components.serving_targets.target import (
    Change,
    Conflict,
    Deployed,
    EndpointState,
    ModelVersion,
    Shadow,
    check_weights,
)
from penstock.components.serving_targets.vertex_calls import (
    VertexCalls,
    VertexPlace,
    changed_in_between,
    conflict,
)
from penstock.components.serving_targets.vertex_endpoint import (
    REVISION,
    by_version,
    last_change,
    ready_replicas,
    revision_of,
    state_of,
    weights_of,
)
from penstock.components.serving_targets.vertex_options import VertexOptions
from penstock.components.serving_targets.vertex_registry import VertexRegistry, model_id
from penstock.components.step_io.errors import StepError

LONGEST_HISTORY = 4000  # characters of the description
WAIT_S = 1800.0
RECORD_ATTEMPTS = 5


class VertexTarget:
    """One endpoint of Vertex AI."""

    def __init__(self, endpoint: str, place: VertexPlace, options: VertexOptions) -> None:
        if endpoint != model_id(endpoint) or "_" in endpoint or endpoint.endswith("-"):
            raise StepError(
                f"endpoint {endpoint!r} cannot be made on Vertex AI: 1 to 63 of a-z, 0-9 and '-', a letter first, "
                "no '-' at the end"
            )
        self.endpoint = endpoint
        self.place = place
        self.options = options
        self.calls = VertexCalls(place)
        self.registry = VertexRegistry(self.calls, options.container)
        self.name = f"{place.parent}/endpoints/{endpoint}"

    def deploy(self, version: ModelVersion, wait_s: float = WAIT_S, by: str = "", why: str = "") -> None:
        """Bring a version up beside what is there; it has no traffic when this returns.

        An earlier call that was interrupted is ended: its upload or deployment is awaited, not done twice.

        Raises:
            StepError: It cannot be uploaded or deployed, or is not done in time.
        """
        deadline = time.monotonic() + wait_s
        version = replace(version, uri=self.options.readable(version.uri))
        doing = f"deploying {version.model} version {version.version} to the endpoint {self.endpoint}"
        resource = self._ensure_endpoint(deadline)
        deployed = self._deployed(resource, version)
        if not deployed:
            model = self.registry.ensure(version, deadline)
            if self.calls.end_running(self.name, doing, deadline):
                resource = self._get()
                deployed = self._deployed(resource, version)
        if deployed:
            self._scale(resource, version, deadline)
        else:
            with self.calls.told(doing):
                operation = self.calls.endpoints.deploy_model(
                    endpoint=self.name, deployed_model=self.options.deployed_model(version, model)
                ).operation
            self.calls.wait(operation, doing, deadline)
        self._record("deploy", version.version, True, by, why)

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = "", why: str = ""
    ) -> None:
        """Divide the traffic anew, in percent; see Target.shift.

        Raises:
            Conflict: Somebody else changed the endpoint since `revision`, or meanwhile.
            StepError: The weights are wrong, or a version is not ready.
        """
        resource = self._get()
        before = self._state(resource)
        if revision is not None and before.revision != revision:
            raise conflict(self.endpoint, before.revision, revision, last_change(resource))
        wanted = check_weights(weights, before.versions, f"the endpoint {self.endpoint}")
        for version in wanted:
            if not before.versions[version].ready:
                raise StepError(
                    f"version {version} on the endpoint {self.endpoint} is not ready "
                    f"({before.versions[version].problem or 'no replica answers'}): traffic stays as it is"
                )
        if wanted == before.weights:
            return
        ids = {
            name: min(ones, key=lambda one: not ready_replicas(one)).id
            for name, ones in by_version(resource).items()
        }
        resource.traffic_split = {ids[version]: weight for version, weight in wanted.items()}
        self._update(resource, "shift", before, by, why, ["traffic_split"])

    def mirror(self, shadow: Shadow | None, by: str = "", why: str = "") -> None:
        """Refuse: endpoints of Vertex AI have no mirroring."""
        if shadow is not None:
            raise StepError(
                f"the endpoint {self.endpoint} cannot mirror traffic to version {shadow.version}: Vertex AI has no "
                "shadow traffic, use the local or kubernetes target, or replay logged requests with predict_batch"
            )

    def undeploy(self, version: str, by: str = "", why: str = "", wait_s: float = WAIT_S) -> None:
        """Take a version away; refused while it has traffic. It stays in the Model Registry."""
        deadline = time.monotonic() + wait_s
        doing = f"undeploying version {version} from the endpoint {self.endpoint}"
        resource = self._find()
        if resource is None:
            return
        ones = by_version(resource).get(version, [])
        if ones and (weight := weights_of(resource).get(version)):
            raise StepError(
                f"version {version} has {weight} % of the traffic of the endpoint {self.endpoint}: shift it away first"
            )
        if ones and self.calls.end_running(self.name, doing, deadline):
            ones = by_version(self._get()).get(version, [])
        for one in ones:
            with self.calls.told(doing):
                operation = self.calls.endpoints.undeploy_model(
                    {"endpoint": self.name, "deployed_model_id": one.id}
                ).operation
            self.calls.wait(operation, doing, deadline)
        self._record("undeploy", version, False, by, why)

    def state(self) -> EndpointState:
        """Return how things are now, with each version's folder from the Model Registry.

        An endpoint that was never deployed to is at revision 0.
        """
        resource = self._find()
        if resource is None:
            return EndpointState(self.endpoint, 0)
        return self._state(resource, self._folders(resource))

    def history(self) -> list[Change]:
        """Return the latest changes, the oldest first; the endpoint's description has room for some."""
        resource = self._find()
        return from_text(resource.description) if resource is not None else []

    def _ensure_endpoint(self, deadline: float) -> Any:
        doing = f"making the endpoint {self.endpoint}"
        found = self._find()
        if found is None and self.calls.end_running(self.name, doing, deadline):
            found = self._find()
        if found is None:
            endpoint: dict[str, Any] = {
                "display_name": self.endpoint,
                "labels": {"managed-by": "penstock", REVISION: "0"},
                "dedicated_endpoint_enabled": self.options.dedicated,
            }
            if self.options.request_log:
                endpoint["predict_request_response_logging_config"] = self.options.request_log.config()
            with self.calls.told(doing):
                operation = self.calls.endpoints.create_endpoint(
                    {"parent": self.place.parent, "endpoint": endpoint, "endpoint_id": self.endpoint}
                ).operation
            self.calls.wait(operation, doing, deadline)
            return self._get()
        self._ensure_request_log(found)
        return found

    def _ensure_request_log(self, resource: Any) -> None:
        if self.options.request_log is None:
            return
        from google.cloud.aiplatform_v1 import types

        wanted = types.PredictRequestResponseLoggingConfig(self.options.request_log.config())
        if resource.predict_request_response_logging_config == wanted:
            return
        resource.predict_request_response_logging_config = wanted
        with self.calls.told(f"turning on request logging of the endpoint {self.endpoint}"):
            self.calls.endpoints.update_endpoint(
                {
                    "endpoint": resource,
                    "update_mask": {"paths": ["predict_request_response_logging_config"]},
                }
            )

    def _deployed(self, resource: Any, version: ModelVersion) -> bool:
        """Tell whether a version is on the endpoint."""
        names = [one.display_name for one in by_version(resource).get(version.version, [])]
        if not names:
            return False
        if set(names) != {f"{version.model}@{version.version}"}:
            raise StepError(
                f"the endpoint {self.endpoint} has a version {version.version} already ({names[0]!r}), which is no "
                f"version of {version.model}: undeploy it, or take another endpoint"
            )
        folder = self._folders(resource).get(version.version, "")
        if folder and folder.rstrip("/") != version.uri.rstrip("/"):
            raise StepError(
                f"the endpoint {self.endpoint} serves version {version.version} from {folder}, not {version.uri}: "
                "undeploy it first, or register the model as a new version"
            )
        return True

    def _scale(self, resource: Any, version: ModelVersion, deadline: float) -> None:
        """Give a version that is deployed the replicas that it shall have."""
        wanted = self.options.deployed_model(version, "")["dedicated_resources"]
        numbers = {name: wanted[name] for name in ("min_replica_count", "max_replica_count")}
        doing = f"giving {version.model} version {version.version} {version.replicas} replicas"
        for one in by_version(resource)[version.version]:
            has = one.dedicated_resources
            if (has.min_replica_count, has.max_replica_count) == tuple(numbers.values()):
                continue
            request = {
                "endpoint": self.name,
                "deployed_model": {"id": one.id, "dedicated_resources": numbers},
                "update_mask": {"paths": [f"dedicated_resources.{name}" for name in numbers]},
            }
            with self.calls.told(doing):
                operation = self.calls.endpoints.mutate_deployed_model(request).operation
            self.calls.wait(operation, doing, deadline)

    def _folders(self, resource: Any) -> dict[str, str]:
        """Return the model folder by version, as the Model Registry has it."""
        folders = {}
        for version, ones in by_version(resource).items():
            number = f"@{ones[0].model_version_id}" if ones[0].model_version_id else ""
            model = self.registry.get(f"{ones[0].model.partition('@')[0]}{number}") if ones[0].model else None
            folders[version] = model.artifact_uri if model is not None else ""
        return folders

    def _state(self, resource: Any, folders: Mapping[str, str] | None = None) -> EndpointState:
        return state_of(resource, self.endpoint, self.place.host, folders or {})

    def _record(self, action: str, version: str, present: bool, by: str, why: str) -> None:
        """Write a change that an operation made into the history, unless it is there."""
        for attempt in range(1, RECORD_ATTEMPTS + 1):
            resource = self._get()
            if listed(from_text(resource.description), version) == present:
                return
            state = self._state(resource)
            before = {name: one for name, one in state.versions.items() if name != version}
            if not present:
                before[version] = Deployed(version, "", "", 0)
            try:
                self._update(resource, action, replace(state, versions=before), by, why, [])
                return
            except Conflict:
                if attempt == RECORD_ATTEMPTS:
                    raise

    def _update(
        self, resource: Any, action: str, before: EndpointState, by: str, why: str, fields: list[str]
    ) -> None:
        """Write the resource's fields, its next revision and the line of history, if nobody was faster."""
        from google.api_core import exceptions

        revision = revision_of(resource) + 1
        change = Change(
            revision=revision,
            time=now(),
            action=action,
            by=by or whoever(),
            why=why,
            before=shown(before),
            after=shown(self._state(resource)),
        )
        resource.labels[REVISION] = str(revision)
        resource.description = as_text([*from_text(resource.description), change], LONGEST_HISTORY)
        with self.calls.told(f"changing the endpoint {self.endpoint}"):
            try:
                self.calls.endpoints.update_endpoint(
                    {"endpoint": resource, "update_mask": {"paths": [*fields, "labels", "description"]}}
                )
            except exceptions.GoogleAPICallError as error:
                if changed_in_between(error):
                    newest = self._get()
                    raise conflict(
                        self.endpoint, revision_of(newest), revision - 1, last_change(newest)
                    ) from error
                raise

    def _find(self) -> Any | None:
        return self.calls.found(
            lambda: self.calls.endpoints.get_endpoint(name=self.name),
            f"looking for the endpoint {self.endpoint}",
        )

    def _get(self) -> Any:
        resource = self._find()
        if resource is None:
            raise StepError(
                f"there is no endpoint {self.endpoint!r} in project {self.place.project!r}, region "
                f"{self.place.region}: deploying a version makes it, unless somebody deleted it"
            )
        return resource

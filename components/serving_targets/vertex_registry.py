"""A model version in the Vertex AI Model Registry: the model folder, and the serving image that reads it.

A model of ours is one Model resource with an id made of its name; each version has an alias made of its own
(version 3 → `v3`), so that it is found without Vertex's numbers. What exactly it is stands in its container's
environment, because labels and aliases allow few characters.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from penstock.components.serving_targets.target import ModelVersion, check_name
from penstock.components.serving_targets.vertex_calls import VertexCalls
from penstock.components.step_io.errors import StepError

HTTP_PORT = 8080
MAX_BODY_BYTES = 1_500_000  # Vertex's own limit of a request
NAME_VARIABLE, VERSION_VARIABLE = "PENSTOCK_MODEL_NAME", "PENSTOCK_MODEL_VERSION"


@dataclass(frozen=True)
class Container:
    """The image that serves, as Vertex AI starts it."""

    image: str  # in Artifact Registry, by digest
    env: dict[str, str] = field(default_factory=dict)
    startup_s: int = 600  # how long it may take until it is ready

    def spec(self, version: ModelVersion) -> dict[str, Any]:
        """Return a ModelContainerSpec; Vertex makes the AIP_… variables of it.

        https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
        """
        health = f"/v2/models/{version.model}/ready"
        env = {
            "PENSTOCK_GRPC_PORT": "0",  # Vertex would take REST only
            "PENSTOCK_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            **self.env,
            NAME_VARIABLE: version.model,
            VERSION_VARIABLE: version.version,
        }
        probe = {"http_get": {"path": health, "port": HTTP_PORT}, "period_seconds": 5}
        return {
            "image_uri": self.image,
            "command": ["python", "-m", "penstock.components.prediction_service.server"],
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "ports": [{"container_port": HTTP_PORT}],
            "predict_route": f"/v1/models/{version.model}:predict",
            "health_route": health,
            "startup_probe": probe | {"failure_threshold": max(1, self.startup_s // 5)},
        }


class VertexRegistry:
    """Uploads versions, once each, and finds them again."""

    def __init__(self, calls: VertexCalls, container: Container) -> None:
        self.calls = calls
        self.container = container

    def ensure(self, version: ModelVersion, deadline: float) -> str:
        """Return the resource name of a version, with its number, after uploading it where needed.

        Raises:
            StepError: It is there with other content, its name is taken, or it cannot be uploaded.
        """
        check_name("model", version.model)
        check_name("version", version.version)
        if not version.uri.startswith("gs://"):
            raise StepError(
                f"{version.model} version {version.version} is at {version.uri!r}: Vertex AI reads models from "
                "gs:// only"
            )
        doing = f"uploading {version.model} version {version.version} to the Model Registry"
        parent = f"{self.calls.place.parent}/models/{model_id(version.model)}"
        found = self.find(version)
        if found is None and self.calls.end_running(parent, doing, deadline):
            found = self.find(version)
        if found is None:
            self._upload(version, parent, doing, deadline)
            found = self.find(version)
        if found is None:
            raise StepError(
                f"{doing}: Vertex AI said done, yet there is no {parent}@{alias(version.version)}"
            )
        self._check_same(version, found)
        return f"{_plain(found.name)}@{found.version_id}"

    def find(self, version: ModelVersion) -> Any | None:
        """Return the Model of a version (aiplatform_v1.Model); None when there is none."""
        name = f"{self.calls.place.parent}/models/{model_id(version.model)}@{alias(version.version)}"
        return self.get(name)

    def get(self, name: str) -> Any | None:
        """Return a Model by its resource name; None when there is none."""
        return self.calls.found(lambda: self.calls.models.get_model(name=name), f"looking for {name}")

    def _upload(self, version: ModelVersion, parent: str, doing: str, deadline: float) -> None:
        first = self.get(parent) is None
        model = {
            "display_name": version.model,
            "artifact_uri": version.uri,
            "container_spec": self.container.spec(version),
            "version_aliases": [alias(version.version)],
            "version_description": f"{version.model} version {version.version}, from Penstock",
            "labels": {"managed-by": "penstock"},
        }
        request = {"parent": self.calls.place.parent, "model": model}
        request |= {"model_id": model_id(version.model)} if first else {"parent_model": parent}
        with self.calls.told(doing):
            operation = self.calls.models.upload_model(request).operation
        self.calls.wait(operation, doing, deadline)

    def _check_same(self, version: ModelVersion, found: Any) -> None:
        where = f"{version.model} version {version.version} is in the Model Registry"
        if (it := (name_of(found), version_of(found))) != (version.model, version.version):
            raise StepError(
                f"the name is taken: {_plain(found.name)}@{alias(version.version)} is {it[0] or found.display_name!r} "
                f"version {it[1] or '?'}: give the model another name"
            )
        if found.artifact_uri.rstrip("/") != version.uri.rstrip("/"):
            raise StepError(
                f"{where} with the folder {found.artifact_uri}, not {version.uri}: a version never changes there, "
                "register the model as a new version"
            )
        if found.container_spec.image_uri != self.container.image:
            raise StepError(
                f"{where} with the image {found.container_spec.image_uri}, not {self.container.image}: a version "
                "never changes there, register the model as a new version, or delete that one"
            )


def model_id(model: str) -> str:
    """Return the id of a Model resource: a-z, 0-9, '-' and '_', a letter first, at most 63 characters.

    >>> model_id("Taxi.NYC")
    'taxi-nyc'
    """
    plain = re.sub(r"[^a-z0-9_-]", "-", model.lower())
    return (plain if plain[0].isalpha() else f"m-{plain}")[:63]


def alias(version: str) -> str:
    """Return the alias of a version: a-z, 0-9 and '-', a letter first.

    >>> alias("3"), alias("2024.1")
    ('v3', 'v2024-1')
    """
    return "v" + re.sub(r"[^a-z0-9-]", "-", version.lower())


def name_of(model: Any) -> str:
    """Return the name under which a Model serves; empty when it is not one of ours."""
    return _variable(model, NAME_VARIABLE)


def version_of(model: Any) -> str:
    """Return the version as which a Model serves; empty when it is not one of ours."""
    return _variable(model, VERSION_VARIABLE)


def _variable(model: Any, name: str) -> str:
    return next((one.value for one in model.container_spec.env if one.name == name), "")


def _plain(name: str) -> str:
    return name.partition("@")[0]

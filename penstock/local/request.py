"""What to run: a pipeline, an app, and the values of the pipeline's parameters that follow from them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors import UserError
from penstock.project import Project

if TYPE_CHECKING:
    from penstock.environment_models import Environment

PROCESS, DOCKER = RUNNERS = ("process", "docker")


@dataclass(frozen=True)
class Request:
    """What to run."""

    project: Project
    pipeline: str
    app: str  # name or path
    overrides: Sequence[str] = ()  # key=value
    force: bool = False
    read_cache: bool = True
    command: str = ""
    runner: str = PROCESS
    memory: str = ""  # with docker: the memory limit of every step, instead of those in images.yaml


def pipeline_arguments(
    request: Request, environment: "Environment", ir: dict[str, Any], version: str
) -> tuple[str, dict[str, Any]]:
    """Return the app's name and the values of the pipeline's parameters.

    Args:
        request: What to run.
        environment: That of this machine; its `parameters` count below the overrides.
        ir: The pinned IR.
        version: That of the code.

    Raises:
        UserError: app.yaml or a setting is wrong, or a parameter has no value.
    """
    from penstock.app_config import load_app
    from penstock.app_files import app_version, publish
    from penstock.app_overrides import defaults_for
    from penstock.serving_environment import serving_arguments

    project = request.project
    defaults = defaults_for(environment.parameters, request.pipeline)
    app = load_app(project, request.app).with_overrides(defaults, request.pipeline)
    settings = app.arguments(request.overrides, request.pipeline)
    published = publish(app.folder, project.state, app.name, app.config.schema_file)
    declared = ir["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: value for name, value in settings.items() if name in declared and value is not None}
    filled: dict[str, Any] = {
        "app_uri": published.app_uri,
        "schema_uri": published.schema_uri,
        "code_uri": published.code_uri,
        "app_version": app_version(published, values),
        "code_version": version,
        "registry_uri": os.environ.get("MLFLOW_TRACKING_URI")
        or environment.registry_uri
        or project.registry_uri,
        "checkpoint_uri": str(project.state / "checkpoints"),
        "force": request.force,
    }
    if "serving_target" in declared:
        filled |= serving_arguments(project, environment, str(settings["model_name"]))
    values |= {name: value for name, value in filled.items() if name in declared}
    missing = sorted(
        name
        for name, spec in declared.items()
        if name not in values and "defaultValue" not in spec and not spec.get("isOptional")
    )
    if missing:
        raise UserError(
            f"the pipeline {request.pipeline!r} has no value for {', '.join(missing)}: "
            f"write it into {app.settings_path} or give it with --set"
        )
    return app.name, values

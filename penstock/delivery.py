"""What is sent to a backend for a pipeline, an app and an environment: the same input gives the same delivery.

    delivery = deliver(project, environment, "training", "taxi", ["seed=1"])
    delivery.text       # the uploaded copy: images by digest, variables, and the platform's document
    delivery.version    # its hash, which names the pipeline version
    delivery.arguments  # of the run, checked against the IR
    delivery.run_name   # named by the content and the arguments

All is checked before anything is sent.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.ir_tasks import all_tasks
from penstock.pipeline_root import Folder, PipelineRoot, for_steps
from penstock.project import Project
from penstock.serving_environment import account_of, serving_arguments, serving_trial

DIGITS = 16  # of a SHA-256, in hexadecimal
LOCK = "images.lock.json"


@dataclass(frozen=True)
class Delivery:
    """What is sent."""

    pipeline: str
    app: str
    ir: dict[str, Any]
    text: str
    version: str
    arguments: dict[str, Any]
    run_name: str
    folders: list[Folder] = field(default_factory=list)  # that the run reads, of the app and its data

    def publish(self) -> list[Folder]:
        """Upload the folders that are not there yet; return those.

        Raises:
            UserError: The pipeline root cannot be written to.
        """
        return [folder for folder in self.folders if folder.upload()]


def deliver(
    project: Project,
    environment: Environment,
    pipeline: str,
    app: str,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    cache: bool = True,
    lock_path: Path | None = None,
    force: bool = False,
    publish: bool = True,
) -> Delivery:
    """Return what to send for an app, after checking it.

    Args:
        project: The project.
        environment: Where it goes; its `parameters` count below `overrides`.
        pipeline: Name of a file in pipelines/.
        app: Name or path of the app.
        overrides: `--set` values, as "key=value" or by key.
        cache: False turns the caching of every task off, in the uploaded copy.
        lock_path: The digests of the images; default: images.lock.json at the project's root.
        force: Train even when nothing has changed.
        publish: Upload the app and its local data, too.

    Raises:
        UserError: Anything is wrong with the app, the arguments, the lock or the pipeline root.
    """
    from penstock.app_config import load_app
    from penstock.app_files import app_version, plan_publication
    from penstock.app_overrides import defaults_for
    from penstock.argument_checks import check_arguments
    from penstock.compile_pipeline import compile_pipeline
    from penstock.published_data import plan_source
    from penstock.versions import Images, code_version, pin

    root = PipelineRoot(environment)
    compiled = compile_pipeline(pipeline, project)
    found = load_app(project, app).with_overrides(defaults_for(environment.parameters, pipeline), pipeline)
    settings = found.arguments(overrides, pipeline)
    declared = compiled["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: value for name, value in settings.items() if name in declared and value is not None}
    published, folders = plan_publication(found.folder, root, found.name, found.config.schema_file)
    if "source" in values and (
        local := plan_source(values["source"], str(values.get("format", "auto")), found.name, root)
    ):
        values["source"] = local.source
        folders.append(local.folder)
    images = Images(project)
    version = code_version(pin(compiled, images)[0])
    filled: dict[str, Any] = {
        "app_uri": published.app_uri,
        "schema_uri": published.schema_uri,
        "code_uri": published.code_uri,
        "app_version": app_version(published, values),
        "code_version": version,
        "registry_uri": environment.registry_uri,
        "checkpoint_uri": f"{for_steps(root.uri)}/checkpoints",
        "force": force,
    }
    if "serving_target" in declared:
        filled |= serving_arguments(
            project, environment, str(settings["model_name"]), for_steps(root.uri), lock_path
        )
    if "serving_trial" in declared:
        filled["serving_trial"] = serving_trial(project, environment, lock_path)
    values |= {name: value for name, value in filled.items() if name in declared}
    check_arguments(compiled, values, pipeline)

    ir, text = delivered_ir(
        project, environment, compiled, version, cache=cache, lock_path=lock_path or project.root / LOCK
    )
    content = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    delivery = Delivery(
        pipeline=pipeline,
        app=found.name,
        ir=ir,
        text=text,
        version=content,
        arguments=values,
        run_name=f"{pipeline}-{found.name}-{_run_hash(environment, content, values)}",
        folders=folders,
    )
    if publish:
        delivery.publish()
    return delivery


def delivered_ir(
    project: Project,
    environment: Environment,
    compiled: Mapping[str, Any],
    version: str,
    *,
    cache: bool,
    lock_path: Path,
) -> tuple[dict[str, Any], str]:
    """Return the IR as the environment gets it, and the text that is uploaded.

    Raises:
        UserError: The lock is missing or stale, or a secret is for no step.
    """
    from penstock.images.lock import apply_lock, read_lock
    from penstock.images.resources import apply_resources
    from penstock.platform_spec import (
        check_secrets,
        platform_spec,
        steps_of,
        with_names_of_importers,
        with_variables,
    )
    from penstock.versions import Images

    images = Images(project)
    steps = steps_of(compiled)
    check_secrets(environment, images.stacks)
    ir = apply_lock(apply_resources(dict(compiled), project), read_lock(lock_path), images)
    ir = with_variables(ir, environment, steps, version)
    if not cache:
        ir = without_cache(ir)
    documents = [ir]
    if environment.backend == "kfp":
        ir = with_names_of_importers(ir)
        documents = [ir, platform_spec(environment, steps)]
    return ir, to_yaml(documents)


def without_cache(ir: Mapping[str, Any]) -> dict[str, Any]:
    """Return the IR with caching off for every task: a backend's own switch reaches the outermost tasks only."""
    changed = copy.deepcopy(dict(ir))
    for _, task in all_tasks(changed):
        task["cachingOptions"] = {}
    return changed


def to_yaml(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return documents as YAML, the same bytes for the same content."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True  # what is said twice is written twice, for who reads a difference

    return yaml.dump_all([dict(one) for one in documents], Dumper=Dumper, sort_keys=True, allow_unicode=True)


def _run_hash(environment: Environment, version: str, arguments: Mapping[str, Any]) -> str:
    """Return the hash of all that a run is made of."""
    made_of = {
        "version": version,
        "arguments": arguments,
        "pipeline_root": environment.pipeline_root,
        "service_account": account_of(environment, arguments),
    }
    text = json.dumps(made_of, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def check_backend(environment: Environment) -> None:
    """Refuse an environment that is no cluster of KFP.

    Raises:
        UserError: Its backend is local or vertex.
    """
    if environment.backend == "local":
        raise UserError(f"the environment {environment.name} is this machine: `penstock run` runs there")
    if environment.backend == "vertex":
        raise UserError(
            f"the environment {environment.name} is on Vertex AI Pipelines, with which this version does not speak yet"
        )

"""Compiles pipelines/*.py into the IR that a laptop, KFP and Vertex AI Pipelines all run.

The reviewed IR lies under pipelines/compiled/. It is one YAML document, the same bytes on every machine,
and valid against the PipelineSpec proto.
"""

import importlib
import sys
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent


def import_kfp() -> None:
    """Import kfp without its API client, which takes three quarters of the import's time.

    The compiler, components, dsl and local work without it. Where the client is wanted, import it first.
    """
    if "kfp" not in sys.modules:
        stub = types.ModuleType("kfp.client")
        stub.Client = None  # type: ignore[attr-defined]
        sys.modules["kfp.client"] = stub
    importlib.import_module("kfp")


def pipeline_names(project: Project) -> list[str]:
    """Return the names of the project's pipelines, sorted: the files pipelines/<name>.py."""
    return sorted(path.stem for path in (project.root / "pipelines").glob("*.py") if path.stem != "__init__")


def compile_pipeline(name: str, project: Project) -> dict[str, Any]:
    """Return the IR of a pipeline (PipelineSpec as JSON fields), in memory.

    Raises:
        UserError: There is no such pipeline, or it does not compile.
    """
    from google.protobuf import json_format

    return json_format.MessageToDict(_load(name, project).pipeline_spec)


def compile_to_text(name: str, project: Project) -> str:
    """Return the text of pipelines/compiled/<name>.yaml.

    Raises:
        UserError: There is no such pipeline, or it does not compile.
    """
    component = _load(name, project)
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        compiler.Compiler().compile(component, str(path))
        text = path.read_text(encoding="utf-8")
    check_ir(text, f"pipelines/{name}.py")
    return text


def compiled_path(name: str, project: Project) -> Path:
    """Return the place of a pipeline's reviewed IR."""
    return project.root / "pipelines" / "compiled" / f"{name}.yaml"


def check_ir(text: str, origin: str) -> dict[str, Any]:
    """Return the IR, after checking it against the PipelineSpec proto.

    Raises:
        UserError: It is not one document, or no valid PipelineSpec.
    """
    import yaml
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    documents = list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    if len(documents) != 1:
        raise UserError(
            f"{origin} compiles to {len(documents)} YAML documents, Vertex AI takes one: "
            "put what is platform-specific into the environment file, not into the pipeline"
        )
    try:
        json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise UserError(f"{origin} compiles to an invalid PipelineSpec: {error}") from error
    return documents[0]


def _load(name: str, project: Project) -> "BaseComponent":
    """Return the function `name` of pipelines/<name>.py as kfp's decorator left it."""
    names = pipeline_names(project)
    if name not in names:
        raise UserError(
            f"{name!r} is no pipeline of {project.root / 'pipelines'}{did_you_mean(name, names)} "
            f"(there are: {', '.join(names)})"
        )
    import_kfp()
    module = importlib.import_module(f"penstock.pipelines.{name}")
    pipeline = getattr(module, name, None)
    if not hasattr(pipeline, "pipeline_spec"):
        raise UserError(
            f"pipelines/{name}.py defines no pipeline {name!r}: give the @dsl.pipeline function that name"
        )
    return pipeline

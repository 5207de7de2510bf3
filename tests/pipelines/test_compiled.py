"""The reviewed IR: current, valid everywhere, cached where that is true."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from penstock.app_overrides import FROM_THE_RUNNER, PARAMETERS
from penstock.compile_pipeline import (
    check_ir,
    compile_pipeline,
    compile_to_text,
    compiled_path,
    pipeline_names,
)
from penstock.errors import UserError
from penstock.local.runner import without_retries
from penstock.project import find_project
from penstock.signature import read_signature

PROJECT = find_project(Path(__file__).parent)
PIPELINES = pipeline_names(PROJECT)
NEVER_CACHED = {
    "inspect-source",
    "resolve-champion",
    "register-model",
    "deploy-model",
    "analyze-rollout",
    "shift-traffic",
    "notify",
}
ARTIFACT_TYPES = {
    "system.Artifact",
    "system.ClassificationMetrics",
    "system.Dataset",
    "system.HTML",
    "system.Markdown",
    "system.Metrics",
    "system.Model",
}


@pytest.fixture(scope="module", params=PIPELINES)
def ir(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the reviewed IR of each pipeline."""
    loaded: dict[str, Any] = yaml.safe_load(compiled_path(request.param, PROJECT).read_text())
    return loaded


def tasks_of(ir: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return all tasks that run a step, by name."""
    groups = [ir["root"], *ir["components"].values()]
    tasks = {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}
    return {name: task for name, task in tasks.items() if "container" in executor_of(ir, task)}


def executor_of(ir: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """Return what a task runs; {} for a group."""
    label = ir["components"][task["componentRef"]["name"]].get("executorLabel", "")
    executor: dict[str, Any] = ir["deploymentSpec"]["executors"].get(label, {})
    return executor


@pytest.mark.parametrize("name", PIPELINES)
def test_reviewed_ir_is_what_the_source_compiles_to(name: str) -> None:
    current = compiled_path(name, PROJECT).read_text() == compile_to_text(name, PROJECT)
    assert current, f"pipelines/compiled/{name}.yaml is stale: run `make compile`, review, commit"


@pytest.mark.parametrize("name", PIPELINES)
def test_two_compilations_give_the_same_bytes(name: str) -> None:
    assert compile_to_text(name, PROJECT) == compile_to_text(name, PROJECT)


@pytest.mark.parametrize("name", PIPELINES)
def test_ir_in_memory_is_the_reviewed_one(name: str) -> None:
    assert compile_pipeline(name, PROJECT) == yaml.safe_load(compiled_path(name, PROJECT).read_text())


@pytest.mark.parametrize("name", PIPELINES)
def test_ir_is_one_document_because_vertex_takes_no_second(name: str) -> None:
    assert len(list(yaml.safe_load_all(compiled_path(name, PROJECT).read_text()))) == 1


def test_ir_is_a_valid_pipeline_spec(ir: dict[str, Any]) -> None:
    json_format.ParseDict(ir, pipeline_spec_pb2.PipelineSpec())


def test_artifact_types_are_those_that_vertex_knows(ir: dict[str, Any]) -> None:
    found = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.update({value["schemaTitle"]} if "schemaTitle" in value else set())
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(ir)
    assert found - ARTIFACT_TYPES == set()


def test_exactly_the_steps_that_meet_the_outside_world_are_never_cached(ir: dict[str, Any]) -> None:
    tasks = tasks_of(ir)
    uncached = {name for name, task in tasks.items() if not task.get("cachingOptions", {}).get("enableCache")}
    assert uncached ^ (NEVER_CACHED & tasks.keys()) == set()


def test_every_input_of_a_step_is_passed_explicitly(ir: dict[str, Any]) -> None:
    missing = set()
    for name, task in tasks_of(ir).items():
        declared = ir["components"][task["componentRef"]["name"]].get("inputDefinitions", {})
        for kind in ("parameters", "artifacts"):
            given = task.get("inputs", {}).get(kind, {})
            missing |= {f"{name}.{input_}" for input_ in declared.get(kind, {}) if input_ not in given}
    assert missing == set()


def test_importers_reuse_the_artifact_of_a_uri(ir: dict[str, Any]) -> None:
    importers = [e["importer"] for e in ir["deploymentSpec"]["executors"].values() if "importer" in e]
    assert [importer for importer in importers if importer.get("reimport")] == []


def test_every_parameter_of_training_has_one_origin() -> None:
    declared = read_signature(PROJECT.root / "pipelines" / "training.py", "training").parameters.keys()
    assert declared ^ (PARAMETERS.keys() | FROM_THE_RUNNER.keys()) == set()


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_describes_each_parameter(name: str) -> None:
    from penstock.generate.steps import split_docstring

    signature = read_signature(PROJECT.root / "pipelines" / f"{name}.py", name)
    assert signature.parameters.keys() ^ split_docstring(signature.docstring)[1].keys() == set()


def test_two_documents_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        check_ir("a: 1\n---\nb: 2\n", "pipelines/x.py")
    assert str(caught.value) == (
        "pipelines/x.py compiles to 2 YAML documents, Vertex AI takes one: "
        "put what is platform-specific into the environment file, not into the pipeline"
    )


def test_unknown_pipeline_tells_the_nearest_name() -> None:
    with pytest.raises(UserError) as caught:
        compile_pipeline("trainin", PROJECT)
    assert str(caught.value) == (
        f"'trainin' is no pipeline of {PROJECT.root / 'pipelines'}; did you mean 'training'? "
        f"(there are: {', '.join(PIPELINES)})"
    )


def test_long_steps_outlive_a_lost_pod_and_short_ones_fail_at_once() -> None:
    ir = compile_pipeline("training", PROJECT)
    again = {name for name, task in tasks_of(ir).items() if "retryPolicy" in task}
    assert again == {
        "extract-data",
        "compute-statistics",
        "prepare-data",
        "tune-model",
        "train-model",
        "evaluate-model",
        "explain-model",
    }


@pytest.mark.parametrize("name", [name for name in PIPELINES if name != "rollout"])
def test_no_step_is_tried_again_on_this_machine(name: str) -> None:
    """Each but the rollout, whose steps are short, has such steps: at its root, or in its groups."""
    ir = compile_pipeline(name, PROJECT)
    assert any("retryPolicy" in task for task in tasks_of(ir).values())
    ir = without_retries(ir)
    assert not any("retryPolicy" in task for task in tasks_of(ir).values())

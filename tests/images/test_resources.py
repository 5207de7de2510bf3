"""What each step asks of a node, in the fields that backends read."""

from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UserError
from penstock.images.resources import apply_resources, cores, gigabytes, step_of
from penstock.images.settings import read_images_file
from penstock.project import Project, find_project
from penstock.versions import Images

HERE = find_project(Path(__file__).parent)
COMMAND = ["python", "-m", "penstock.components.gate.step"]


def project_with(folder: Path, entry: str) -> Project:
    (folder / "images").mkdir()
    (folder / "images" / "images.yaml").write_text(f"steps: {{gate: {{stack: core, {entry}}}}}\n")
    return Project(folder)


def ir_of(**container: Any) -> dict[str, Any]:
    return {"deploymentSpec": {"executors": {"exec-gate": {"container": {"command": COMMAND, **container}}}}}


def resources_in(ir: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ir["deploymentSpec"]["executors"]["exec-gate"]["container"]["resources"]
    return found


def test_both_fields_of_each_quantity_are_written(tmp_path: Path) -> None:
    project = project_with(tmp_path, 'cpu: 250m, cpu_limit: "2", memory: 512Mi, memory_limit: 2G')
    assert resources_in(apply_resources(ir_of(), project)) == {
        "cpuRequest": 0.25,
        "resourceCpuRequest": "250m",
        "cpuLimit": 2.0,
        "resourceCpuLimit": "2",
        "memoryRequest": 0.536870912,
        "resourceMemoryRequest": "512Mi",
        "memoryLimit": 2.0,
        "resourceMemoryLimit": "2G",
    }


def test_fields_are_those_that_kfp_compiles(tmp_path: Path) -> None:
    from kfp import compiler, dsl

    @dsl.container_component
    def gate() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="i", command=COMMAND)

    @dsl.pipeline(name="p")
    def pipeline() -> None:
        task = gate()
        task.set_cpu_request("250m").set_memory_request("512Mi").set_memory_limit("2Gi")

    compiler.Compiler().compile(pipeline, str(tmp_path / "p.json"))
    from google.protobuf import json_format

    compiled = json_format.MessageToDict(pipeline.pipeline_spec)
    project = project_with(tmp_path, "cpu: 250m, memory: 512Mi, memory_limit: 2Gi")
    assert resources_in(apply_resources(ir_of(), project)) == resources_in(compiled)


def test_what_the_pipeline_set_itself_stays(tmp_path: Path) -> None:
    project = project_with(tmp_path, "memory_limit: 2Gi")
    theirs = {"memoryLimit": 8.0, "resourceMemoryLimit": "8G"}
    assert resources_in(apply_resources(ir_of(resources=theirs), project)) == theirs


def test_container_that_runs_no_step_of_ours_is_left_alone(tmp_path: Path) -> None:
    project = project_with(tmp_path, "memory_limit: 2Gi")
    ir = {"deploymentSpec": {"executors": {"e": {"container": {"command": ["sh"]}}, "i": {"importer": {}}}}}
    assert apply_resources(ir, project) == ir


@pytest.mark.parametrize(("text", "number"), [("250m", 0.25), ("1", 1.0), ("1.5", 1.5)])
def test_cores_are_read(text: str, number: float) -> None:
    assert cores(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("1Gi", 1.073741824), ("500M", 0.5), ("2G", 2.0), ("1Mi", 0.001048576)]
)
def test_memory_is_read_in_gigabytes(text: str, number: float) -> None:
    assert gigabytes(text) == number


@pytest.mark.parametrize("entry", ["memory: 2 GB", "memory: lots", "cpu: half", "memory: -1Gi"])
def test_quantity_that_is_none_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(UserError, match=r"steps\.gate\."):
        read_images_file(project_with(tmp_path, entry))


def test_every_step_of_ours_asks_for_memory_below_its_limit() -> None:
    steps = read_images_file(HERE).steps
    assert steps.keys() == Images(HERE).stacks.keys()
    for name, step in steps.items():
        assert all((step.memory, step.memory_limit, step.cpu)), name
        assert gigabytes(step.memory) <= gigabytes(step.memory_limit), name


def test_step_is_told_from_the_command() -> None:
    assert step_of({"command": COMMAND}) == "gate"
    assert step_of({"command": ["sh", "-c", "true"]}) == ""
    assert step_of({}) == ""

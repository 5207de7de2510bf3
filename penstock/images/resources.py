"""What each step asks of a node, from images.yaml into the IR that is delivered."""

import copy
from typing import Any

from penstock.images.settings import Resources, read_images_file
from penstock.project import Project

GIGA = 1e9
UNITS = {"Gi": 2**30, "Mi": 2**20, "G": 10**9, "M": 10**6}
MODULE = "penstock.components."


def apply_resources(ir: dict[str, Any], project: Project) -> dict[str, Any]:
    """Return the IR with the resources of images.yaml; what a pipeline set itself stays.

    Both fields of each quantity are written, as kfp 2.17's compiler does: `resourceMemoryLimit` ("2Gi"),
    which backend 2.14 prefers, and `memoryLimit` (2.147483648, in units of 10^9 bytes), which Vertex reads.
    """
    ir = copy.deepcopy(ir)
    steps = read_images_file(project).steps
    for executor in ir.get("deploymentSpec", {}).get("executors", {}).values():
        container = executor.get("container", {})
        if (step := step_of(container)) in steps:
            fields = ir_fields(steps[step]) | container.get("resources", {})
            if fields:
                container["resources"] = fields
    return ir


def step_of(container: dict[str, Any]) -> str:
    """Return the step that a container of the IR runs, from its command; "" when it is none of ours."""
    for word in container.get("command", []):
        if word.startswith(MODULE):
            return str(word.removeprefix(MODULE).partition(".")[0])
    return ""


def ir_fields(resources: Resources) -> dict[str, Any]:
    """Return the fields of PipelineContainerSpec.resources."""
    fields: dict[str, Any] = {}
    for name, value, number in (
        ("CpuRequest", resources.cpu, cores),
        ("CpuLimit", resources.cpu_limit, cores),
        ("MemoryRequest", resources.memory, gigabytes),
        ("MemoryLimit", resources.memory_limit, gigabytes),
    ):
        if value is not None:
            fields[f"{name[0].lower()}{name[1:]}"] = number(value)
            fields[f"resource{name}"] = value
    return fields


def cores(text: str) -> float:
    """Return a number of cores: "250m" is 0.25."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def gigabytes(text: str) -> float:
    """Return a quantity of memory in units of 10^9 bytes: "1Gi" is 1.073741824."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor / GIGA
    return float(text) / GIGA

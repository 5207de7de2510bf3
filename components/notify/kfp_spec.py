"""Reads the tasks of a pipeline from its specification (the IR): what a workflow calls otherwise or has not begun."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STEP_MODULE = re.compile(r"\bpenstock\.components\.([a-z0-9_]+)\.")
IMPORTER = "importer"


@dataclass(frozen=True)
class SpecTask:
    """A task of a pipeline."""

    name: str  # in the IR, unique within the pipeline
    title: str
    step: str  # the component's folder; `importer`
    image: str
    is_exit: bool
    label: str = ""  # of its executor


def specification(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the IR of what API v2 calls `pipeline_spec`: with a platform spec it lies one level deeper."""
    spec = found.get("pipeline_spec") or found
    return spec if isinstance(spec, Mapping) else {}


def tasks_of(spec: Mapping[str, Any]) -> list[SpecTask]:
    """Return the tasks of all groups, each after those that it waits for, exit handlers last."""
    dag = (spec.get("root") or {}).get("dag") or {}
    found = list(_tasks(spec, dag, is_exit=False))
    return sorted(found, key=lambda task: task.is_exit)


def _tasks(spec: Mapping[str, Any], dag: Mapping[str, Any], is_exit: bool) -> Iterator[SpecTask]:
    for name, task in _in_order(dag.get("tasks") or {}):
        reference = (task.get("componentRef") or {}).get("name", "")
        component = (spec.get("components") or {}).get(reference) or {}
        policy = (task.get("triggerPolicy") or {}).get("strategy", "")
        exits = is_exit or policy == "ALL_UPSTREAM_TASKS_COMPLETED"
        if "dag" in component:
            yield from _tasks(spec, component["dag"], exits)
            continue
        executors = (spec.get("deploymentSpec") or {}).get("executors") or {}
        executor = executors.get(component.get("executorLabel", "")) or {}
        container = executor.get("container") or {}
        title = (task.get("taskInfo") or {}).get("name") or name
        step = IMPORTER if IMPORTER in executor else _step(container, name)
        yield SpecTask(
            name, title, step, container.get("image", ""), exits, component.get("executorLabel", "")
        )


def _step(container: Mapping[str, Any], name: str) -> str:
    """Return the folder of the component that a container runs, by its command."""
    found = STEP_MODULE.search(" ".join(map(str, container.get("command") or [])) + " ")
    return found.group(1) if found else re.sub(r"-\d+$", "", name).replace("-", "_")


def _in_order(tasks: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the tasks of a group, each after those that it depends on."""
    left = dict(tasks)
    while left:
        ready = [name for name in left if not set(left[name].get("dependentTasks") or []) & left.keys()]
        for name in ready or list(left):  # a circle cannot be: whoever made one gets it as it comes
            yield name, left.pop(name)

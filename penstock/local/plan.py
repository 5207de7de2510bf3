"""The steps of a compiled pipeline, flat, in the order in which they run, with what each waits for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.versions import Image

IMPORTER = "importer"


@dataclass
class Task:
    """One step of a pipeline: a leaf of the IR, out of whichever group it stands in."""

    name: str
    title: str  # for people
    step: str  # name of the step's folder, or `importer`
    image: Image | None
    upstream: list[str] = field(default_factory=list)
    cacheable: bool = True
    is_certain: bool = True  # in no group that a condition may skip
    is_exit: bool = False  # the exit handler: runs whatever happened


def plan(ir: Mapping[str, Any], images: Mapping[str, Image]) -> list[Task]:
    """Return the tasks of a pinned IR in the order in which they run.

    Args:
        ir: The pinned IR (PipelineSpec as JSON fields).
        images: The image of each executor label.
    """
    tasks: list[Task] = []
    _walk(ir, ir["root"]["dag"]["tasks"], images, {}, [], tasks)
    exits = [task for task in tasks if task.is_exit]
    body = [task for task in tasks if not task.is_exit]
    for task in exits:
        task.upstream = sinks(body)
    return body + exits


def sinks(tasks: Iterable[Task]) -> list[str]:
    """Return the tasks that no other task waits for."""
    tasks = list(tasks)
    awaited = {name for task in tasks for name in task.upstream}
    return [task.name for task in tasks if task.name not in awaited]


def order(dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names so that each follows those it depends on; breadth first, then by name.

    Dependencies on names outside the mapping are ignored.
    """
    waits = {
        name: {dep for dep in deps if dep in dependencies} for name, deps in sorted(dependencies.items())
    }
    ready = [name for name, deps in waits.items() if not deps]
    ordered: list[str] = []
    while ready:
        name = ready.pop(0)
        ordered.append(name)
        for follower, deps in waits.items():
            if name in deps:
                deps.remove(name)
                if not deps:
                    ready.append(follower)
    return ordered


def _walk(
    ir: Mapping[str, Any],
    dag: Mapping[str, Any],
    images: Mapping[str, Image],
    given: Mapping[str, list[str]],
    outer: list[str],
    found: list[Task],
    certain: bool = True,
) -> list[str]:
    """Append the leaves of one DAG to `found` and return their names.

    Args:
        given: For each input of this DAG, the leaves that produce it.
        outer: Leaves that the whole DAG waits for.
        found: Where the leaves go.
        certain: No condition stands above this DAG.
    """
    leaves: dict[str, list[str]] = {}  # task or group -> the leaves in it
    for name in order({name: task.get("dependentTasks", []) for name, task in dag.items()}):
        task = dag[name]
        component = ir["components"][task["componentRef"]["name"]]
        inputs = _producers(task, given, leaves)
        ordered = [leaf for other in task.get("dependentTasks", []) for leaf in leaves.get(other, [])]
        if "dag" in component:
            condition = task.get("triggerPolicy", {}).get("condition", "")
            decided = [
                leaf for key, producers in inputs.items() if f"'{key}'" in condition for leaf in producers
            ]
            inner = component["dag"]["tasks"]
            # What a group waits for is what its members read, and what its condition reads; the rest of
            # its dependencies are inputs that some member passes on.
            first = len(found)
            _walk(ir, inner, images, inputs, decided or outer, found, certain and not _may_skip(task))
            leaves[name] = [leaf.name for leaf in found[first:]]
            continue
        executor = ir["deploymentSpec"]["executors"][component["executorLabel"]]
        upstream = [leaf for producers in inputs.values() for leaf in producers] + ordered
        image = images.get(component["executorLabel"])
        found.append(
            Task(
                name=name,
                title=task.get("taskInfo", {}).get("name", name),
                step=image.step if image else IMPORTER if "importer" in executor else name.replace("-", "_"),
                image=image,
                upstream=list(
                    dict.fromkeys([*upstream, *outer] if not _inner(upstream, leaves) else upstream)
                ),
                is_certain=certain,
                cacheable=task.get("cachingOptions", {}).get("enableCache", False),
                is_exit=_is_exit(task, dag),
            )
        )
        leaves[name] = [name]
    return [leaf for names in leaves.values() for leaf in names]


def _is_exit(task: Mapping[str, Any], dag: Mapping[str, Any]) -> bool:
    """Tell whether a task runs when a guarded group has ended, whichever way."""
    guarded = [dag[name]["componentRef"]["name"] for name in task.get("dependentTasks", []) if name in dag]
    strategy = task.get("triggerPolicy", {}).get("strategy")
    return strategy == "ALL_UPSTREAM_TASKS_COMPLETED" and any(
        name.startswith("comp-exit-handler-") for name in guarded
    )


def _may_skip(group: Mapping[str, Any]) -> bool:
    """Tell whether the members of a group may run not at all, or not once."""
    return bool(group.get("triggerPolicy", {}).get("condition")) or any("terator" in key for key in group)


def _inner(upstream: Iterable[str], leaves: Mapping[str, list[str]]) -> bool:
    """Tell whether one of `upstream` stands in the same DAG."""
    here = {leaf for names in leaves.values() for leaf in names}
    return any(name in here for name in upstream)


def _producers(
    task: Mapping[str, Any], given: Mapping[str, list[str]], leaves: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return, for each input of a task or group, the leaves that produce it."""
    result: dict[str, list[str]] = {}
    inputs = task.get("inputs", {})
    for name, value in {**inputs.get("parameters", {}), **inputs.get("artifacts", {})}.items():
        for kind in ("taskOutputParameter", "taskOutputArtifact"):
            if kind in value:
                producer = value[kind]["producerTask"]
                result[name] = leaves.get(producer, [])
        for kind in ("componentInputParameter", "componentInputArtifact"):
            if kind in value:
                result[name] = given.get(value[kind], [])
    return result

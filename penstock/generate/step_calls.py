"""Shows how a pipeline calls a step, from the compiled pipelines: where each input really comes from."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from penstock.project import Project

CHANNEL = "pipelinechannel--"
JOB_ID = "{{$.pipeline_job_uuid}}"


def calls(project: Project) -> dict[str, dict[str, str]]:
    """Return, for each step that a pipeline uses, where its inputs come from in the first call, as Python."""
    found: dict[str, dict[str, str]] = {}
    for ir in _pipelines(project):
        tasks = list(_tasks(ir))
        producers = {name: _variable(name, task) for name, task in tasks}
        steps = {name: _step(ir, task) for name, task in tasks}
        for name, task in tasks:
            step = steps[name]
            if step and step not in found:
                found[step] = _sources(task, producers)
    return found


def pipeline_order(project: Project) -> list[str]:
    """Return the steps in the order in which the pipelines run them; exit handlers come last."""
    order: list[str] = []
    groups = [(ir, list(_groups(ir))) for ir in _pipelines(project)]
    inner = [(ir, tasks) for ir, found in groups for tasks in found[:-1]]
    for ir, tasks in [*inner, *((ir, found[-1]) for ir, found in groups)]:
        order += [step for task in _sorted(tasks) if (step := _step(ir, task)) and step not in order]
    return order


def _pipelines(project: Project) -> list[dict[str, Any]]:
    """Return the compiled pipelines, those of many steps first: they show a step at its usual place."""
    paths = sorted((project.root / "pipelines" / "compiled").glob("*.yaml"))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    irs = [yaml.load(path.read_text(encoding="utf-8"), loader) for path in paths]
    return sorted(irs, key=lambda ir: -len(ir["components"]))


def _groups(ir: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the tasks of each group, outer groups before inner ones, the root (exit handler) last."""
    yield from (c["dag"]["tasks"] for name, c in sorted(ir["components"].items(), key=_depth) if "dag" in c)
    yield ir["root"]["dag"]["tasks"]


def _depth(item: tuple[str, Any]) -> tuple[bool, str]:
    return not item[0].startswith("comp-exit-handler"), item[0]


def _sorted(tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """Sort tasks so that each comes after those it depends on, with the data before the rest."""
    done: list[str] = []
    waiting = sorted(tasks)
    while waiting:
        ready = [name for name in waiting if set(tasks[name].get("dependentTasks", [])) <= set(done)]
        done += ready
        waiting = [name for name in waiting if name not in ready]
    return [tasks[name] for name in done]


def _tasks(ir: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for tasks in _groups(ir):
        yield from sorted(tasks.items())


def _step(ir: dict[str, Any], task: dict[str, Any]) -> str:
    """Return the step that a task runs; '' for groups and importers."""
    component = ir["components"][task["componentRef"]["name"]]
    executor = ir["deploymentSpec"]["executors"].get(component.get("executorLabel", ""), {})
    image = str(executor.get("container", {}).get("image", ""))
    return image.removeprefix("penstock/").partition(":")[0]


def _variable(name: str, task: dict[str, Any]) -> str:
    """Return the name of a task's variable in the shown call."""
    shown = task.get("taskInfo", {}).get("name", name) if name.startswith("importer") else name
    return str(shown).replace("-", "_").replace(" ", "_") + "_task"


def _sources(task: dict[str, Any], producers: dict[str, str]) -> dict[str, str]:
    inputs = task.get("inputs", {})
    given = {**inputs.get("artifacts", {}), **inputs.get("parameters", {})}
    return {
        name: _value(source, producers) for name, source in given.items() if "taskFinalStatus" not in source
    }


def _value(source: dict[str, Any], producers: dict[str, str]) -> str:
    for kind, key in (
        ("taskOutputArtifact", "outputArtifactKey"),
        ("taskOutputParameter", "outputParameterKey"),
    ):
        if kind in source:
            return _output(producers.get(source[kind]["producerTask"], "..."), source[kind][key])
    for kind in ("componentInputParameter", "componentInputArtifact"):
        if kind in source:
            return _channel(source[kind].removeprefix(CHANNEL), producers)
    constant = source["runtimeValue"]["constant"]
    return "dsl.PIPELINE_JOB_ID_PLACEHOLDER" if constant == JOB_ID else json.dumps(constant)


def _channel(name: str, producers: dict[str, str]) -> str:
    """Return where a value comes from that reaches a group through a channel: a task, or the pipeline."""
    for task in sorted(producers, key=len, reverse=True):
        if name.startswith(f"{task}-"):
            return _output(producers[task], name.removeprefix(f"{task}-"))
    return name


def _output(variable: str, key: str) -> str:
    return f"{variable}.output" if key == "artifact" else f'{variable}.outputs["{key}"]'

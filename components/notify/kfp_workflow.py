"""Reads the tasks of a run from its Argo workflow, where KFP spreads each over several nodes.

A task is a node with its name, of the template system-container-executor. Before it comes `<name>-driver`, which
resolves its inputs and looks into the cache; below it `executor`, the pod of its container, or with retries a node
`executor` that holds a pod `executor(0)`, `executor(1)`, … for each attempt. What comes after a pod is its child as
well. An importer is one pod. Seen on KFP 2.14.3.
"""

import base64
import binascii
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXECUTOR = re.compile(r"executor(\(\d+\))?")  # a pod, or one attempt
TASK_TEMPLATE = "system-container-executor"
IMPORTER_TEMPLATE = "system-importer"
DRIVER = "-driver"
TASK_DRIVER = "system-container-driver"
ON_EXIT = ".onExit"
BEGINNING = ("PodInitializing", "ContainerCreating")
PHASES = {
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Error": "failed",
    "Skipped": "skipped",
    "Omitted": "skipped",
    "Pending": "pending",
}


@dataclass(frozen=True)
class Node:
    """A task as the workflow has it."""

    task: str
    state: str  # pending running succeeded cached failed skipped
    started: str = ""
    ended: str = ""
    message: str = ""  # the platform's word on its last pod
    pods: list[str] = field(default_factory=list)  # the nodes that may have a log, the last attempt first
    attempts: int = 0
    is_exit: bool = False
    image: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)  # memory, cpu
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)  # URI of each input artifact
    outputs: Mapping[str, str] = field(default_factory=dict)


def task_nodes(workflow: Mapping[str, Any]) -> list[Node]:
    """Return the tasks that the workflow knows, by the time at which they began."""
    nodes = _nodes(workflow)
    drivers = {_parent(node): node for node in nodes.values() if _name(node).endswith(DRIVER)}
    found = []
    for node in nodes.values():
        if _is_executor(node) or _name(node).endswith(DRIVER):
            continue
        executors = [nodes[name] for name in node.get("children") or [] if _is_executor(nodes.get(name, {}))]
        template = str(node.get("templateName") or "")
        if executors:
            found.append(_task(node, executors[0], nodes))
        elif template.endswith(TASK_TEMPLATE):
            found.append(_task_without_pod(node, drivers.get(str(node.get("name") or ""))))
        elif template == IMPORTER_TEMPLATE:
            found.append(_task(node, node, nodes))
    begun = {str(node.get("name") or "") for node in nodes.values()}
    for name, driver in drivers.items():
        is_task = str(driver.get("templateName") or "").endswith(TASK_DRIVER)
        if name not in begun if is_task else PHASES.get(str(driver.get("phase"))) == "failed":
            found.append(_task_without_pod(driver, driver, name=name.rpartition(".")[2]))
    return sorted(found, key=lambda task: (not task.started, task.started))


def was_terminated(workflow: Mapping[str, Any]) -> bool:
    """Tell whether someone ended the run: KFP sets a deadline of no seconds, Argo's own command a strategy."""
    spec = workflow.get("spec") or {}
    return spec.get("activeDeadlineSeconds") == 0 or bool(spec.get("shutdown"))


def _task(
    node: Mapping[str, Any], executor: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]
) -> Node:
    below = [name for name in executor.get("children") or [] if _is_attempt(nodes.get(name, {}), executor)]
    pods = [*reversed(below)] or [str(executor.get("id") or "")]
    last = nodes.get(pods[0], executor)
    phase = str(executor.get("phase") or "")
    cached = phase == "Skipped" and node.get("phase") == "Succeeded"
    patch = _pod_of(executor) or _pod_of(last) or _pod_of(node)
    given = _executor_input(patch)
    state = "cached" if cached else PHASES.get(phase, "running")
    message = str(last.get("message") or "") or str(executor.get("message") or "")
    if state == "pending" and message.partition(":")[0] in ("", *BEGINNING):
        state = "running"  # its pod is being made
    return Node(
        task=_name(node),
        state=state,
        started=str(node.get("startedAt") or ""),
        ended=str(node.get("finishedAt") or ""),
        message=message,
        pods=[] if cached else pods,
        attempts=0 if cached else len(pods),
        is_exit=ON_EXIT in str(node.get("name") or ""),
        image=str(patch.get("image") or ""),
        limits=(patch.get("resources") or {}).get("limits") or {},
        parameters=(given.get("inputs") or {}).get("parameterValues") or {},
        inputs=_uris((given.get("inputs") or {}).get("artifacts")),
        outputs=_uris((given.get("outputs") or {}).get("artifacts")),
    )


def _task_without_pod(node: Mapping[str, Any], driver: Mapping[str, Any] | None, name: str = "") -> Node:
    """Return a task that got no pod: it was skipped, its turn has not come, or its driver failed."""
    failed = driver is not None and PHASES.get(str(driver.get("phase"))) == "failed"
    told = driver if failed and driver is not None else node
    state = "failed" if failed else PHASES.get(str(node.get("phase")), "pending")
    return Node(
        task=name.removesuffix(DRIVER) or _name(node),
        state="pending" if state == "succeeded" else state,
        started=str(told.get("startedAt") or "") if failed else "",
        ended=str(told.get("finishedAt") or "") if failed else "",
        message=str(told.get("message") or "") if failed else "",
        pods=[str(told.get("id") or "")] if failed else [],
        attempts=1 if failed else 0,
        is_exit=ON_EXIT in str(node.get("name") or ""),
    )


def _nodes(workflow: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the nodes of a workflow; Argo packs those of a large one."""
    status = workflow.get("status") or {}
    if not status.get("nodes") and status.get("compressedNodes"):
        try:
            return dict(json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"]))))
        except (binascii.Error, OSError, EOFError, ValueError, TypeError):
            return {}
    return status.get("nodes") or {}


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("displayName") or "")


def _parent(driver: Mapping[str, Any]) -> str:
    """Return the full name of the task that a driver belongs to."""
    return str(driver.get("name") or "").removesuffix(DRIVER)


def _is_executor(node: Mapping[str, Any]) -> bool:
    return EXECUTOR.fullmatch(_name(node)) is not None


def _is_attempt(node: Mapping[str, Any], executor: Mapping[str, Any]) -> bool:
    """Tell an attempt of a container from the container of another task that comes after it."""
    name = str(executor.get("name") or "")
    return _is_executor(node) and bool(name) and str(node.get("name") or "").startswith(f"{name}(")


def _pod_of(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container that the driver asked for, empty when it is not told."""
    for parameter in (node.get("inputs") or {}).get("parameters") or []:
        if parameter.get("name") == "pod-spec-patch":
            try:
                return dict(json.loads(parameter.get("value") or "{}")["containers"][0])
            except (ValueError, KeyError, IndexError, TypeError):
                return {}
    return {}


def _executor_input(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the launcher was told of the task's inputs and outputs."""
    command = [str(word) for word in container.get("command") or []]
    try:
        found = json.loads(command[command.index("--executor_input") + 1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _uris(artifacts: Any) -> dict[str, str]:
    """Return the URI of each artifact; the backend's own `executor-logs` is none of the step's."""
    found = {}
    for name, value in (artifacts or {}).items():
        listed = (value or {}).get("artifacts") or []
        if name != "executor-logs" and listed:
            found[name] = str(listed[0].get("uri") or "")
    return found

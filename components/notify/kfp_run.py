"""Reads the account of a run from the KFP API, where the steps' own last log lines are the only witness.

The API of 2.14 to 2.17 keeps no outputs, no reason and no exit code of a task, and the status that an exit
handler is given says RUNNING of runs that have failed. What is there: the graph of the workflow that KFP made
of the run, with the platform's word on a node (OOMKilled), and the log of each node, also of a pod that is gone.
The tasks of API v2 have ids of their own and name only their children's nodes: they are used where the workflow
cannot be had.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import Any

from penstock.components.model_registry.run_account import (
    RunAccount,
    StepAccount,
    settled_state,
    stopped_at,
)
from penstock.components.notify.kfp_api import KfpApi
from penstock.components.notify.kfp_sentences import is_termination, pod_sentence
from penstock.components.notify.kfp_spec import SpecTask, specification, tasks_of
from penstock.components.notify.kfp_workflow import Node, task_nodes, was_terminated
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.record import from_line, now

OURS = "notify"
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
SIGNALLED = (130, 137, 143)
TAIL = 20_000  # characters of a log without a record, whole lines
NEVER = "1970-"  # what the API calls a time that has not come
ENDED_STEP = ("succeeded", "failed", "blocked", "interrupted")

Told = tuple[dict[str, Any], str]  # the record of a step, and its log where it has none
Known = MutableMapping[tuple[str, str], Told]  # by node and the time at which it ended
Read = Callable[[Node, str], Told]  # of a task, and its step


def read_kfp_run(
    api: KfpApi,
    run_id: str,
    pipeline: str = "",
    app: str = "",
    *,
    ends_now: bool = True,
    known: Known | None = None,
    only: Collection[str] | None = None,
) -> RunAccount:
    """Return the account of a run.

    Args:
        api: Where the run is.
        run_id: Its id there.
        pipeline: Name of the pipeline; empty takes what KFP says.
        app: Name of the app; empty takes the run's parameter.
        ends_now: We are its exit handler: it has ended but for us, whatever KFP says.
        known: Records that need not be read again; those found are added.
        only: Steps whose records are read when they succeeded; default: all. A failed step's always is.

    Raises:
        StepError: The API cannot be reached or does not know the run.
    """
    found = api.run(run_id)
    workflow = api.workflow(run_id)
    known = {} if known is None else known
    spec, version = _spec(api, found, known)
    over = ends_now or found.get("state") in ENDED
    read = _reader(api, run_id, known, only)
    details = (found.get("run_details") or {}).get("task_details") or []
    tasks = tasks_of(spec)
    if workflow:
        steps = list(_steps(task_nodes(workflow), tasks, read, over))
    else:
        steps = list(_steps_of_tasks(details, read))
    at_exit = {task.name for task in tasks if task.is_exit}
    if not (workflow and tasks):  # nothing says which task is the exit handler
        at_exit = {step.task for step in steps if step.step == OURS}
    body = [step for step in steps if step.task not in at_exit]
    if not body and over and not (found.get("state") == "FAILED" and workflow):
        raise StepError(f"the KFP API at {api.host} tells of no step of run {run_id}: look at its page")
    arguments = (found.get("runtime_config") or {}).get("parameters") or {}
    state, error = _state(found, workflow, body, over)
    if over and not workflow and (names := _failed_without_reason(details, body)):
        state, error = "failed", f"KFP calls these failed, and no step says why: {', '.join(names)}"
    return RunAccount(
        id=run_id,
        pipeline=pipeline or str((spec.get("pipelineInfo") or {}).get("name") or ""),
        app=app or str(arguments.get("app") or ""),
        state=state,
        error=error,
        steps=body,
        handler=next((step for step in steps if step.task in at_exit), None),
        executor="kfp",
        started=str(found.get("created_at") or ""),
        ended=_time(found.get("finished_at")) or (now() if over else ""),
        arguments=arguments,
        report=f"{api.host}/#/runs/details/{run_id}",
        name=str(found.get("display_name") or ""),
        pipeline_version=version,
    )


def _spec(api: KfpApi, found: Mapping[str, Any], known: Known) -> Told:
    """Return the IR of a run, and the name of its pipeline version: a run has its own, or that of a version."""
    reference = found.get("pipeline_version_reference") or {}
    key = ("version", str(reference.get("pipeline_version_id") or ""))
    if key[1] and key not in known:
        version = api.pipeline_version(str(reference.get("pipeline_id") or ""), key[1])
        known[key] = version.get("pipeline_spec") or {}, str(version.get("display_name") or "")
    spec, name = known.get(key, ({}, ""))
    return dict(specification(found.get("pipeline_spec") or spec)), name


def _state(
    found: Mapping[str, Any], workflow: Mapping[str, Any], steps: list[StepAccount], over: bool
) -> tuple[str, str]:
    """Return how a run stands, and why where no step says so."""
    if not over:
        return "cancelling" if found.get("state") == "CANCELING" else "running", ""
    ended_by_hand = was_terminated(workflow) and found.get("state") != "SUCCEEDED"
    if ended_by_hand or found.get("state") in ("CANCELING", "CANCELED"):
        return "cancelled", ""
    state = settled_state(steps)
    if found.get("state") == "FAILED" and stopped_at(steps) is None:
        return "failed", str((workflow.get("status") or {}).get("message") or "KFP calls it failed")
    return state, ""


def _steps(nodes: list[Node], tasks: list[SpecTask], read: Read, over: bool) -> Iterator[StepAccount]:
    """Yield each task: those that the workflow knows by time, then those that it has not begun."""
    by_name = {task.name: task for task in tasks}
    times: dict[str, int] = {}
    for node in sorted(nodes, key=lambda node: (not node.started, node.started)):
        again = times[node.task] = times.get(node.task, 0) + 1
        task = by_name.get(node.task) or _unknown(node)
        yield _step(task, node, read, again, over)
    for task in tasks:
        if task.name not in times:
            state = "skipped" if over else "pending"
            yield StepAccount(task.name, task.title, task.step, state, image=task.image)


def _unknown(node: Node) -> SpecTask:
    return SpecTask(node.task, node.task, node.task.replace("-", "_"), node.image, node.is_exit)


def _step(task: SpecTask, node: Node, read: Read, again: int, over: bool) -> StepAccount:
    record, text = read(node, task.step) if node.state in ("succeeded", "failed") else ({}, "")
    state = node.state
    if state in ("pending", "running") and over and not task.is_exit:
        state = "interrupted" if state == "running" else "skipped"
    if state == "failed" and record.get("state") == "blocked":
        state = "blocked"
    if record.get("exit_code") in SIGNALLED and node.message:
        record = {key: value for key, value in record.items() if key != "error"}  # the platform knows why
    ended_by_hand = state == "failed" and is_termination(node.message)
    suffix = f"-{again}" if again > 1 else ""
    inputs = {**node.inputs, **(record.get("inputs") or {})}
    return StepAccount(
        task=task.name + suffix,
        title=task.title + (f" ({again})" if again > 1 else ""),
        step=str(record.get("step") or task.step),
        state="interrupted" if ended_by_hand else state,
        started=str(record.get("started") or _time(node.started)),
        ended=str(record.get("ended") or _time(node.ended)),
        record=record or _what_is_known(node),
        image=node.image or task.image,
        outputs=node.outputs if state in ("succeeded", "cached") else {},
        evidence=str(inputs.get("evidence") or "") if state == "blocked" else "",
        message="" if record.get("error") else _message(task, node, text, ended_by_hand),
        attempts=node.attempts,
        log=node.pods[0] if node.pods else "",
    )


def _message(task: SpecTask, node: Node, text: str, ended_by_hand: bool) -> str:
    return "it was ended with the run" if ended_by_hand else pod_sentence(node, task.step, text)


def _what_is_known(node: Node) -> dict[str, Any]:
    """Return what a record would hold, as far as the platform knows it of a step that left none."""
    fields: dict[str, Any] = {"parameters": node.parameters, "inputs": node.inputs}
    return {name: dict(value) for name, value in fields.items() if value}


def _steps_of_tasks(details: list[dict[str, Any]], read: Read) -> Iterator[StepAccount]:
    """Yield the tasks of API v2 whose container left a record: nothing else tells them from groups."""
    for detail in details:
        pods = [str(child.get("pod_name") or "") for child in detail.get("child_tasks") or []]
        name = str(detail.get("display_name") or "")
        if not pods or name.startswith("executor") or name.endswith("driver"):
            continue
        started, ended = _time(detail.get("start_time")), _time(detail.get("end_time"))
        record, _ = read(Node(name, "succeeded", started, ended, pods=pods), "")
        if record:
            state = str(record.get("state") or "")
            yield StepAccount(name, name, str(record.get("step")), state, started, ended, record)


def _failed_without_reason(details: list[dict[str, Any]], steps: list[StepAccount]) -> list[str]:
    """Return the tasks that KFP calls failed, where no step does."""
    if stopped_at(steps) is not None:
        return []
    names = (str(detail.get("display_name") or "") for detail in details if detail.get("state") == "FAILED")
    return [name for name in names if name and not name.startswith("executor")]


def _reader(api: KfpApi, run_id: str, known: Known, only: Collection[str] | None) -> Read:
    """Return what reads the last record among a task's logs, the last attempt first."""

    def read(node: Node, step: str) -> Told:
        last = ""
        if step and only is not None and node.state == "succeeded" and step not in only:
            return {}, ""
        for pod in filter(None, node.pods):
            key = (pod, node.ended)
            if key not in known:
                known[key] = _record_in(api.log_of(run_id, pod))
            record, text = known[key]
            if record:
                return record, ""
            last = last or text
        return {}, last

    return read


def _record_in(text: str) -> Told:
    """Return the last step record in a log; where there is none, the log's end."""
    for line in reversed(text.splitlines()):
        if record := from_line(line.strip()):
            return record, ""
    return {}, text if len(text) <= TAIL else text[-TAIL:].partition("\n")[2]


def _time(found: Any) -> str:
    """Return a time; empty for one that has not come."""
    text = str(found or "")
    return "" if text.startswith(NEVER) else text

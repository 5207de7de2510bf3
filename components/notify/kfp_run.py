"""Reads the account of a run from the KFP API, where the steps' own last log lines are the only witness.

The API of 2.14 to 2.17 keeps no outputs, no reason and no exit code of a task, and the status that an exit
handler is given says RUNNING of runs that have failed. What is there: the graph of the workflow that KFP made
of the run, with the platform's word on a node (OOMKilled), and the log of each node, also of a pod that is gone.
The tasks of API v2 have ids of their own and name only their children's nodes: they are used where the workflow
cannot be had.
"""

import base64
import binascii
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.components.model_registry.run_account import (
    RunAccount,
    StepAccount,
    milliseconds,
    settled_state,
    stopped_at,
)
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.record import from_line, now

log = logging.getLogger(__name__)

HOST_VARIABLE = "KFP_HOST"
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_S = 5.0
ALL_REQUESTS_S = 30.0
EXECUTOR = "executor"  # KFP's name of the node that runs a task's container
OURS = "notify"
PHASES = {
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Error": "failed",
    "Skipped": "skipped",
    "Omitted": "skipped",
}
NEVER_RAN = ("Skipped", "Omitted", "Pending")


class KfpApi:
    """The few calls of the KFP API that are needed, with limits on time."""

    def __init__(self, host: str = "", token_file: str = "") -> None:
        self.host = (host or os.environ.get(HOST_VARIABLE) or IN_CLUSTER).rstrip("/")
        if "://" not in self.host:
            self.host = f"http://{self.host}"
        self._token = Path(token_file or os.environ.get(TOKEN_VARIABLE) or TOKEN)
        self._until = time.monotonic() + ALL_REQUESTS_S

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run with its task details."""
        return self._get(f"/apis/v2beta1/runs/{quote(run_id, safe='')}")

    def log_of(self, run_id: str, node: str) -> str:
        """Return the log of a node; empty when there is none."""
        path = f"/apis/v2beta1/runs/{quote(run_id, safe='')}/nodes/{quote(node, safe='')}/artifacts/main-logs:read"
        try:
            return base64.b64decode(self._get(path).get("data") or "").decode("utf-8", errors="replace")
        except (StepError, binascii.Error) as error:
            log.debug("no log of node %s: %s", node, error)
            return ""

    def nodes(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the nodes of the workflow that KFP made of the run; none when they cannot be had."""
        try:
            found = self._get(f"/apis/v1beta1/runs/{quote(run_id, safe='')}")
            nodes = json.loads(found["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
            return dict(nodes)
        except (StepError, ValueError, KeyError, TypeError) as error:
            log.warning("the workflow of the run cannot be had: %s", error)
            return {}

    def _get(self, path: str) -> dict[str, Any]:
        left = self._until - time.monotonic()
        if left <= 0:
            raise StepError(f"the KFP API at {self.host} was too slow: {ALL_REQUESTS_S:.0f} s are over")
        request = urllib.request.Request(self.host + path, headers={"Accept": "application/json"})
        if self._token.is_file():
            request.add_header("Authorization", f"Bearer {self._token.read_text().strip()}")
        try:
            with urllib.request.urlopen(request, timeout=min(REQUEST_S, left)) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            raise StepError(f"the KFP API at {self.host} answers {error.code} to {path}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise StepError(
                f"the KFP API at {self.host} cannot be read ({reason}): set {HOST_VARIABLE}"
            ) from error
        if not isinstance(content, dict):
            raise StepError(f"the KFP API at {self.host} answers no object to {path}")
        return content


def read_kfp_run(api: KfpApi, run_id: str, pipeline: str, app: str) -> RunAccount:
    """Return the account of a run that has ended but for its exit handler.

    Raises:
        StepError: The API cannot be reached or does not know the run.
    """
    found = api.run(run_id)
    details = (found.get("run_details") or {}).get("task_details") or []
    nodes = api.nodes(run_id)
    told = _steps_of_workflow(api, run_id, nodes) if nodes else _steps_of_tasks(api, run_id, details)
    steps = [step for step in told if step.step != OURS]
    if not steps:
        raise StepError(f"the KFP API at {api.host} tells of no step of run {run_id}: look at its page")
    state, error = settled_state(steps), ""
    failed = [
        name
        for detail in details
        if detail.get("state") == "FAILED"
        and (name := str(detail.get("display_name") or ""))
        and not name.startswith(EXECUTOR)
    ]
    if failed and not nodes and stopped_at(steps) is None:
        state = "failed"
        error = f"KFP calls these failed, and no step says why: {', '.join(failed)}"
    return RunAccount(
        id=run_id,
        pipeline=pipeline,
        app=app,
        state=state,
        error=error,
        steps=sorted(steps, key=lambda step: milliseconds(step.started)),
        executor="kfp",
        started=found.get("created_at") or "",
        ended=now(),
        arguments=(found.get("runtime_config") or {}).get("parameters") or {},
        report=f"{api.host}/#/runs/details/{run_id}",
    )


def _steps_of_workflow(
    api: KfpApi, run_id: str, nodes: Mapping[str, Mapping[str, Any]]
) -> Iterator[StepAccount]:
    """Yield the tasks of a workflow: the nodes that hold one named `executor`."""
    for node in nodes.values():
        if _is_executor(node):
            continue  # its children are its attempts, and whatever comes after it
        executors = [name for name in node.get("children") or [] if _is_executor(nodes.get(name, {}))]
        if not executors:
            continue  # a driver or a group
        executor = nodes[executors[0]]
        attempts = [name for name in executor.get("children") or [] if _is_executor(nodes.get(name, {}))]
        containers = [*reversed(attempts), executors[0]]  # the last attempt counts
        phase = str(executor.get("phase") or node.get("phase"))
        record = _record(api, run_id, containers) if phase not in NEVER_RAN else {}
        messages = [str(nodes[name].get("message") or "") for name in containers]
        yield _step(
            str(node.get("displayName") or ""),
            "cached"
            if phase == "Skipped" and node.get("phase") == "Succeeded"
            else PHASES.get(phase, "running"),
            record,
            str(node.get("startedAt") or ""),
            str(node.get("finishedAt") or ""),
            next(filter(None, messages), ""),
        )


def _steps_of_tasks(api: KfpApi, run_id: str, details: list[dict[str, Any]]) -> Iterator[StepAccount]:
    """Yield the tasks of API v2 whose container left a record: nothing else tells them from groups."""
    for detail in details:
        children = [str(child.get("pod_name") or "") for child in detail.get("child_tasks") or []]
        name = str(detail.get("display_name") or "")
        if not children or name.startswith(EXECUTOR) or name.endswith("driver"):
            continue
        if record := _record(api, run_id, children):
            state = str(record.get("state") or "")
            started, ended = str(detail.get("start_time") or ""), str(detail.get("end_time") or "")
            yield _step(name, state, record, started, ended, "")


def _is_executor(node: Mapping[str, Any]) -> bool:
    return str(node.get("displayName") or "").startswith(EXECUTOR)


def _record(api: KfpApi, run_id: str, nodes: list[str]) -> dict[str, Any]:
    """Return the last step record in the first of the logs that holds one; empty when none does."""
    for node in filter(None, nodes):
        for line in reversed(api.log_of(run_id, node).splitlines()):
            if record := from_line(line.strip()):
                return record
    return {}


def _step(
    title: str, state: str, record: Mapping[str, Any], started: str, ended: str, message: str
) -> StepAccount:
    if state == "failed" and record.get("state") == "blocked":
        state = "blocked"
    return StepAccount(
        task=title,
        title=title,
        step=str(record.get("step") or title.replace("-", "_")),
        state=state,
        started=str(record.get("started") or started),
        ended=str(record.get("ended") or ended),
        record=record,
        evidence=str((record.get("inputs") or {}).get("evidence") or "") if state == "blocked" else "",
        message=message if state == "failed" else "",
    )

"""Reads the account of a run from the KFP API, where the steps' own last log lines are the only witness.

The API of 2.14 to 2.17 keeps no outputs, no reason and no exit code of a task, and the status that an exit
handler is given says RUNNING of runs that have failed. What is there: the tasks' states, the log of each
node (also of a pod that is gone), and in the workflow the platform's word on a node (OOMKilled).
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

from penstock.components.model_registry.run_account import RunAccount, StepAccount, settled_state
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.record import from_line, now

log = logging.getLogger(__name__)

HOST_VARIABLE = "KFP_HOST"
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_S = 5.0
ALL_REQUESTS_S = 30.0
STATES = {"FAILED": "failed", "SUCCEEDED": "succeeded", "SKIPPED": "skipped", "RUNNING": "running"}


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

    def messages(self, run_id: str) -> dict[str, str]:
        """Return the platform's word on each node, from the workflow that KFP made of the run."""
        try:
            found = self._get(f"/apis/v1beta1/runs/{quote(run_id, safe='')}")
            nodes = json.loads(found["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
            return {node: text for node, status in nodes.items() if (text := status.get("message"))}
        except (StepError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.debug("no messages of nodes: %s", error)
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
    by_id = {detail.get("task_id", ""): detail for detail in details}
    steps: list[StepAccount] = []
    messages: dict[str, str] | None = None
    for detail in details:
        executor = _executor(detail, by_id)
        if executor is None:
            continue
        nodes = list(_nodes(detail, by_id))
        cached = executor.get("state") == "SKIPPED"
        record = {} if cached else _record(api, run_id, nodes)
        failed = detail.get("state") == "FAILED"
        if failed and not record.get("error") and messages is None:
            messages = api.messages(run_id)
        steps.append(_step(detail, record, cached, nodes, messages or {} if failed else {}))
    steps = [step for step in steps if step.step != "notify"]
    arguments = (found.get("runtime_config") or {}).get("parameters") or {}
    return RunAccount(
        id=run_id,
        pipeline=pipeline,
        app=app,
        state=settled_state(steps),
        steps=steps,
        executor="kfp",
        started=found.get("created_at") or "",
        ended=now(),
        arguments=arguments,
        report=f"{api.host}/#/runs/details/{run_id}",
    )


def _executor(detail: Mapping[str, Any], by_id: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the child that runs a task's container; None for drivers, groups and containers themselves."""
    if str(detail.get("display_name") or "").startswith("executor"):
        return None
    for child in detail.get("child_tasks") or []:
        found = by_id.get(child.get("pod_name", ""), {})
        if str(found.get("display_name") or "").startswith("executor"):
            return found
    return None


def _nodes(detail: Mapping[str, Any], by_id: Mapping[str, Any]) -> Iterator[str]:
    """Yield the nodes whose log may hold the task's record: its container, then its attempts, the last first."""
    for child in detail.get("child_tasks") or []:
        node = child.get("pod_name", "")
        yield node
        attempts = by_id.get(node, {}).get("child_tasks") or []
        yield from (attempt.get("pod_name", "") for attempt in reversed(attempts))


def _record(api: KfpApi, run_id: str, nodes: list[str]) -> dict[str, Any]:
    """Return the last step record in the logs of a task's nodes; empty when it left none."""
    for node in filter(None, nodes):
        for line in reversed(api.log_of(run_id, node).splitlines()):
            if record := from_line(line.strip()):
                return record
    return {}


def _step(
    detail: Mapping[str, Any],
    record: Mapping[str, Any],
    cached: bool,
    nodes: list[str],
    messages: Mapping[str, str],
) -> StepAccount:
    title = str(detail.get("display_name") or "")
    state = "cached" if cached else STATES.get(str(detail.get("state")), "running")
    if state == "failed" and record.get("state") == "blocked":
        state = "blocked"
    return StepAccount(
        task=title,
        title=title,
        step=str(record.get("step") or title.replace("-", "_")),
        state=state,
        started=str(record.get("started") or detail.get("start_time") or ""),
        ended=str(record.get("ended") or detail.get("end_time") or ""),
        record=record,
        evidence=str((record.get("inputs") or {}).get("evidence") or "") if state == "blocked" else "",
        message=next((messages[node] for node in reversed(nodes) if node in messages), ""),
    )

"""Reads runs of a KFP API: which there are, how one stands, and what stopped it.

backend = connect(load_environment(project, "test"))
run = find_run(backend, "latest")
account = read_run(backend, run["run_id"])
sentence, code = failed_sentence(account)
"""

import dataclasses
import datetime
import itertools
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from penstock.components.model_registry.run_account import RunAccount, StepAccount
from penstock.components.notify.kfp_api import KfpApi
from penstock.components.notify.kfp_run import Known, read_kfp_run
from penstock.components.notify.kfp_spec import specification
from penstock.components.step_io.errors import StepError
from penstock.errors import UserError
from penstock.kfp_backend.client import API, PAGE, ApiError, Backend, equals
from penstock.nearest import did_you_mean
from penstock.schedules.desired import SCHEDULE_TIME

LATEST = "latest"
FOLLOW_UP = "notify-run"  # the pipeline of pipelines/notify_run.py
LOOK_BACK = 500  # runs among which a part of a name is looked for
EXIT_CODES = {"succeeded": 0, "unchanged": 0, "blocked": 3, "cancelled": 130, "interrupted": 130}


class BackendApi(KfpApi):
    """The calls of the reader, through the environment's own connection."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.host)
        self.backend = backend

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run of API v2.

        Raises:
            UserError: It cannot be had.
        """
        found = self.backend.get(f"{API}/runs/{quote(run_id, safe='')}", doing=f"read the run {run_id}")
        return with_schedule_time(found)

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that the API answers to a GET.

        Raises:
            StepError: There is none.
        """
        try:
            return self.backend.get(path)
        except UserError as error:
            raise StepError(str(error)) from error


def with_schedule_time(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run with the time that its schedule fired for in its parameters, in place of that time's name."""
    config = run.get("runtime_config") or {}
    parameters = config.get("parameters") or {}
    if SCHEDULE_TIME not in parameters.values() or not run.get("scheduled_at"):
        return run
    fired = datetime.datetime.fromisoformat(run["scheduled_at"]).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {name: fired if value == SCHEDULE_TIME else value for name, value in parameters.items()}
    return {**run, "runtime_config": {**config, "parameters": named}}


def read_run(
    backend: Backend, run_id: str, known: Known | None = None, only: Collection[str] | None = None
) -> RunAccount:
    """Return the account of a run, which may still be going on (its state is then `running`).

    Args:
        backend: Where it is.
        run_id: Its id.
        known: A mapping that who asks again and again keeps: logs of steps that ended are then read once.
        only: Steps whose records are wanted when they succeeded; default: all.

    Raises:
        UserError: The API cannot be reached or does not know the run.
    """
    try:
        account = read_kfp_run(BackendApi(backend), run_id, ends_now=False, known=known, only=only)
    except StepError as error:
        raise UserError(str(error)) from error
    return dataclasses.replace(account, report=backend.run_url(run_id))


def is_over(account: RunAccount) -> bool:
    """Tell whether a run has ended, its exit handler included."""
    return account.state not in ("running", "cancelling")


def all_steps(account: RunAccount) -> list[StepAccount]:
    """Return the steps of a run, its exit handler last."""
    return [*account.steps, *([account.handler] if account.handler else [])]


def failed_sentence(account: RunAccount) -> tuple[str, int]:
    """Return why a run ended as it did, and the exit code that stands for it; no sentence for a success.

    Exit codes are those of a local run: 0 success, 1 a bug or a lost pod, 2 wrong input or settings,
    3 blocked by a gate, 130 cancelled.
    """
    code = EXIT_CODES.get(account.state, 1)
    if code == 0 or not is_over(account):
        return "", 0
    if account.state == "cancelled":
        return account.error or "the run was cancelled", code
    stopped = account.stopped_at
    if stopped is None:
        return account.error or "the run ended without a reason", code
    if account.state == "failed" and stopped.record.get("exit_code") == 2:
        code = 2
    return f"{stopped.title}: {_reason(stopped)}", code


def _reason(step: StepAccount) -> str:
    return step.error or "it left no record: `penstock runs logs` may show why"


def list_runs(backend: Backend, most: int, **query: Any) -> list[dict[str, Any]]:
    """Return runs of API v2, newest first.

    Raises:
        UserError: The API cannot be reached.
    """
    found = backend.pages(
        f"{API}/runs", "runs", doing="list runs", size=min(PAGE, most), sort_by="created_at desc", **query
    )
    return list(itertools.islice(found, most))


def find_run(backend: Backend, name: str = LATEST) -> dict[str, Any]:
    """Return a run of API v2 by its id, its name, a unique part of either, or `latest`.

    Raises:
        UserError: There is no such run, or more than one.
    """
    if name == LATEST:
        runs = [run for run in list_runs(backend, PAGE) if not is_follow_up(run)]
        if not runs:
            raise UserError(
                f"there are no runs on {backend.host} yet: start one with `penstock submit PIPELINE --env "
                f"{backend.environment.name}`"
            )
        return runs[0]
    if _looks_like_id(name):
        try:
            return BackendApi(backend).run(name)
        except ApiError as error:
            if error.status not in (400, 404):
                raise
    matches = list_runs(backend, 2, filter=equals("name", name))
    if len(matches) == 1:
        return matches[0]
    runs = matches or list_runs(backend, LOOK_BACK)
    matches = matches or [run for run in runs if name and run["run_id"].startswith(name)]
    matches = matches or [run for run in runs if name and name in run.get("display_name", "")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(f"{run['run_id']} ({run.get('display_name', '')})" for run in matches[:5])
        raise UserError(
            f"{name!r} fits {len(matches)} runs or more ({listed}): type the id, or more of the name"
        )
    names = [run.get("display_name", "") for run in runs]
    raise UserError(
        f"there is no run {name!r} on {backend.host}{did_you_mean(name, names)} "
        f"(`penstock runs list --env {backend.environment.name}` shows them)"
    )


def is_follow_up(run: Mapping[str, Any]) -> bool:
    """Tell whether a run only tells of another one, which was retried."""
    spec = specification(run.get("pipeline_spec") or {})
    return (spec.get("pipelineInfo") or {}).get("name") == FOLLOW_UP


def state_word(run: dict[str, Any]) -> str:
    """Return KFP's state of a run in our words; what only its steps know (blocked, unchanged) is not in it."""
    words = {
        "SUCCEEDED": "succeeded",
        "FAILED": "failed",
        "CANCELING": "cancelling",
        "CANCELED": "cancelled",
        "SKIPPED": "skipped",
        "PENDING": "pending",
    }
    return words.get(str(run.get("state")), "running")


def _looks_like_id(name: str) -> bool:
    return len(name) == 36 and name.count("-") == 4

"""Ends a run of KFP, or lets one that failed go on; and starts what tells of its end."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from penstock.compile_pipeline import check_ir, compiled_path
from penstock.components.model_registry.run_account import RunAccount
from penstock.components.notify.kfp_run import ENDED, OURS
from penstock.components.notify.kfp_spec import specification, tasks_of
from penstock.errors import UserError
from penstock.kfp_backend.client import API, ApiError, Backend
from penstock.kfp_backend.runs import failed_sentence, is_over
from penstock.project import Project

FOLLOW_UP = "notify_run"
BEGIN_S = 60.0  # until KFP says that a retried run is running


def cancel(backend: Backend, account: RunAccount) -> None:
    """End a run; its exit handler still runs.

    Raises:
        UserError: It has ended, or the API refuses.
    """
    if is_over(account):
        raise UserError(f"the run {account.name or account.id} has ended already: {ended_words(account)}")
    try:
        backend.post(f"{API}/runs/{quote(account.id, safe='')}:terminate", doing=f"cancel {account.id}")
    except ApiError as error:
        if "Row not found" not in str(error):
            raise
        raise UserError(f"the run {account.name or account.id} ended at this very moment") from error


def check_retry(account: RunAccount, env: str, force: bool = False) -> None:
    """Refuse to retry what would gain nothing.

    Raises:
        UserError: The run is going on, succeeded, or was blocked by a gate and `force` is not set.
    """
    name = account.name or account.id
    if not is_over(account):
        raise UserError(
            f"the run {name} is going on: `penstock runs cancel {account.id} --env {env}` ends it, if it should"
        )
    if account.state in ("succeeded", "unchanged"):
        raise UserError(
            f"the run {name} {account.state}: there is nothing to retry (`penstock submit --again` makes a new run)"
        )
    if account.state == "blocked" and not force:
        raise UserError(
            f"the run {name} was blocked by a gate ({failed_sentence(account)[0]}), whose inputs a retry keeps: it would "
            "block again; mend the data or the settings and submit, or retry with --force"
        )


def retry(backend: Backend, run_id: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let a failed run go on with the step that failed, in place; return when KFP has begun.

    Raises:
        UserError: The API refuses, or nothing begins.
    """
    backend.post(f"{API}/runs/{quote(run_id, safe='')}:retry", doing=f"retry {run_id}")
    deadline = time.monotonic() + BEGIN_S
    while time.monotonic() < deadline:
        if (
            backend.get(f"{API}/runs/{quote(run_id, safe='')}", doing="read the run").get("state")
            not in ENDED
        ):
            return
        sleep(1.0)
    raise UserError(
        f"KFP accepted the retry of {run_id}, but it has not begun after {BEGIN_S:.0f} s: look at its page"
    )


def follow_up(
    backend: Backend, project: Project, run: Mapping[str, Any], account: RunAccount
) -> dict[str, Any] | None:
    """Start a run that waits on the cluster for the end of another, then notifies; None where no step notifies.

    It is pipelines/notify_run.py in the image of the other run's notify, with its variables and secrets.

    Args:
        backend: Where both run.
        project: Holds the compiled pipeline.
        run: The other run, as API v2 tells it.
        account: Its account.

    Raises:
        UserError: The compiled pipeline is missing, or the API refuses.
    """
    spec, platform = specifications(backend, run)
    label = _notify_label(spec)
    if not label:
        return None
    ir = _notify_ir(project)
    ours = next(iter(ir["deploymentSpec"]["executors"]))
    theirs = spec["deploymentSpec"]["executors"][label]["container"]
    ir["deploymentSpec"]["executors"][ours]["container"] |= {
        key: theirs[key] for key in ("image", "env", "resources") if key in theirs
    }
    config = _kubernetes_executors(platform).get(label)
    whole: dict[str, Any] = ir
    if config:
        whole = {
            "pipeline_spec": ir,
            "platform_spec": {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {ours: config}}}}},
        }
    body: dict[str, Any] = {
        "display_name": f"notify {account.name or account.id}",
        "description": f"tells how the retried run {account.id} ends",
        "experiment_id": run.get("experiment_id", ""),
        "pipeline_spec": whole,
        "runtime_config": {
            "parameters": {
                "pipeline": account.pipeline,
                "app": account.app,
                "run_id": account.id,
                "registry_uri": account.argument("registry_uri"),
            },
            **_root(run),
        },
    }
    if account_name := run.get("service_account"):
        body["service_account"] = account_name
    return backend.post(f"{API}/runs", body, doing="start the run that notifies")


def ended_words(account: RunAccount) -> str:
    """Return how a run ended, with its reason."""
    sentence, _ = failed_sentence(account)
    return f"{account.state} ({sentence})" if sentence else account.state


def specifications(backend: Backend, run: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the IR of a run and its platform spec.

    Raises:
        UserError: The API refuses.
    """
    found = run.get("pipeline_spec") or {}
    reference = run.get("pipeline_version_reference") or {}
    if not found and reference.get("pipeline_version_id"):
        path = f"{API}/pipelines/{reference['pipeline_id']}/versions/{reference['pipeline_version_id']}"
        found = backend.get(path, doing="read the pipeline version").get("pipeline_spec") or {}
    return specification(found), found.get("platform_spec") or {}


def _notify_label(spec: Mapping[str, Any]) -> str:
    """Return the label of the executor of the exit handler; empty when the pipeline has none."""
    exits = [task for task in tasks_of(spec) if task.is_exit and task.step == OURS]
    return exits[0].label if exits else ""


def _notify_ir(project: Project) -> dict[str, Any]:
    path = compiled_path(FOLLOW_UP, project)
    try:
        return check_ir(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): run `penstock compile`") from error


def _kubernetes_executors(platform: Mapping[str, Any]) -> Mapping[str, Any]:
    kubernetes = (platform.get("platforms") or {}).get("kubernetes") or {}
    return (kubernetes.get("deploymentSpec") or {}).get("executors") or {}


def _root(run: Mapping[str, Any]) -> dict[str, str]:
    root = (run.get("runtime_config") or {}).get("pipeline_root")
    return {"pipeline_root": str(root)} if root else {}

"""`penstock runs … --env E` where E is a cluster."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock.components.model_registry.run_account import RunAccount
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.kfp_backend import cancellations
from penstock.kfp_backend.client import Backend, connect
from penstock.kfp_backend.run_changes import cancel, check_retry, follow_up, retry, specifications
from penstock.kfp_backend.run_text import runs_table, steps_table, summary
from penstock.kfp_backend.runs import (
    BackendApi,
    all_steps,
    failed_sentence,
    find_run,
    is_follow_up,
    list_runs,
    read_run,
)
from penstock.kfp_backend.watch import follow
from penstock.nearest import did_you_mean
from penstock.project import Project

AT_ONCE = 6  # runs that are read at the same time
FOR_A_LIST = ("resolve_champion", "evaluate_model")  # whose records the list needs


def show_list(environment: Environment, most: int, as_json: bool) -> None:
    """Print the runs of a cluster, newest first.

    Raises:
        UserError: The API cannot be reached.
    """
    backend = connect(environment)
    found = [run for run in list_runs(backend, most + most // 2) if not is_follow_up(run)][:most]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        accounts = list(pool.map(lambda run: _account(backend, run), found))
    if as_json:
        fields = ("id", "name", "pipeline", "app", "state", "started", "ended", "error")
        told = [{name: getattr(account, name) for name in fields} for account in accounts]
        for entry, account in zip(told, accounts, strict=True):
            entry["error"] = failed_sentence(account)[0]
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return
    if not found:
        print(f"no runs on {backend.host} yet: start one with `penstock submit --env {environment.name}`")
        return
    print(runs_table(list(zip(found, accounts, strict=True))))


def wait_for_run(environment: Environment, name: str) -> int:
    """Show how a run goes until it ends; return the exit code that its steps' records say.

    Raises:
        UserError: There is no such run, or the API cannot be reached.
    """
    backend = connect(environment)
    return follow(backend, find_run(backend, name)["run_id"])


def show_run(environment: Environment, name: str, as_json: bool) -> None:
    """Print a run: its steps, versions, parameters, verdicts, metrics, artifacts, and what stopped it.

    Raises:
        UserError: There is no such run, or the API cannot be reached.
    """
    backend = connect(environment)
    run = find_run(backend, name)
    account = cancellations.told(environment, read_run(backend, run["run_id"]))
    if as_json:
        sentence, code = failed_sentence(account)
        told = {**dataclasses.asdict(account), "sentence": sentence, "exit_code": code}
        print(json.dumps(told, indent=1, ensure_ascii=False, default=str))
        return
    print(steps_table(account))
    print()
    executor = f"{account.executor} {backend.version} at {backend.host}"
    print("\n".join(summary(account, executor, _defaults(backend, run), environment.name)))


def show_logs(environment: Environment, name: str, step: str) -> None:
    """Print the log of a step: by default of the step that ended the run, else of all steps.

    Raises:
        UserError: There is no such run or step, or it has no log.
    """
    backend = connect(environment)
    account = read_run(backend, find_run(backend, name)["run_id"])
    logged = [one for one in all_steps(account) if one.log]
    if step:
        wanted = [one for one in logged if step in (one.task, one.title, one.step)]
        if not wanted:
            names = [one.task for one in logged]
            raise UserError(
                f"the run {account.name} has no log of a step {step!r}{did_you_mean(step, names)} "
                f"(there are: {', '.join(names)}; a step from the cache has its log in the run that computed it)"
            )
    else:
        stopped = account.stopped_at
        wanted = [stopped] if stopped is not None and stopped.log else logged
    api = BackendApi(backend)
    empty = []
    for one in wanted:
        text = api.log_of(account.id, one.log)
        if not text:
            empty.append(one)
            continue
        if len(wanted) > 1:
            print(f"== {one.title}", flush=True)
        print(text, end="" if text.endswith("\n") else "\n")
    for one in empty:
        reason = (
            f"it is {one.state}, KFP gives logs of ended steps only (`kubectl -n {environment.namespace} logs -f "
            f"-l pipeline/runid={account.id} -c main` shows it live)"
            if one.state in ("running", "pending")
            else one.message or "KFP kept none"
        )
        print(f"penstock: no log of {one.title}: {reason}", file=sys.stderr)
    if empty and len(empty) == len(wanted):
        raise UserError(f"the run {account.name} has no log of {', '.join(one.title for one in wanted)}")


def cancel_run(environment: Environment, name: str, why: str) -> None:
    """End a run, and remember who did it and why.

    Raises:
        UserError: There is no such run, it has ended, or the pipeline root cannot be written to.
    """
    backend = connect(environment)
    run = find_run(backend, name)
    account = read_run(backend, run["run_id"], only=())
    cancel(backend, account)
    ours = cancellations.ours(why)
    try:
        cancellations.remember(environment, account.id, ours)
    except UserError as error:
        raise UserError(
            f"the run {account.name} is being cancelled, but nobody will know by whom: {error}"
        ) from error
    print(f"run {account.name}: {ours.sentence}")
    print(f"its exit handler tells it; penstock runs show {account.id} --env {environment.name} shows it")


def retry_run(project: Project, environment: Environment, name: str, wait: bool, force: bool) -> int:
    """Let a failed run go on with the step that failed, and have its end told; return the exit code.

    Raises:
        UserError: There is no such run, a retry would gain nothing, or the API refuses.
    """
    backend = connect(environment)
    run = find_run(backend, name)
    account = read_run(backend, run["run_id"])
    check_retry(account, environment.name, force)
    retry(backend, account.id)
    stopped = account.stopped_at
    print(f"run {account.name} goes on{f' at {stopped.title}' if stopped else ''}")
    print(account.report)
    told = follow_up(backend, project, run, account)
    if told is None:
        print("it has no exit handler: nobody is told how it ends", file=sys.stderr)
    else:
        print(f"its end is told by the run {told.get('display_name')!r}, on the cluster")
    if not wait:
        print(f"follow it with: penstock runs show {account.id} --env {environment.name} --wait")
        return 0
    return follow(backend, account.id)


def _account(backend: Backend, run: Mapping[str, Any]) -> RunAccount:
    account = read_run(backend, run["run_id"], only=FOR_A_LIST)
    return cancellations.told(backend.environment, account)


def _defaults(backend: Backend, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of the pipeline's parameters."""
    spec, _ = specifications(backend, run)
    declared = ((spec.get("root") or {}).get("inputDefinitions") or {}).get("parameters") or {}
    return {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}

"""The recurring runs of a KFP API: those that we made, what they fired, and the calls that change them.

Ours are known by their description, which names the schedule and its environment; all others are left alone.
KFP cannot change a recurring run, except switch it on and off.

The description names the service account that was asked for, too: KFP 2.14 to 2.16 let recurring runs have that of
their API server instead (kubeflow/pipelines#13311), which the answer tells.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from penstock.components.notify.kfp_run import ENDED
from penstock.kfp_backend.client import API, PAGE, ApiError, Backend, equals
from penstock.kfp_backend.submission import ensure_experiment
from penstock.kfp_backend.upload import ensure_version
from penstock.schedules.desired import Wanted

MARK = re.compile(r"penstock schedule (\S+) of environment (\S+?)(?:, account (\S+))?(?=\s|$)")
LONGEST_ACCOUNT = 80  # KFP keeps 255 characters of a description


@dataclass(frozen=True)
class Recurring:
    """A recurring run of ours. Times are in UTC."""

    id: str
    name: str  # of the schedule
    cron: str
    catch_up: bool
    max_concurrency: int
    start: datetime.datetime | None
    end: datetime.datetime | None
    enabled: bool
    created: datetime.datetime
    parameters: dict[str, Any]
    pipeline: str
    version: str  # name of the pipeline version; empty when it is gone
    pipeline_root: str
    service_account: str  # of its runs
    asked_account: str  # that was asked for; empty leaves it to KFP

    @property
    def counts_from(self) -> datetime.datetime:
        """The moment after which KFP looks for the first firing."""
        return self.start or self.created


@dataclass(frozen=True)
class Uploaded:
    """The ids of what a recurring run runs."""

    pipeline_id: str
    version_id: str
    experiment_id: str


@dataclass(frozen=True)
class Fired:
    """A run that a recurring run made."""

    run_id: str
    name: str
    scheduled: datetime.datetime  # when it should begin
    state: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED


def list_ours(backend: Backend) -> list[Recurring]:
    """Return the recurring runs that we made for the backend's environment, oldest first.

    Raises:
        UserError: The API refuses, or cannot be reached.
    """
    versions: dict[tuple[str, str], str] = {}
    pipelines: dict[str, str] = {}
    found = []
    listed = backend.pages(
        f"{API}/recurringruns", "recurringRuns", "recurring_runs", doing="list recurring runs"
    )
    for raw in listed:
        mark = MARK.match(str(raw.get("description") or ""))
        if mark and mark[2] == backend.environment.name:
            reference = raw.get("pipeline_version_reference") or {}
            ids = str(reference.get("pipeline_id") or ""), str(reference.get("pipeline_version_id") or "")
            if ids[0] not in pipelines:
                pipelines[ids[0]] = _display_name(backend, f"{API}/pipelines/{quote(ids[0])}")
            if ids not in versions:
                path = f"{API}/pipelines/{quote(ids[0])}/versions/{quote(ids[1])}"
                versions[ids] = _display_name(backend, path)
            found.append(_recurring(raw, mark, pipelines[ids[0]], versions[ids]))
    return sorted(found, key=lambda one: (one.created, one.id))


def runs_of(backend: Backend, recurring: Recurring) -> list[Fired]:
    """Return the newest runs that a recurring run made, by the time they were scheduled for, newest first."""
    answer = backend.get(
        f"{API}/runs",
        doing=f"list the runs of the schedule {recurring.name}",
        filter=equals("recurring_run_id", recurring.id),
        sort_by="created_at desc",
        page_size=PAGE,
        **backend.in_namespace,
    )
    fired = [
        Fired(
            run_id=str(run["run_id"]),
            name=str(run.get("display_name") or ""),
            scheduled=_moment(run.get("scheduled_at")) or _moment(run.get("created_at")) or recurring.created,
            state=str(run.get("state") or "PENDING"),
        )
        for run in answer.get("runs") or []
    ]
    return sorted(fired, key=lambda run: run.scheduled, reverse=True)


def upload(backend: Backend, wanted: Wanted) -> Uploaded:
    """Upload what a recurring run runs, where it is not there yet.

    Raises:
        UserError: The pipeline root cannot be written to, or the API refuses.
    """
    wanted.delivery.publish()
    pipeline_id, version_id = ensure_version(backend, wanted.delivery)
    return Uploaded(pipeline_id, version_id, ensure_experiment(backend, wanted.delivery.app))


def create(
    backend: Backend,
    wanted: Wanted,
    uploaded: Uploaded,
    *,
    start: datetime.datetime | None,
    enabled: bool,
) -> Recurring:
    """Make a recurring run of what is uploaded, in one call; `start` is the moment after which it fires.

    Raises:
        UserError: The API refuses, or cannot be reached.
    """
    trigger: dict[str, Any] = {"cron": wanted.cron.for_kfp()}
    if start:
        trigger["start_time"] = _text(start)
    if wanted.end:
        trigger["end_time"] = _text(wanted.end)
    account = f", account {asked_account(wanted)}" if wanted.service_account else ""
    description = f"penstock schedule {wanted.name} of environment {backend.environment.name}{account}"
    body: dict[str, Any] = {
        "display_name": wanted.name,
        "description": description,
        "experiment_id": uploaded.experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": uploaded.pipeline_id,
            "pipeline_version_id": uploaded.version_id,
        },
        "runtime_config": {"parameters": wanted.parameters, "pipeline_root": wanted.pipeline_root},
        "max_concurrency": str(wanted.max_concurrency),
        "no_catchup": not wanted.catch_up,
        "mode": "ENABLE" if enabled else "DISABLE",
        "trigger": {"cron_schedule": trigger},
        **backend.in_namespace,
    }
    if wanted.service_account:
        body["service_account"] = wanted.service_account
    raw = backend.post(f"{API}/recurringruns", body, doing=f"make the schedule {wanted.name}")
    mark = MARK.match(description)
    if mark is None:
        raise ValueError(description)
    return _recurring(raw, mark, wanted.delivery.pipeline, wanted.delivery.version)


def asked_account(wanted: Wanted) -> str:
    """Return the service account as the description keeps it."""
    return wanted.service_account[:LONGEST_ACCOUNT]


def account_warning(recurring: Recurring) -> str:
    """Return that the runs have another service account than was asked for; empty when they have that one."""
    asked, given = recurring.asked_account, recurring.service_account
    if not asked or given[:LONGEST_ACCOUNT] == asked:
        return ""
    return (
        f"its runs have the service account {given}, not {asked}: this version of KFP gives recurring runs the one of "
        "its API server (DEFAULTPIPELINERUNNERSERVICEACCOUNT; kubeflow/pipelines#13311)"
    )


def switch(backend: Backend, recurring: Recurring, *, on: bool) -> None:
    """Let a recurring run fire, or no longer; raises as `create` does."""
    backend.post(
        f"{API}/recurringruns/{recurring.id}:{'enable' if on else 'disable'}",
        doing=f"switch the schedule {recurring.name} {'on' if on else 'off'}",
    )


def delete(backend: Backend, recurring: Recurring) -> None:
    """Delete a recurring run; one that is gone is fine. Raises as `create` does.

    Kubernetes takes its unfinished runs along, without a word to KFP, which shows them as running for ever.
    """
    try:
        backend.delete(f"{API}/recurringruns/{recurring.id}", doing=f"delete the schedule {recurring.name}")
    except ApiError as error:
        if error.status != 404:
            raise


def _display_name(backend: Backend, path: str) -> str:
    try:
        return str(backend.get(path, doing="look up a pipeline version").get("display_name") or "")
    except ApiError as error:
        if error.status not in (400, 404):
            raise
        return ""


def _recurring(raw: Mapping[str, Any], mark: re.Match[str], pipeline: str, version: str) -> Recurring:
    cron = (raw.get("trigger") or {}).get("cron_schedule") or {}
    runtime = raw.get("runtime_config") or {}
    return Recurring(
        id=str(raw["recurring_run_id"]),
        name=mark[1],
        cron=str(cron.get("cron") or ""),
        catch_up=not raw.get("no_catchup"),
        max_concurrency=int(raw.get("max_concurrency") or 1),
        start=_moment(cron.get("start_time")),
        end=_moment(cron.get("end_time")),
        enabled=raw.get("mode") == "ENABLE" or (not raw.get("mode") and raw.get("status") == "ENABLED"),
        created=_moment(raw.get("created_at")) or datetime.datetime.now(datetime.UTC),
        parameters=dict(runtime.get("parameters") or {}),
        pipeline=pipeline,
        version=version,
        pipeline_root=str(runtime.get("pipeline_root") or ""),
        service_account=str(raw.get("service_account") or ""),
        asked_account=mark[3] or "",
    )


def _moment(text: Any) -> datetime.datetime | None:
    """Return a time of the API; it calls one that has not come 1970."""
    if not text or str(text).startswith("1970-"):
        return None
    return datetime.datetime.fromisoformat(str(text)).astimezone(datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"

"""Makes the recurring runs of a KFP API what an environment file declares."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from penstock.environment_models import Environment
from penstock.kfp_backend.client import Backend
from penstock.project import Project
from penstock.schedules.changeover import Clock, Say, replace, retire
from penstock.schedules.desired import SECOND, desire
from penstock.schedules.diff import Change, compare
from penstock.schedules.recurring_runs import Recurring, create, list_ours, switch
from penstock.schedules.zones import find_zone


def plan(
    project: Project,
    environment: Environment,
    backend: Backend,
    lock_path: Path | None = None,
    clock: Clock | None = None,
) -> list[Change]:
    """Return what is to be done; nothing is changed.

    Args:
        project: The project.
        environment: Whose schedules.
        backend: Where they are.
        lock_path: The digests of the images; default: images.lock.json at the project's root.
        clock: The time.

    Raises:
        UserError: A schedule cannot be what it declares, or the API cannot be reached.
    """
    now = (clock or Clock()).now()
    wanted = [desire(project, environment, schedule, now, lock_path) for schedule in environment.schedules]
    apps = [path.name for path in project.apps.iterdir() if path.is_dir()] if project.apps.is_dir() else []
    return compare(wanted, list_ours(backend), apps, now)


def carry_out(backend: Backend, changes: Sequence[Change], say: Say, clock: Clock | None = None) -> None:
    """Do what a plan says, one schedule after the other.

    Raises:
        UserError: The pipeline root cannot be written to, or the API refuses. What is done is done; another
            `apply` does the rest.
    """
    zone = find_zone(backend.environment.cron_time_zone)
    clock = clock or Clock()
    for change in changes:
        _one(backend, change, zone, say, clock)
        if change.action in ("create", "replace"):
            _only_one(backend, change.name, zone, say, clock)


def _one(backend: Backend, change: Change, zone: datetime.tzinfo, say: Say, clock: Clock) -> None:
    wanted, current = change.wanted, change.current
    if change.action == "create" and wanted:
        start = wanted.start - SECOND if wanted.start else None
        create(backend, wanted, start=start, enabled=wanted.enabled)
        return
    if change.action == "replace":
        replace(backend, change, say, clock)
        return
    if change.action == "switch off" and current:
        switch(backend, current, on=False)
    if change.action == "remove" and current and wanted is None:
        retire(backend, current, zone, say, clock)
    for one in change.leftovers:
        retire(backend, one, zone, say, clock)


def _only_one(backend: Backend, name: str, zone: datetime.tzinfo, say: Say, clock: Clock) -> None:
    """Let the first of a schedule's recurring runs fire alone, where two people applied at the same time."""
    firing: list[Recurring] = [one for one in list_ours(backend) if one.name == name and one.enabled]
    for one in firing[1:]:
        say(f"{name}: somebody else applied at the same time, theirs stays")
        retire(backend, one, zone, say, clock)

"""Makes the recurring runs of a KFP API what an environment file declares."""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.environment_models import Environment
from penstock.kfp_backend.client import Backend
from penstock.project import Project
from penstock.schedules.changeover import Clock, Say, line_of, replace, retire_all
from penstock.schedules.desired import SECOND, desire
from penstock.schedules.diff import Change, compare
from penstock.schedules.recurring_runs import (
    Recurring,
    account_warning,
    create,
    list_ours,
    runs_of,
    switch,
    upload,
)
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
    changes = compare(wanted, list_ours(backend), apps, now)
    return [dataclasses.replace(change, warnings=tuple(_warnings(backend, change))) for change in changes]


def _warnings(backend: Backend, change: Change) -> Iterator[str]:
    """Yield what does not go as declared, though nothing can be done about it from here."""
    current = change.current
    if current is None:
        return
    if sentence := account_warning(current):
        yield sentence
    line = line_of(current)
    runs = runs_of(backend, current) if line else []
    if not runs or not line:
        return
    name, fired = backend.environment.cron_time_zone, runs[0].scheduled
    if line.before(fired, find_zone(name)) != fired:
        yield (
            f"it fired for {fired:%Y-%m-%d %H:%M} UTC, which is no time of {line.text!r} in {name}: KFP's schedule "
            "controller is in another zone than `cron_time_zone` says"
        )


def carry_out(backend: Backend, changes: Sequence[Change], say: Say, clock: Clock | None = None) -> bool:
    """Do what a plan says, one schedule after the other; return whether nothing is left for a later `apply`.

    Raises:
        UserError: The pipeline root cannot be written to, or the API refuses. What is done is done; another
            `apply` does the rest.
    """
    zone = find_zone(backend.environment.cron_time_zone)
    clock = clock or Clock()
    is_done = True
    for change in changes:
        is_done &= _one(backend, change, zone, say, clock)
        if change.action in ("create", "replace"):
            is_done &= _only_one(backend, change.name, zone, say, clock)
    return is_done


def _one(backend: Backend, change: Change, zone: datetime.tzinfo, say: Say, clock: Clock) -> bool:
    wanted, current = change.wanted, change.current
    if change.action == "create" and wanted:
        start = wanted.start - SECOND if wanted.start else None
        made = create(backend, wanted, upload(backend, wanted), start=start, enabled=wanted.enabled)
        if sentence := account_warning(made):
            say(f"{change.name}: {sentence}")
        return True
    if change.action == "replace":
        return replace(backend, change, say, clock)
    if change.action == "switch off" and current:
        switch(backend, current, on=False)
    going = list(change.leftovers)
    if change.action == "remove" and current and wanted is None:
        going.append(current)
    return retire_all(backend, going, zone, say, clock)


def _only_one(backend: Backend, name: str, zone: datetime.tzinfo, say: Say, clock: Clock) -> bool:
    """Let the first of a schedule's recurring runs fire alone, where two people applied at the same time."""
    firing: list[Recurring] = [one for one in list_ours(backend) if one.name == name and one.enabled]
    if len(firing) > 1:
        say(f"{name}: somebody else applied at the same time, theirs stays")
    return retire_all(backend, firing[1:], zone, say, clock)

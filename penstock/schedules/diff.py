"""The difference between the schedules that are declared and the recurring runs that are there."""

import datetime
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.schedules.desired import SECOND, Wanted
from penstock.schedules.recurring_runs import Recurring, asked_account

Action = Literal["create", "replace", "switch off", "remove", "keep", "unchanged"]
OF_THE_APP = ("app_uri", "schema_uri", "code_uri")


@dataclass(frozen=True)
class FieldChange:
    """One thing that differs."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """What is to be done for one schedule."""

    name: str
    action: Action
    why: str = ""
    fields: tuple[FieldChange, ...] = ()
    wanted: Wanted | None = None
    current: Recurring | None = None  # the one that fires, or fired last
    leftovers: tuple[
        Recurring, ...
    ] = ()  # other ones of the name, of an apply that was cut short or still waits
    next_firing: datetime.datetime | None = None
    warnings: tuple[str, ...] = ()


def compare(
    wanted: Sequence[Wanted], there: Sequence[Recurring], apps: Collection[str], now: datetime.datetime
) -> list[Change]:
    """Return what is to be done, in the order of the file; then what is no longer declared.

    Args:
        wanted: What is declared.
        there: What we made for this environment.
        apps: The apps of this project: a schedule of another app is another project's, and is kept.
        now: The time.
    """
    changes = []
    for one in wanted:
        same_name = [recurring for recurring in there if recurring.name == one.name]
        changes.append(_change(one, same_name, now))
    names = {one.name for one in wanted}
    changes += [_undeclared(recurring, apps) for recurring in there if recurring.name not in names]
    return changes


def differences(wanted: Wanted, current: Recurring, now: datetime.datetime) -> Iterator[FieldChange]:
    """Yield what differs, whether it fires at all left out."""
    pairs: list[tuple[str, Any, Any]] = [
        ("cron", current.cron, wanted.cron.for_kfp()),
        ("catch_up", current.catch_up, wanted.catch_up),
        ("max_concurrency", current.max_concurrency, wanted.max_concurrency),
        ("start", _coming(current.start and current.start + SECOND, now), _coming(wanted.start, now)),
        ("end", current.end, wanted.end),
        ("pipeline", current.pipeline, wanted.delivery.pipeline),
        ("version", current.version, wanted.delivery.version),
        ("pipeline_root", current.pipeline_root, wanted.pipeline_root),
        ("service_account", current.asked_account, asked_account(wanted)),
    ]
    names = sorted({*current.parameters, *wanted.parameters})
    pairs += [
        (f"parameters.{name}", current.parameters.get(name), wanted.parameters.get(name)) for name in names
    ]
    yield from (FieldChange(*pair) for pair in pairs if pair[1] != pair[2])


def reason(fields: Sequence[FieldChange]) -> str:
    """Return in words why a schedule is replaced, where its fields alone do not tell."""
    changed = {change.field for change in fields}
    parts = []
    if "version" in changed:
        parts.append("code, images or settings of the environment")
    if any(f"parameters.{name}" in changed for name in OF_THE_APP):
        parts.append("app")
    return f"it runs an old version: {' and '.join(parts)} changed since" if parts else ""


def _change(wanted: Wanted, there: Sequence[Recurring], now: datetime.datetime) -> Change:
    firing = wanted.next_firing(now)
    if not there:
        return Change(wanted.name, "create", wanted=wanted, next_firing=firing)
    by_difference = {one.id: tuple(differences(wanted, one, now)) for one in there}
    on = [one for one in there if one.enabled]
    # The newest that fires is the one that counts: an older one is what it replaces.
    current = (on or list(there))[-1]
    leftovers = tuple(one for one in there if one is not current)
    fields = by_difference[current.id]
    if current.enabled != wanted.enabled:
        fields = (*fields, FieldChange("enabled", current.enabled, wanted.enabled))
    action: Action = "unchanged"
    why = ""
    if fields:
        off = not wanted.enabled and [change.field for change in fields] == ["enabled"]
        action = "switch off" if off else "replace"
        why = reason(fields)
    elif leftovers:
        action, why = "remove", "what an earlier change has left of it"
    return Change(wanted.name, action, why, fields, wanted, current, leftovers, firing)


def _undeclared(recurring: Recurring, apps: Collection[str]) -> Change:
    app = recurring.parameters.get("app")
    if app is not None and app not in apps:
        return Change(
            recurring.name,
            "keep",
            f"not declared here, and neither is its app {app!r}: of another project? "
            "`penstock schedule delete` removes it",
            current=recurring,
        )
    return Change(recurring.name, "remove", "no longer declared", current=recurring)


def _coming(moment: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime | None:
    """Return a bound that still matters: a start that has passed is none."""
    return moment if moment and moment > now else None

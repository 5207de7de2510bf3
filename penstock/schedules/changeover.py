"""Puts one recurring run in the place of another, so that every firing happens once.

KFP cannot change a recurring run. So what the new one runs is uploaded; it is made switched off, counting from now;
the old one is switched off; what it fired until then is read; the new one is switched on and makes up for what fell
between; the old one is deleted. Whatever ends this in the middle, the next `apply` finds both and goes on: at no moment do both fire.

- Nothing is changed within seconds of a firing: KFP's controller begins a run up to half a minute after its time, and
  the API hears of it a moment later.
- A firing that waits for an earlier run to end (max_concurrency) is taken over, unless the cron line changed: then
  it is dropped, and said so.
- Deleting a recurring run ends its unfinished runs (see `recurring_runs.delete`): until they have ended, the old one
  stays, switched off, and a later `apply` deletes it.

What remains: a run that KFP reports more than SETTLE_S after the old one was switched off is not seen, and its firing
happens twice; so does one that comes in the second in which two people apply the same change; and the clocks of this
machine and the cluster must not be more than a few seconds apart.
"""

import datetime
import time
from collections.abc import Callable, Sequence

from penstock.kfp_backend.client import Backend
from penstock.schedules.cron import Cron, parse_cron
from penstock.schedules.desired import SECOND, Wanted
from penstock.schedules.diff import Change, differences
from penstock.schedules.recurring_runs import (
    Fired,
    Recurring,
    Uploaded,
    create,
    delete,
    runs_of,
    switch,
    upload,
)

DUE_S = 75  # after its time a firing has begun: the controller looks each 30 s
AHEAD_S = 10  # no change so shortly before a firing
SETTLE_S = 15  # for a run that began as its recurring run was switched off
LONGEST_WAIT_S = 240
POLL_S = 2.0

Say = Callable[[str], None]


class Clock:
    """The time in UTC, and waiting."""

    def now(self) -> datetime.datetime:
        """Return the time."""
        return datetime.datetime.now(datetime.UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def replace(backend: Backend, change: Change, say: Say, clock: Clock) -> bool:
    """Make the recurring run that a change wants, in the place of those that are there; return whether they are gone.

    Args:
        backend: Where they are.
        change: With `wanted` and `current`.
        say: Takes a sentence on what is waited for, or what else there is to know.
        clock: The time.

    Raises:
        UserError: The pipeline root cannot be written to, or the API refuses.
    """
    wanted, current = change.wanted, change.current
    if wanted is None or current is None:
        raise ValueError(f"nothing to replace: {change}")
    there = sorted([current, *change.leftovers], key=lambda one: (one.created, one.id))
    firing = [one for one in there if one.enabled]
    ready = [one for one in there if not one.enabled and not any(differences(wanted, one, clock.now()))]
    uploaded = upload(backend, wanted)
    start = wanted.start - SECOND if wanted.start else None
    was_cut_short = bool(ready) and not firing and len(there) > 1
    if not wanted.enabled:
        new = ready[-1] if ready else create(backend, wanted, uploaded, start=start, enabled=False)
    elif firing:
        _wait_for_quiet(backend, firing[-1], wanted.zone, say, clock)
        new = create(backend, wanted, uploaded, start=start, enabled=False)
    elif was_cut_short:
        new = max(ready, key=lambda one: one.counts_from)
    else:  # it was off: what was missed is made up for on request only
        last = _last(backend, there) if wanted.catch_up else None
        new = create(backend, wanted, uploaded, start=_later(last, start), enabled=False)
    old = [one for one in there if one.id != new.id]
    for one in firing:
        switch(backend, one, on=False)
    if wanted.enabled:
        if firing:
            _settle(backend, firing[-1], wanted.zone, clock)
        if firing or was_cut_short:
            others = [one for one in old if one not in ready]
            before = (firing or others or old)[-1]  # whose place it takes
            new = _counting_right(backend, before, old, new, wanted, uploaded, start, say)
        switch(backend, new, on=True)
    return retire_all(backend, old, wanted.zone, say, clock, are_settled=True)


def retire_all(
    backend: Backend,
    old: Sequence[Recurring],
    zone: datetime.tzinfo,
    say: Say,
    clock: Clock,
    *,
    are_settled: bool = False,
) -> bool:
    """Retire each of some recurring runs; return whether all are gone. Raises as `retire` does."""
    gone = [retire(backend, one, zone, say, clock, is_settled=are_settled) for one in old]
    return all(gone)


def _counting_right(
    backend: Backend,
    before: Recurring,
    old: Sequence[Recurring],
    new: Recurring,
    wanted: Wanted,
    uploaded: Uploaded,
    start: datetime.datetime | None,
    say: Say,
) -> Recurring:
    """Return the new one, made again where it would fire what the old ones fired, or miss what they still owe."""
    line = line_of(before)
    runs = runs_of(backend, before)
    owed = _due(before, line, wanted.zone, runs, new.counts_from) if line else None
    last = _last(backend, old)
    if owed and before.cron == wanted.cron.for_kfp():
        earlier = max([before.counts_from, *(run.scheduled for run in runs)])
        since = earlier if before.catch_up else owed - SECOND
    elif last and last > new.counts_from:
        since = last
    else:
        if owed:
            say(
                f"{before.name}: its firing of {owed:%Y-%m-%d %H:%M} UTC, which has not begun yet, is dropped: "
                "the cron line changed"
            )
        return new
    right = create(backend, wanted, uploaded, start=_later(since, start), enabled=False)
    delete(backend, new)
    return right


def retire(
    backend: Backend,
    recurring: Recurring,
    zone: datetime.tzinfo,
    say: Say,
    clock: Clock,
    *,
    is_settled: bool = False,
) -> bool:
    """Switch a recurring run off and delete it, or leave it while its runs go on; return whether it is gone.

    Raises:
        UserError: The API refuses, or cannot be reached.
    """
    if recurring.enabled and not is_settled:
        switch(backend, recurring, on=False)
        _settle(backend, recurring, zone, clock)
    going_on = [run for run in runs_of(backend, recurring) if not run.is_over]
    if going_on:
        names = ", ".join(run.name for run in going_on[:3])
        say(
            f"{recurring.name}: {recurring.id} fires no more, and stays until its run has ended ({names}): "
            "KFP would end the run with it"
        )
        return False
    delete(backend, recurring)
    return True


def line_of(recurring: Recurring) -> Cron | None:
    """Return the cron line of a recurring run; None for one that is not ours."""
    seconds, _, rest = recurring.cron.partition(" ")
    try:
        return parse_cron(rest) if seconds == "0" else None
    except ValueError:
        return None


def _wait_for_quiet(backend: Backend, old: Recurring, zone: datetime.tzinfo, say: Say, clock: Clock) -> None:
    """Wait until no firing is about to begin."""
    line = line_of(old)
    began = clock.now()
    told = False
    while line and (clock.now() - began).total_seconds() < LONGEST_WAIT_S:
        now = clock.now()
        runs = runs_of(backend, old)
        due = _due(old, line, zone, runs, now)
        coming = line.after(now, zone)
        if due and not _is_full(old, runs) and (now - due).total_seconds() < DUE_S:
            moment = due
        elif coming and (coming - now).total_seconds() < AHEAD_S:
            moment = coming
        else:
            return
        if not told:
            say(f"{old.name}: waits until its firing of {moment:%H:%M} UTC has begun")
            told = True
        clock.sleep(POLL_S)


def _is_full(recurring: Recurring, runs: Sequence[Fired]) -> bool:
    """Tell whether no further run can begin until one ends."""
    return sum(not run.is_over for run in runs) >= recurring.max_concurrency


def _due(
    old: Recurring, line: Cron, zone: datetime.tzinfo, runs: Sequence[Fired], now: datetime.datetime
) -> datetime.datetime | None:
    """Return the last firing that is due and has not begun; None when there is none."""
    last = max([old.counts_from, *(run.scheduled for run in runs)])
    bound = min(now, old.end) if old.end else now
    due = line.before(bound, zone)
    return due if due and due > last else None


def _settle(backend: Backend, old: Recurring, zone: datetime.tzinfo, clock: Clock) -> None:
    """Wait until the API knows of a run that may have begun while its recurring run was switched off."""
    line = line_of(old)
    began = clock.now()
    while line and (clock.now() - began).total_seconds() < SETTLE_S:
        runs = runs_of(backend, old)
        due = _due(old, line, zone, runs, began)
        if due is None or _is_full(old, runs) or (began - due).total_seconds() > DUE_S:
            return
        clock.sleep(POLL_S)


def _last(backend: Backend, there: Sequence[Recurring]) -> datetime.datetime | None:
    """Return the time of the last firing that began; None when there was none."""
    return max((run.scheduled for one in there for run in runs_of(backend, one)), default=None)


def _later(*moments: datetime.datetime | None) -> datetime.datetime | None:
    return max((moment for moment in moments if moment), default=None)

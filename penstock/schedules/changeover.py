"""Puts one recurring run in the place of another, so that every firing happens once.

KFP cannot change a recurring run. So the new one is made switched off, counting from now; the old one is switched
off; what it fired until then is read; the new one is switched on and makes up for what fell between; the old one
is deleted. Whatever ends this in the middle, the next `apply` finds both and goes on: at no moment do both fire.

- Nothing is changed within seconds of a firing: KFP's controller begins a run up to half a minute after its time, and
  the API hears of it a moment later.
- A firing that waits for an earlier run to end (max_concurrency) is taken over, unless the cron line changed: then
  it is dropped, and said so.
- Deleting a recurring run ends its unfinished runs (see `recurring_runs.delete`): until they have ended, the old one
  stays, switched off, and a later `apply` deletes it.

What remains: a run that KFP reports more than SETTLE_S after the old one was switched off is not seen, and its firing
happens twice; and clocks of this machine and the cluster that are more than a few seconds apart.
"""

import datetime
import time
from collections.abc import Callable, Sequence

from penstock.kfp_backend.client import Backend
from penstock.kfp_backend.upload import ensure_version
from penstock.schedules.cron import Cron, parse_cron
from penstock.schedules.desired import SECOND, Wanted
from penstock.schedules.diff import Change, differences
from penstock.schedules.recurring_runs import Fired, Recurring, create, delete, runs_of, switch

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


def replace(backend: Backend, change: Change, say: Say, clock: Clock) -> Recurring:
    """Make the recurring run that a change wants, in the place of those that are there.

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
    there = [current, *change.leftovers]
    firing = [one for one in there if one.enabled]
    ready = [one for one in there if not one.enabled and not any(differences(wanted, one, clock.now()))]
    wanted.delivery.publish()
    ensure_version(backend, wanted.delivery)
    start = wanted.start - SECOND if wanted.start else None
    if not wanted.enabled:
        new = ready[-1] if ready else create(backend, wanted, start=start, enabled=False)
    elif firing:
        cut = _cut(backend, firing[-1], wanted, say, clock)
        new = create(backend, wanted, start=_later(cut, start), enabled=False)
    elif ready and len(there) > 1:  # an apply was cut short here
        new = max(ready, key=lambda one: one.counts_from)
    else:  # it was off: what was missed is made up for on request only
        last = _last(backend, there) if wanted.catch_up else None
        new = create(backend, wanted, start=_later(last, start), enabled=False)
    old = [one for one in there if one.id != new.id]
    for one in firing:
        switch(backend, one, on=False)
    if wanted.enabled:
        if firing:
            _settle(backend, firing[-1], wanted.zone, clock)
        last = _last(backend, old) if firing or ready else None
        if last and last > new.counts_from:
            early = new
            new = create(backend, wanted, start=_later(last, start), enabled=False)
            delete(backend, early)
        switch(backend, new, on=True)
    for one in old:
        retire(backend, one, wanted.zone, say, clock, is_settled=True)
    return new


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
            f"{recurring.name}: the old one fires no more, and stays until its run has ended ({names}): KFP would "
            "end it along; a later apply removes it"
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


def _cut(
    backend: Backend, old: Recurring, wanted: Wanted, say: Say, clock: Clock
) -> datetime.datetime | None:
    """Wait for a quiet moment; return after which moment the new one fires, None for: from now on."""
    line = line_of(old)
    if line is None:
        return None
    began = clock.now()
    told = False
    while True:
        now = clock.now()
        runs = runs_of(backend, old)
        due = _due(old, line, wanted.zone, runs, now)
        blocked = sum(not run.is_over for run in runs) >= old.max_concurrency
        coming = line.after(now, wanted.zone)
        is_close = coming is not None and (coming - now).total_seconds() < AHEAD_S
        is_beginning = due is not None and not blocked and (now - due).total_seconds() < DUE_S
        if not (is_close or is_beginning) or (now - began).total_seconds() > LONGEST_WAIT_S:
            break
        if not told:
            moment = due if is_beginning else coming
            say(f"{old.name}: waits until its firing of {moment:%H:%M} UTC has begun")
            told = True
        clock.sleep(POLL_S)
    if due is None:
        return None
    if old.cron != wanted.cron.for_kfp():
        say(
            f"{old.name}: its firing of {due:%Y-%m-%d %H:%M} UTC, which has not begun yet, is dropped: the cron line changed"
        )
        return None
    return max([old.counts_from, *(run.scheduled for run in runs)]) if old.catch_up else due - SECOND


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
        blocked = sum(not run.is_over for run in runs) >= old.max_concurrency
        if due is None or blocked or (began - due).total_seconds() > DUE_S:
            return
        clock.sleep(POLL_S)


def _last(backend: Backend, there: Sequence[Recurring]) -> datetime.datetime | None:
    """Return the time of the last firing that began; None when there was none."""
    return max((run.scheduled for one in there for run in runs_of(backend, one)), default=None)


def _later(*moments: datetime.datetime | None) -> datetime.datetime | None:
    return max((moment for moment in moments if moment), default=None)

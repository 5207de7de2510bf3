"""What `penstock schedule` says of a plan: lines for people, JSON for programs."""

import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Any

from penstock.schedules.desired import SCHEDULE_TIME
from penstock.schedules.diff import Change

SIGNS = {"create": "+", "replace": "~", "switch off": "~", "remove": "-", "keep": "!", "unchanged": "="}
FOLLOW = ("parameters.app_version", "parameters.code_version")  # from what else changed
LONGEST = 80  # characters of a value


def plan_lines(changes: Sequence[Change], zone: datetime.tzinfo) -> Iterator[str]:
    """Yield a plan, a paragraph for each schedule; times are shown in `zone`."""
    for change in changes:
        yield f"{SIGNS[change.action]} {change.name}: {change.action}{f', {change.why}' if change.why else ''}"
        for one in change.fields:
            if one.field in FOLLOW and len(change.fields) > 1:
                continue
            yield f"    {one.field}: {_shown(one.old)} → {_shown(one.new)}"
        if change.action == "create" and change.wanted:
            wanted = change.wanted
            yield f"    {wanted.delivery.pipeline} of {wanted.delivery.app}, cron {wanted.cron.for_kfp()}"
        yield from (f"    ! {sentence}" for sentence in change.warnings)
        if change.next_firing:
            yield f"    fires next at {change.next_firing.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    yield totals(changes)


def totals(changes: Sequence[Change]) -> str:
    """Return how many schedules there are of each kind."""
    counts = [(action, sum(change.action == action for change in changes)) for action in SIGNS]
    return (
        ", ".join(
            f"{count} to {action}"
            if action in ("create", "replace", "remove", "switch off")
            else f"{count} {action}"
            for action, count in counts
            if count
        )
        or "no schedules"
    )


def plan_json(environment: str, changes: Sequence[Change], is_done: bool) -> str:
    """Return a plan, or what was done of it, as JSON."""
    told = {
        "environment": environment,
        "applied": is_done,
        "schedules": [
            {
                "name": change.name,
                "action": change.action,
                "why": change.why,
                "warnings": change.warnings,
                "cron": change.wanted.cron.for_kfp() if change.wanted else None,
                "recurring_run_id": change.current.id if change.current else None,
                "next_firing": _plain(change.next_firing),
                "fields": [
                    {"field": one.field, "old": _plain(one.old), "new": _plain(one.new)}
                    for one in change.fields
                ],
            }
            for change in changes
        ],
    }
    return json.dumps(told, indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if value == SCHEDULE_TIME:
        return "the schedule's time"
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"

"""What was decided of a version, by whom and why: tags of the version in the registry.

penstock.rollout            the last decision, as JSON: action, time, began, by, why
penstock.rollout.<time>     each decision, the same without `began`, with the traffic that followed
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.components.model_registry.store import Store, Version

DECISION = "penstock.rollout"
LONGEST_WHY, LONGEST_BY = 200, 60  # characters: a tag of old MLflow servers holds 500

BEGIN, CONTINUE, ADVANCE, PROMOTE, ROLLBACK, STOP = (
    "begin",
    "continue",
    "advance",
    "promote",
    "rollback",
    "stop",
)
# Decided, perhaps not yet done: what a killed process leaves, and the next call ends.
PROMOTING, LEAVING = "promoting", {ROLLBACK: "rolling back", STOP: "stopping"}
ENDED = (ROLLBACK, STOP, *LEAVING.values())


def record(
    store: Store,
    version: Version,
    action: str,
    reasons: Sequence[str],
    by: str,
    weights: Mapping[str, int] | None = None,
    began: str = "",
) -> None:
    """Write beside a version what was decided of it.

    Args:
        store: The registry.
        version: Which.
        action: One of the words above.
        reasons: Sentences, the decisive one first.
        by: Who or what decided.
        weights: The traffic that follows, in percent.
        began: When its rollout began, UTC, ISO 8601; empty: as it was.
    """
    now = datetime.datetime.now(datetime.UTC)
    decision: dict[str, Any] = {
        "action": action,
        "time": now.isoformat(timespec="seconds"),
        "by": by[:LONGEST_BY],
        "why": "; ".join(reasons)[:LONGEST_WHY],
    }
    began = began or last_decision(current(store, version)).get("began", "")
    tags = {DECISION: _text({**decision, "began": began})}
    if action not in (CONTINUE, PROMOTING, *LEAVING.values()):
        tags[f"{DECISION}.{now:%Y%m%dT%H%M%S.%f}"] = _text({**decision, "weights": dict(weights or {})})
    store.tag_version(version.model, version.number, tags)


def last_decision(version: Version) -> Mapping[str, str]:
    """Return how a version's rollout began or ended: action, time, began, by, why; empty when it never did."""
    try:
        found = json.loads(version.tags.get(DECISION, "{}"))
    except ValueError:  # a value that the store cut short
        return {}
    return found if isinstance(found, dict) else {}


def decisions(version: Version) -> list[dict[str, Any]]:
    """Return all decisions on a version, the oldest first."""
    found = []
    for name in sorted(version.tags):
        if name.startswith(f"{DECISION}."):
            try:
                found.append(json.loads(version.tags[name]))
            except ValueError:
                continue
    return found


def ended(version: Version) -> bool:
    """Return whether it was decided that a version is not, or no longer, rolled out."""
    return last_decision(version).get("action") in ENDED


def is_leaving(version: Version) -> bool:
    """Return whether a version was to lose its traffic, and nobody has written down that it did."""
    return last_decision(version).get("action") in LEAVING.values()


def current(store: Store, version: Version) -> Version:
    """Return a version as the registry has it now."""
    return next((one for one in store.versions(version.model) if one.number == version.number), version)


def _text(decision: Mapping[str, Any]) -> str:
    return json.dumps(decision, ensure_ascii=False)

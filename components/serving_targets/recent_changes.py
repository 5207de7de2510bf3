"""The history of an endpoint where its own resource is the only store: its latest changes, as one short text.

The text is written in the same update that makes the change, so that neither can exist without the other. The
store limits its length: the oldest changes are dropped first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from penstock.components.serving_targets.target import Change, EndpointState

FORMAT = 1
LONGEST_WHY = 300  # characters


def as_text(changes: Sequence[Change], longest: int) -> str:
    """Return the latest changes as JSON, at most `longest` characters; the very last one is never dropped."""
    kept = [asdict(change) | {"why": _short(change.why), "by": _short(change.by)} for change in changes]
    while True:
        text = json.dumps({"penstock": FORMAT, "changes": kept}, ensure_ascii=False, separators=(",", ":"))
        if len(text) <= longest or len(kept) <= 1:
            return text
        kept = kept[1:]


def from_text(text: str) -> list[Change]:
    """Return the changes, the oldest first; none where somebody else wrote the text."""
    try:
        content = json.loads(text or "{}")
        if not isinstance(content, dict) or content.get("penstock") != FORMAT:
            return []
        return [Change(**change) for change in content["changes"]]
    except (ValueError, TypeError, KeyError):
        return []


def shown(state: EndpointState) -> Mapping[str, Any]:
    """Return what a change tells of the state before or after it."""
    return {"versions": sorted(state.versions), "weights": dict(state.weights)}


def listed(changes: Sequence[Change], version: str) -> bool:
    """Tell whether a version is deployed, as far as the deployments in these changes say.

    A shift between the end of a deployment and its line shows the version already; it does not count.
    """
    found = bool(changes) and version in changes[0].before.get("versions", ())
    for change in changes:
        if change.action in ("deploy", "undeploy"):
            before, after = change.before.get("versions", ()), change.after.get("versions", ())
            if (version in before) != (version in after):
                found = version in after
    return found


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_WHY else text[: LONGEST_WHY - 1] + "…"

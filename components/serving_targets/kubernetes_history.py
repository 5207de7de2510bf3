"""The changes of an endpoint, in a ConfigMap: the last ones, one a line.

The route carries its own last change, so that one which a killed process still owed to the history is written by
the next.
"""

import json
from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.kubernetes_api import Cluster, WriteConflict
from penstock.components.serving_targets.kubernetes_names import labels, object_name
from penstock.components.serving_targets.target import Change
from penstock.components.step_io.errors import StepError

KEY = "history.jsonl"
MOST_CHANGES = 500
MOST_BYTES = 512 * 1024  # a ConfigMap holds 1 MiB
ATTEMPTS = 20


class History:
    """The changes of one endpoint."""

    def __init__(self, cluster: Cluster, endpoint: str) -> None:
        self.cluster, self.endpoint = cluster, endpoint
        self.name = f"{object_name(endpoint)}-history"

    def append(self, change: Mapping[str, Any] | None) -> None:
        """Add a change, unless it is there.

        Raises:
            StepError: Others write all the time.
        """
        if change is None:
            return
        for _ in range(ATTEMPTS):
            found = self.cluster.get("ConfigMap", self.name)
            lines = _lines(found)
            if _has(lines, change):
                return
            lines = sorted([*lines, dict(change)], key=_time)
            metadata: dict[str, Any] = {"name": self.name, "labels": labels(self.endpoint)}
            if found is not None:
                metadata = {**found["metadata"], **metadata}
            one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: _text(lines)}}
            try:
                self.cluster.write(one)
            except WriteConflict:
                continue
            return
        raise StepError(
            f"the ConfigMap {self.name} is changed all the time: the change is done, not noted; try again"
        )

    def read(self, last: Mapping[str, Any] | None) -> list[Change]:
        """Return the changes, the oldest first; `last`, the route's own, is among them."""
        lines = _lines(self.cluster.get("ConfigMap", self.name))
        if last and not _has(lines, last):
            lines.append(dict(last))
        return [Change(**line) for line in sorted(lines, key=_time)]

    def remove(self) -> None:
        """Forget all changes."""
        self.cluster.delete("ConfigMap", self.name)


def _has(lines: list[dict[str, Any]], change: Mapping[str, Any]) -> bool:
    """Tell whether a change is noted; the time counts too, as a route that somebody removed begins anew at 1."""
    return any(_time(line) == _time(change) for line in lines)


def _time(line: Mapping[str, Any]) -> tuple[str, int]:
    return line["time"], line["revision"]


def _lines(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    text = ((found or {}).get("data") or {}).get(KEY, "")
    return [json.loads(line) for line in text.splitlines() if line]


def _text(lines: list[dict[str, Any]]) -> str:
    """Return the last changes, as many as there is room for."""
    kept: list[str] = []
    size = 0
    for line in reversed(lines[-MOST_CHANGES:]):
        text = json.dumps(line, ensure_ascii=False) + "\n"
        size += len(text.encode())
        if size > MOST_BYTES:
            break
        kept.append(text)
    return "".join(reversed(kept))

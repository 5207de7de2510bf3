"""What is wanted of an endpoint, as it stands in an annotation of its InferenceService.

KServe's object says what is served, but not under which versions of ours: the annotation does. Both are written in
one update, so that neither is true without the other.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.components.serving_targets.recent_changes import as_text, from_text
from penstock.components.serving_targets.target import Change, ModelVersion, Shadow

FORMAT = 1
LONGEST_HISTORY = 60_000  # characters; all annotations together may have 256 KiB
RECORD, HISTORY = "penstock.io/endpoint", "penstock.io/changes"


@dataclass(frozen=True)
class Record:
    """The versions of an endpoint and their shares.

    In Standard mode `main` is the stable predictor and all others are its canaries. In Knative mode `main` is the
    latest revision and `previous` the one that KServe keeps beside it.
    """

    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    main: str = ""
    previous: str = ""
    shadow: str = ""  # the version that gets a copy of the traffic
    older_revision: str = ""  # Knative: the newest revision at the moment when `main` was written
    revision: int = 0
    changes: tuple[Change, ...] = ()

    def shown(self) -> dict[str, Any]:
        """Return what a change tells of it."""
        shadow = vars(Shadow(self.shadow)) if self.shadow else None
        return {"versions": list(self.versions), "weights": dict(self.weights), "shadow": shadow}

    def annotations(self) -> dict[str, str]:
        """Return it as annotations."""
        content = {
            "format": FORMAT,
            "revision": self.revision,
            "main": self.main,
            "previous": self.previous,
            "shadow": self.shadow,
            "older_revision": self.older_revision,
            "weights": dict(self.weights),
            "versions": {name: asdict(version) for name, version in self.versions.items()},
        }
        return {
            RECORD: json.dumps(content, ensure_ascii=False),
            HISTORY: as_text(self.changes, LONGEST_HISTORY),
        }


def read_record(service: Mapping[str, Any] | None) -> Record | None:
    """Return the record of an InferenceService; None when it has none of ours."""
    annotations = ((service or {}).get("metadata") or {}).get("annotations") or {}
    if RECORD not in annotations:
        return None
    content = json.loads(annotations[RECORD])
    if content.pop("format") != FORMAT:
        return None
    versions = {name: ModelVersion(**version) for name, version in content.pop("versions").items()}
    return Record(versions=versions, changes=tuple(from_text(annotations.get(HISTORY, ""))), **content)

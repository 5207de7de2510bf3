"""All that is known of a model when it is registered: what the card tells and the registry keeps."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError
from penstock.components.step_io.record import PASSWORD_IN_URI

MIN_SLICE_ROWS = 100  # the default of thresholds.slices.min_rows


@dataclass(frozen=True)
class Data:
    """What the model learned from."""

    source: str
    query: str = ""
    since: str = ""
    until: str = ""
    watermark: str = ""
    rows: int = 0
    split_rows: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    data_fingerprint: str = ""
    drift: str = ""

    @property
    def window(self) -> str:
        """The window of event time, in words."""
        if self.since and self.until:
            return f"{self.since} to {self.until} (excluded)"
        if self.until:
            return f"before {self.until}"
        return f"from {self.since} on" if self.since else "all there was"


@dataclass(frozen=True)
class Facts:
    """A model, its data, how it was judged and where it comes from."""

    model_name: str
    run_id: str
    app_version: str
    code_version: str
    verdict: str
    champion_version: str  # it was compared with; empty when there was none
    data: Data
    label: Mapping[str, Any]
    model: Mapping[str, Any]  # model.json
    evaluation: Mapping[str, Any]  # evaluation.json
    rules: Mapping[str, Any]  # rules.json
    app: Mapping[str, Any]  # app.yaml
    schema_hash: str

    @property
    def primary(self) -> str:
        """The metric that decides."""
        return str(self.evaluation["primary_metric"])

    @property
    def min_slice_rows(self) -> int:
        """Slices with fewer rows are not judged."""
        slices = (self.app.get("thresholds") or {}).get("slices") or {}
        return int(slices.get("min_rows") or MIN_SLICE_ROWS)

    def metrics(self) -> dict[str, float]:
        """Return the model's metrics on its test split, without their intervals."""
        overall = self.evaluation["overall"]["challenger"]
        return {name: found["value"] for name, found in overall.items() if found["value"] is not None}

    def metrics_with_intervals(self) -> dict[str, float]:
        """Return <metric>, <metric>_low, <metric>_high, and difference_<metric> to the champion."""
        flat = {}
        for prefix, of in (("", "challenger"), ("difference_", "difference")):
            for name, found in (self.evaluation["overall"].get(of) or {}).items():
                for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                    if found[key] is not None:
                        flat[f"{prefix}{name}{suffix}"] = float(found[key])
        return flat


def read_facts(model: Path, evaluation: Path, rules: Path, app: Path, data: Data, **parameters: Any) -> Facts:
    """Read the artifacts' descriptions.

    Raises:
        StepError: One is missing or cannot be read.
    """
    schema = app / "schema.pbtxt"
    return Facts(
        data=data,
        model=read_json(model / "model.json"),
        evaluation=read_json(evaluation / "evaluation.json"),
        rules=read_json(rules / "rules.json"),
        app=_read_app(app / "app.yaml"),
        schema_hash=hashlib.sha256(schema.read_bytes()).hexdigest() if schema.is_file() else "",
        **parameters,
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StepError: The file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StepError(
            f"{path} cannot be read ({error}): is this the artifact of the step before?"
        ) from error
    if not isinstance(content, dict):
        raise StepError(f"{path} holds no JSON object: is this the artifact of the step before?")
    return content


def without_password(text: str) -> str:
    """Return a source that can be shown."""
    return PASSWORD_IN_URI.sub("***", text)


def _read_app(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StepError(f"{path} cannot be read ({error})") from error
    return content if isinstance(content, dict) else {}

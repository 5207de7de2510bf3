"""Writes the anomalies artifact: anomalies.pb for TFDV's tools, anomalies.json for all others."""

import json
from pathlib import Path

from penstock.components.validate_data.library_check import make_anomalies
from penstock.components.validate_data.validation import Judgement


def write_anomalies(found: Judgement, folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True)
    drifts = found.comparison.drifts if found.comparison else []
    proto = make_anomalies(found.schema, found.findings, drifts)
    (folder / "anomalies.pb").write_bytes(proto.SerializeToString(deterministic=True))
    content = {
        "verdict": found.verdict,
        "rows": found.data.rows,
        "schema_skew": found.modes.schema_skew,
        "value_skew": found.modes.value_skew,
        "findings": [finding.as_dict() for finding in found.findings],
        "drift": found.drift,
        "baseline": found.baseline_name,
        "baseline_rows": found.baseline_rows,
        "features": [drift.as_dict() for drift in drifts],
        "not_compared": found.comparison.skipped if found.comparison else {},
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "anomalies.json").write_text(text + "\n", encoding="utf-8")

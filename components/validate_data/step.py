from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main


class Outputs(NamedTuple):
    verdict: str
    reasons: list
    drift: str
    drifted_features: list


def run(
    dataset: InputArtifact,
    statistics: InputArtifact,
    schema: InputArtifact,
    baseline: InputArtifact,
    anomalies: OutputArtifact,
    report: OutputArtifact,
    baseline_name: str = "",
    schema_skew: str = "block",
    value_skew: str = "warn",
    min_rows: int = 100,
    drift_thresholds: dict = {},  # noqa: B006 - the spec's default; never changed
) -> Outputs:
    """Compare statistics with the schema (schema skew) and with a baseline (value skew)."""
    from penstock.components.validate_data.evidence import write_anomalies
    from penstock.components.validate_data.report import write_report
    from penstock.components.validate_data.validation import Modes, judge

    modes = Modes(schema_skew, value_skew, min_rows)
    paths = (dataset.path, statistics.path, schema.path, baseline.path)
    found = judge(*paths, baseline_name, modes, drift_thresholds)
    write_anomalies(found, anomalies.path)
    write_report(found, report.path)
    anomalies.metadata |= {"findings": len(found.findings), "verdict": found.verdict}
    return Outputs(found.verdict, found.reasons, found.drift, found.drifted_features)


if __name__ == "__main__":
    main(run)

from typing import NamedTuple

from penstock.components.prepare_data.settings import read_cleaning, read_label, read_split
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main


class Outputs(NamedTuple):
    verdict: str
    reasons: list
    label_spec: dict
    split_rows: dict


def run(
    dataset: InputArtifact,
    label: dict,
    train_data: OutputArtifact,
    validation_data: OutputArtifact,
    test_data: OutputArtifact,
    report: OutputArtifact,
    cleaning: list = [],  # noqa: B006 - as in spec.py; never mutated
    split: dict = {},  # noqa: B006
    event_time: str = "",
    weight: str = "",
) -> Outputs:
    """Clean the rows, make the label and split into train, validation and test."""
    settings = read_label(label), read_cleaning(cleaning), read_split(split)
    from penstock.components.prepare_data.preparation import prepare  # after the cheap checks
    from penstock.components.prepare_data.report import make_page

    artifacts = {"train": train_data, "validation": validation_data, "test": test_data}
    folders = {name: artifact.path for name, artifact in artifacts.items()}
    prepared = prepare(dataset.path, *settings, event_time, weight, folders)
    make_page(prepared).write(report.path)
    for name, artifact in artifacts.items():
        artifact.metadata["rows"] = prepared.counts.split_rows[name]
    findings = prepared.findings
    return Outputs(findings.verdict, findings.reasons, prepared.spec.parameter(), prepared.counts.split_rows)


if __name__ == "__main__":
    main(run)

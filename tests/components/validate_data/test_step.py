import json
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.components.step_io.main import execute
from penstock.components.validate_data.step import run
from tests.components.compute_statistics.tables import write_dataset, write_statistics
from tests.components.validate_data.cases import write_schema
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"anomalies": "system.Artifact", "report": "system.HTML"}
PAYMENT = 'name: "payment" type: BYTES string_domain { value: "Cash" }'


def make_input(tmp_path: Path, values: list[str], **parameters: object) -> str:
    dataset = write_dataset(tmp_path / "dataset", {"payment": values})
    inputs = {
        "dataset": dataset,
        "statistics": write_statistics(tmp_path / "statistics", dataset),
        "schema": write_schema(tmp_path / "schema", PAYMENT),
        "baseline": tmp_path / "none",
    }
    return executor_input(tmp_path / "task", {"min_rows": 1, **parameters}, inputs, OUTPUTS)


def test_writes_exactly_the_declared_outputs(tmp_path: Path) -> None:
    assert execute(run, "validate_data", make_input(tmp_path, ["Cash", "Bitcoin"])) == 0
    parameters, artifacts = read_outputs(tmp_path / "task")
    assert parameters == {
        "verdict": "block",
        "reasons": ["feature 'payment': 1 row (50.0 %) holds values outside the domain, e.g. 'Bitcoin'"],
        "drift": "none",
        "drifted_features": [],
    }
    assert set(artifacts) == set(OUTPUTS)
    assert sorted(path.name for path in artifacts["anomalies"].iterdir()) == [
        "anomalies.json",
        "anomalies.pb",
    ]


def test_the_evidence_says_what_was_found(tmp_path: Path) -> None:
    execute(run, "validate_data", make_input(tmp_path, ["Cash", "Bitcoin"]))
    _, artifacts = read_outputs(tmp_path / "task")
    content = json.loads((artifacts["anomalies"] / "anomalies.json").read_text())
    assert content["findings"] == [
        {
            "check": "out_of_domain",
            "feature": "payment",
            "expected": "'Cash'",
            "came": "hold values outside the domain",
            "sentence": "feature 'payment': 1 row (50.0 %) holds values outside the domain, e.g. 'Bitcoin'",
            "rows": 1,
            "examples": ["'Bitcoin'"],
            "severity": "block",
        }
    ]
    proto = anomalies_pb2.Anomalies.FromString((artifacts["anomalies"] / "anomalies.pb").read_bytes())
    info = proto.anomaly_info["payment"]
    assert info.severity == anomalies_pb2.AnomalyInfo.ERROR
    assert info.reason[0].type == anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES
    page = artifacts["report"].read_text()
    assert "outside the domain" in page
    assert "Bitcoin" in page
    assert "http" not in page


def test_a_baseline_is_looked_at_when_it_has_a_name(tmp_path: Path) -> None:
    given = make_input(tmp_path, ["Cash"] * 300, baseline_name="champion version 3")
    before = write_dataset(tmp_path / "before", {"payment": ["Cash"] * 100 + ["Card"] * 200})
    write_statistics(tmp_path / "none", before)
    assert execute(run, "validate_data", given) == 0
    parameters, artifacts = read_outputs(tmp_path / "task")
    assert parameters == {
        "verdict": "warn",
        "reasons": [
            "feature 'payment': 'Cash' in 100.0 % of the rows, was 33.3 % (drift from champion version 3)"
        ],
        "drift": "drifted",
        "drifted_features": ["payment"],
    }
    assert "champion version 3, 300 rows" in artifacts["report"].read_text()
    proto = anomalies_pb2.Anomalies.FromString((artifacts["anomalies"] / "anomalies.pb").read_bytes())
    assert proto.drift_skew_info[0].drift_measurements[0].value == pytest.approx(2 / 3)


def test_an_unknown_mode_leaves_no_output(tmp_path: Path) -> None:
    assert execute(run, "validate_data", make_input(tmp_path, ["Cash"], schema_skew="fatal")) == 2
    assert list((tmp_path / "task").iterdir()) == []

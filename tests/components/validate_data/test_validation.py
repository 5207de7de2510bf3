from pathlib import Path

import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.validate_data.validation import Modes, judge
from tests.components.compute_statistics.tables import write_dataset, write_statistics
from tests.components.validate_data.cases import judge_columns, write_schema

NARROW = 'name: "x" type: INT int_domain { max: 1 }'


@pytest.mark.parametrize(("mode", "verdict"), [("off", "pass"), ("warn", "warn"), ("block", "block")])
def test_the_mode_decides_what_a_breach_leads_to(tmp_path: Path, mode: str, verdict: str) -> None:
    found = judge_columns(tmp_path, {"x": [1, 2]}, NARROW, modes=Modes(schema_skew=mode, min_rows=0))
    assert found.verdict == verdict
    assert len(found.reasons) == (0 if mode == "off" else 1)


@pytest.mark.parametrize(
    ("modes", "sentence"),
    [
        (Modes(schema_skew="strict"), "schema_skew is 'strict', allowed are off, warn, block"),
        (Modes(value_skew="block"), "value_skew is 'block', allowed are off, warn"),
        (Modes(min_rows=-1), "min_rows is -1, expected 0 or more"),
    ],
)
def test_refuses_unknown_modes(tmp_path: Path, modes: Modes, sentence: str) -> None:
    with pytest.raises(StepError) as caught:
        judge_columns(tmp_path, {"x": [1]}, NARROW, modes=modes)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        (
            {"categorial": 0.1},
            "drift_thresholds: 'categorial' is unknown, allowed are categorical, numeric, features",
        ),
        ({"numeric": "high"}, "drift_thresholds.numeric is 'high', expected a number from 0 to 1"),
        ({"features": {"x": 2}}, "drift_thresholds.features.x is 2, expected a number from 0 to 1"),
        ({"features": {"y": 0.1}}, "drift_thresholds.features: 'y' is no feature of the schema"),
    ],
)
def test_refuses_wrong_thresholds(tmp_path: Path, thresholds: dict[str, object], sentence: str) -> None:
    with pytest.raises(StepError) as caught:
        judge_columns(tmp_path, {"x": [1]}, NARROW, thresholds=thresholds)
    assert str(caught.value) == sentence


def test_refuses_a_broken_schema_with_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        judge_columns(tmp_path, {"x": [1]}, 'name: "x" type: INTEGER')
    assert str(caught.value) == (
        "schema.pbtxt:1:27: this is no TFDV schema: 'feature { name: \"x\" type: INTEGER }': "
        'Enum type "tensorflow.metadata.v0.FeatureType" has no value named INTEGER.'
    )


def test_refuses_an_empty_schema(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        judge_columns(tmp_path, {"x": [1]})
    assert str(caught.value) == (
        "schema.pbtxt: the schema names no feature: draft one with `penstock schema infer`"
    )


def test_refuses_statistics_of_other_data(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", {"x": [1, 1]})
    other = write_statistics(tmp_path / "statistics", write_dataset(tmp_path / "other", {"x": [1]}))
    with pytest.raises(StepError) as caught:
        judge(data, other, write_schema(tmp_path / "schema", NARROW), tmp_path, "", Modes(min_rows=0), {})
    assert str(caught.value) == ("the statistics tell of 1 rows, the dataset has 2: they are not of one run")


def test_at_most_twenty_reasons_are_told(tmp_path: Path) -> None:
    columns = {f"c{i:02}": [1] for i in range(25)}
    found = judge_columns(tmp_path, columns, 'name: "x" type: INT')
    assert len(found.reasons) == 20
    assert found.reasons[0] == "column 'c00' is new, the schema does not know it"
    assert found.reasons[-1] == "and 7 more findings: see the report"


def test_breaches_are_told_worst_first(tmp_path: Path) -> None:
    columns = {"x": [1] * 9 + [5], "y": [1] * 5 + [9] * 5, "new": [1] * 10}
    limits = ['name: "x" type: INT int_domain { max: 2 }', 'name: "y" type: INT int_domain { max: 2 }']
    found = judge_columns(tmp_path, columns, *limits, 'name: "z" type: INT')
    assert [one.check for one in found.findings] == ["new_column", "too_large", "too_large", "missing_column"]
    assert [one.feature for one in found.findings] == ["new", "y", "x", "z"]

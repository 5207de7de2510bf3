from pathlib import Path

import pyarrow as pa
import pytest

from penstock.components.validate_data.validation import Modes
from tests.components.validate_data.cases import judge_columns

REQUIRED = "presence { min_fraction: 1 min_count: 1 }"
X = 'name: "x" type: INT'


def reasons(tmp_path: Path, values: object, *features: str, rest: str = "") -> list[str]:
    return judge_columns(tmp_path, {"x": values}, *features, rest=rest).reasons


def test_data_as_the_schema_says_pass(tmp_path: Path) -> None:
    columns = {"x": [1, 2, 3], "city": ["Rom", "Ulm", None]}
    city = (
        'name: "city" type: BYTES presence { min_fraction: 0.5 } string_domain { value: "Rom" value: "Ulm" }'
    )
    found = judge_columns(tmp_path, columns, f"{X} {REQUIRED} int_domain {{ min: 1 max: 3 }}", city)
    assert (found.verdict, found.reasons) == ("pass", [])


def test_enough_rows_pass_and_too_few_block(tmp_path: Path) -> None:
    assert judge_columns(tmp_path / "a", {"x": [1, 2]}, X, modes=Modes(min_rows=2)).verdict == "pass"
    found = judge_columns(tmp_path / "b", {"x": [1, 2]}, X, modes=Modes(min_rows=3))
    assert (found.verdict, found.reasons) == ("block", ["the data have 2 rows, at least 3 are expected"])


def test_no_rows_at_all_block(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": pa.array([], pa.int64())}, X, modes=Modes(min_rows=1))
    assert (found.verdict, found.reasons) == ("block", ["the data have no rows, at least 1 are expected"])


def test_one_row_is_told_in_the_singular(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1]}, X, modes=Modes(min_rows=2))
    assert found.reasons == ["the data have 1 row, at least 2 are expected"]


def test_a_required_column_that_is_missing_blocks(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1]}, X, f'name: "y" type: INT {REQUIRED}')
    assert (found.verdict, found.reasons) == (
        "block",
        ["column 'y' is missing, the schema requires it"],
    )


def test_an_optional_column_that_is_missing_warns(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1]}, X, 'name: "y" type: INT')
    assert (found.verdict, found.reasons) == ("warn", ["column 'y' is missing, the schema allows that"])


def test_a_new_column_blocks(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1], "y": ["a"]}, X)
    assert (found.verdict, found.reasons) == ("block", ["column 'y' is new, the schema does not know it"])


def test_a_renamed_column_is_recognized(tmp_path: Path) -> None:
    schema = f'name: "payment_type" type: BYTES {REQUIRED}'
    found = judge_columns(tmp_path, {"payment_typ": ["a"]}, schema)
    assert found.reasons == [
        "column 'payment_type' is missing, the schema requires it; was it renamed to 'payment_typ'?",
        "column 'payment_typ' is new, the schema does not know it",
    ]


@pytest.mark.parametrize("stage", ["DEPRECATED", "PLANNED", "DISABLED", "DEBUG_ONLY"])
def test_a_feature_out_of_production_is_not_judged(tmp_path: Path, stage: str) -> None:
    assert reasons(tmp_path, ["text"], f"{X} {REQUIRED} lifecycle_stage: {stage}") == []


def test_a_feature_of_another_environment_is_not_judged(tmp_path: Path) -> None:
    feature = f'name: "y" type: INT {REQUIRED} not_in_environment: "TRAINING"'
    rest = 'default_environment: "TRAINING" default_environment: "SERVING"'
    assert reasons(tmp_path, [1], X, feature, rest=rest) == []


def test_missing_values_pass_up_to_the_allowed_share_and_block_beyond(tmp_path: Path) -> None:
    feature = f"{X} presence {{ min_fraction: 0.75 }}"
    assert reasons(tmp_path / "a", [1, 2, 3, None], feature) == []
    assert reasons(tmp_path / "b", [1, 2, None, None], feature) == [
        "feature 'x': 2 rows (50.0 %) have no value, at most 25.0 % may be missing"
    ]


def test_a_single_missing_value_of_a_required_column_blocks(tmp_path: Path) -> None:
    assert reasons(tmp_path, [1, 2, 3, None], f"{X} {REQUIRED}") == [
        "feature 'x': 1 row (25.0 %) has no value, every row must have one"
    ]


def test_fewer_values_than_the_least_count_block(tmp_path: Path) -> None:
    assert reasons(tmp_path, [1, None], f"{X} presence {{ min_count: 2 }}") == [
        "feature 'x': 1 rows have a value, at least 2 must"
    ]


def test_a_column_without_any_value_blocks_unless_it_is_optional(tmp_path: Path) -> None:
    values = pa.array([None, None], pa.int64())
    assert reasons(tmp_path / "a", values, X) == []
    assert reasons(tmp_path / "b", values, f"{X} presence {{ min_fraction: 0.5 }}") == [
        "feature 'x': no row has a value, at most 50.0 % may be missing"
    ]


def test_several_values_for_each_row_cannot_come(tmp_path: Path) -> None:
    assert reasons(tmp_path, [1], f"{X} value_count {{ min: 2 max: 2 }}")[0] == (
        "feature 'x': each row has one value, the schema expects at least 2 values in each row"
    )


def test_text_among_numbers_blocks_with_examples(tmp_path: Path) -> None:
    assert reasons(tmp_path, ["1", "-2.5e3", "n/a", "n/a", "12 km", None], X) == [
        "feature 'x': 3 rows (50.0 %) hold text, the schema expects whole numbers, e.g. 'n/a', '12 km'"
    ]


def test_numbers_that_came_as_text_block(tmp_path: Path) -> None:
    assert reasons(tmp_path, ["1", "2"], X) == [
        "feature 'x': its numbers came as text, the schema expects whole numbers"
    ]


def test_numbers_where_text_is_expected_block(tmp_path: Path) -> None:
    assert reasons(tmp_path, [1.5], 'name: "x" type: BYTES') == [
        "feature 'x': the column holds numbers, the schema expects text"
    ]


def test_whole_numbers_and_truth_values_are_numbers(tmp_path: Path) -> None:
    assert reasons(tmp_path / "a", [1, 2], 'name: "x" type: FLOAT') == []
    assert reasons(tmp_path / "b", [True, False], X) == []


def test_numbers_without_fraction_are_whole_and_others_block(tmp_path: Path) -> None:
    assert reasons(tmp_path / "a", [1.0, 2.0, None], X) == []
    assert reasons(tmp_path / "b", [1.0, 2.5, None], X) == [
        "feature 'x': 1 row (33.3 %) holds numbers that are not whole, the schema expects whole numbers, e.g. 2.5"
    ]


def test_unseen_categories_pass_within_the_allowed_share_and_block_beyond(tmp_path: Path) -> None:
    feature = (
        'name: "x" type: BYTES string_domain { value: "Cash" value: "Card" } '
        "distribution_constraints { min_domain_mass: 0.99 }"
    )
    assert reasons(tmp_path / "a", ["Cash"] * 99 + ["Bitcoin"], feature) == []
    assert reasons(tmp_path / "b", ["Cash"] * 98 + ["Bitcoin"] * 2, feature) == [
        "feature 'x': 2 rows (2.0 %) hold values outside the domain, at most 1.0 % may, e.g. 'Bitcoin'"
    ]


def test_a_closed_domain_lets_no_other_value_in(tmp_path: Path) -> None:
    feature = 'name: "x" type: BYTES string_domain { value: "Cash" }'
    assert reasons(tmp_path, ["Cash"] * 3 + ["Bitcoin", "Gold", "Gold"], feature) == [
        "feature 'x': 3 rows (50.0 %) hold values outside the domain, e.g. 'Gold', 'Bitcoin'"
    ]


def test_values_outside_a_shared_domain_block(tmp_path: Path) -> None:
    shared = 'string_domain { name: "pay" value: "Cash" }'
    feature = 'name: "x" type: BYTES domain: "pay"'
    assert reasons(tmp_path / "a", ["Cash"], feature, rest=shared) == []
    assert reasons(tmp_path / "b", ["Gold"], feature, rest=shared) == [
        "feature 'x': 1 row (100.0 %) holds values outside the domain, e.g. 'Gold'"
    ]


def test_a_rare_value_among_thousands_is_found(tmp_path: Path) -> None:
    towns = [f"town {i}" for i in range(3_000)]
    domain = " ".join(f'value: "{town}"' for town in towns)
    values = towns * 2 + ["Atlantis"]
    assert reasons(tmp_path, values, f'name: "x" type: BYTES string_domain {{ {domain} }}') == [
        "feature 'x': 1 row (< 0.1 %) holds values outside the domain, e.g. 'Atlantis'"
    ]


def test_numbers_in_range_pass_and_outside_block(tmp_path: Path) -> None:
    feature = 'name: "x" type: FLOAT float_domain { min: 0 max: 10 }'
    assert reasons(tmp_path / "a", [0.0, 10.0], feature) == []
    assert reasons(tmp_path / "b", [-1.5, 5.0, 11.0, 12.0], feature) == [
        "feature 'x': 2 rows (50.0 %) are above 10, e.g. 11.0, 12.0",
        "feature 'x': 1 row (25.0 %) is below 0, e.g. -1.5",
    ]


def test_a_share_of_numbers_may_be_out_of_range(tmp_path: Path) -> None:
    feature = f"{X} int_domain {{ max: 10 }} distribution_constraints {{ min_domain_mass: 0.9 }}"
    assert reasons(tmp_path / "a", [1] * 9 + [11], feature) == []
    assert reasons(tmp_path / "b", [1] * 8 + [11, 12], feature) == [
        "feature 'x': 2 rows (20.0 %) are above 10, at most 10.0 % may, e.g. 11, 12"
    ]


def test_truth_values_other_than_zero_and_one_block(tmp_path: Path) -> None:
    feature = f"{X} bool_domain {{ }}"
    assert reasons(tmp_path / "a", [0, 1, None], feature) == []
    assert reasons(tmp_path / "b", [True, False], feature) == []
    assert reasons(tmp_path / "c", [0, 1, 2, 2], feature) == [
        "feature 'x': 2 rows (50.0 %) hold values other than 0 and 1, e.g. 2"
    ]


def test_texts_other_than_true_and_false_block(tmp_path: Path) -> None:
    feature = 'name: "x" type: BYTES bool_domain { true_value: "ja" false_value: "nein" }'
    assert reasons(tmp_path / "a", ["ja", "nein"], feature) == []
    assert reasons(tmp_path / "b", ["ja", "yes"], feature) == [
        "feature 'x': 1 row (50.0 %) holds values outside the domain, e.g. 'yes'"
    ]


def test_nan_and_infinity_pass_unless_they_are_disallowed(tmp_path: Path) -> None:
    values = [1.0, float("nan"), float("inf"), None]
    assert reasons(tmp_path / "a", values, 'name: "x" type: FLOAT') == []
    feature = 'name: "x" type: FLOAT float_domain { disallow_nan: true disallow_inf: true }'
    assert reasons(tmp_path / "b", values, feature) == [
        "feature 'x': 1 row (25.0 %) holds NaN",
        "feature 'x': 1 row (25.0 %) holds infinite values",
    ]


def test_repeated_values_block_where_each_must_be_unique(tmp_path: Path) -> None:
    feature = f'{X} annotation {{ tag: "unique" }}'
    assert reasons(tmp_path / "a", [1, 2, 3, None], feature) == []
    assert reasons(tmp_path / "b", [1, 2, 2, 2], feature) == [
        "feature 'x': 2 rows (50.0 %) repeat a value that may come once only, e.g. 2"
    ]


def test_the_number_of_different_values_is_bounded(tmp_path: Path) -> None:
    feature = f"{X} unique_constraints {{ min: 2 max: 3 }}"
    assert reasons(tmp_path / "a", [1, 2, 2], feature) == []
    assert reasons(tmp_path / "b", [1, 1, 1], feature) == [
        "feature 'x': 1 different values, the schema expects 2 to 3 different values"
    ]


def test_what_only_tfdv_checks_is_found_too(tmp_path: Path) -> None:
    rest = "dataset_constraints { min_examples_count: 5 }"
    found = judge_columns(tmp_path, {"x": [1]}, X, rest=rest)
    assert (found.verdict, found.reasons) == (
        "block",
        ["the data: The dataset has 1 examples, which is fewer than expected."],
    )


def test_what_only_tfdv_checks_is_found_once_among_many_features(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(501)]
    rest = "dataset_constraints { min_examples_count: 5 }"
    features = [f'name: "{name}" type: INT' for name in names]
    found = judge_columns(tmp_path, {name: [1] for name in names}, *features, rest=rest)
    assert found.reasons == ["the data: The dataset has 1 examples, which is fewer than expected."]

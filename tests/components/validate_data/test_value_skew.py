import math
from pathlib import Path

import numpy as np
import pytest

from penstock.components.validate_data.validation import Modes
from penstock.components.validate_data.value_skew import chi_square_quantile, jensen_shannon
from tests.components.validate_data.cases import judge_columns

NUMBER = 'name: "x" type: FLOAT'
TEXT = 'name: "x" type: BYTES'
CODE = 'name: "x" type: INT int_domain { is_categorical: true }'


def normal(mean: float, rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, rows)


def test_equal_distributions_do_not_drift(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": normal(0, 3_000, 1)}, NUMBER, before={"x": normal(0, 3_000, 2)})
    assert (found.verdict, found.drift, found.drifted_features) == ("pass", "none", [])


def test_numbers_that_moved_by_a_standard_deviation_drift(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": normal(1, 3_000, 1)}, NUMBER, before={"x": normal(0, 3_000, 2)})
    assert (found.verdict, found.drift, found.drifted_features) == ("warn", "drifted", ["x"])
    assert found.reasons[0].endswith(" (drift from the baseline)")


def test_drift_warns_and_never_blocks(tmp_path: Path) -> None:
    modes = Modes(schema_skew="block", min_rows=0)
    found = judge_columns(tmp_path, {"x": [5.0] * 900}, NUMBER, before={"x": [1.0] * 900}, modes=modes)
    assert (found.verdict, found.drift) == ("warn", "drifted")


def test_value_skew_can_be_turned_off(tmp_path: Path) -> None:
    modes = Modes(value_skew="off", min_rows=0)
    found = judge_columns(tmp_path, {"x": [5.0] * 900}, NUMBER, before={"x": [1.0] * 900}, modes=modes)
    assert (found.verdict, found.drift) == ("pass", "none")


def test_a_category_that_grew_drifts(tmp_path: Path) -> None:
    before = {"x": ["Cash"] * 700 + ["Card"] * 300}
    now = {"x": ["Cash"] * 400 + ["Card"] * 600}
    found = judge_columns(tmp_path, now, TEXT, before=before)
    assert found.reasons == [
        "feature 'x': 'Card' in 60.0 % of the rows, was 30.0 % (drift from the baseline)"
    ]
    assert found.comparison is not None
    drift = found.comparison.drifts[0]
    # z at 0.001 / 2 values, two-sided, is 3.48; p is pooled: 0.45.
    assert drift.distance == pytest.approx(0.3)
    assert drift.noise == pytest.approx(3.4808 * math.sqrt(0.45 * 0.55 * 2 / 1000), rel=1e-3)


def test_codes_are_compared_as_categories(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1, 2] * 500}, CODE, before={"x": [1, 3] * 500})
    assert found.reasons[0].startswith("feature 'x': '2' in 50.0 % of the rows, was 0.0 %")


def test_values_that_went_missing_are_drift(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0, 4.0] * 250
    now = [value if i % 2 else None for i, value in enumerate(values)]
    found = judge_columns(tmp_path, {"x": now}, NUMBER, before={"x": values})
    assert found.reasons == [
        "feature 'x': no value in 50.0 % of the rows, was 0.0 % (drift from the baseline)"
    ]


def test_a_threshold_of_one_feature_overrides_the_default(tmp_path: Path) -> None:
    now, before = {"x": ["a"] * 600 + ["b"] * 400}, {"x": ["a"] * 450 + ["b"] * 550}
    assert judge_columns(tmp_path / "a", now, TEXT, before=before).drift == "none"
    strict = judge_columns(tmp_path / "b", now, TEXT, before=before, thresholds={"features": {"x": 0.01}})
    assert strict.drift == "drifted"
    lax = judge_columns(tmp_path / "c", now, TEXT, before=before, thresholds={"categorical": 0.5})
    assert lax.drift == "none"


def test_the_most_drifted_feature_comes_first(tmp_path: Path) -> None:
    before = {"a": ["x"] * 900 + ["y"] * 100, "b": ["x"] * 1000}
    now = {"a": ["x"] * 600 + ["y"] * 400, "b": ["z"] * 1000}
    features = ['name: "a" type: BYTES', 'name: "b" type: BYTES']
    assert judge_columns(tmp_path, now, *features, before=before).drifted_features == ["b", "a"]


@pytest.mark.parametrize(
    ("feature", "now", "before", "reason"),
    [
        (f'{NUMBER} annotation {{ tag: "no_drift" }}', [1.0] * 200, [9.0] * 200, "the schema says no_drift"),
        ('name: "x" type: INT', list(range(200)), list(range(500, 700)), "different in nearly every row"),
        (TEXT, [f"{i}" for i in range(200)], [f"b{i}" for i in range(200)], "different in nearly every row"),
        (
            TEXT,
            [f"{i % 1500}" for i in range(3000)],
            [f"{i % 1500}" for i in range(3000)],
            "more than 1,000 different texts",
        ),
        ('name: "x" type: INT', [1] * 200, ["a"] * 200, "text in one, numbers in the other"),
    ],
)
def test_some_features_are_not_compared(
    tmp_path: Path, feature: str, now: list[object], before: list[object], reason: str
) -> None:
    found = judge_columns(tmp_path, {"x": now}, feature, before={"x": before})
    assert found.comparison is not None
    assert (found.drift, found.comparison.skipped) == ("none", {"x": reason})


def test_a_feature_that_the_baseline_lacks_is_not_compared(tmp_path: Path) -> None:
    found = judge_columns(tmp_path, {"x": [1.0]}, NUMBER, before={"y": [1.0]})
    assert found.comparison is not None
    assert found.comparison.skipped == {"x": "not in the baseline"}


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_unchanged_data_rarely_fire(tmp_path: Path, rows: int) -> None:
    """30 features, 10 pairs of samples of the same distributions, thresholds of 0: only the noise term is left.

    At a level of 0.001 a run, one run of the ten firing would be a chance of 1 %.
    """
    rng = np.random.default_rng(rows)
    features = [f'name: "n{i}" type: FLOAT' for i in range(15)] + [
        f'name: "c{i}" type: BYTES' for i in range(15)
    ]

    def sample() -> dict[str, object]:
        columns: dict[str, object] = {f"n{i}": rng.gamma(1 + i, 1.0, rows) for i in range(15)}
        for i in range(15):
            columns[f"c{i}"] = rng.choice([f"v{k}" for k in range(2 + i)], rows)
        return columns

    fired = 0
    for number in range(10):
        folder = tmp_path / str(number)
        zero = {"categorical": 0.0, "numeric": 0.0}
        found = judge_columns(folder, sample(), *features, before=sample(), thresholds=zero)
        fired += found.drift == "drifted"
    assert fired == 0


def test_jensen_shannon_is_zero_for_equal_and_one_for_disjoint_distributions() -> None:
    assert jensen_shannon([0.5, 0.5], [0.5, 0.5]) == 0
    assert jensen_shannon([1.0, 0.0], [0.0, 1.0]) == 1
    # By hand: m = (0.75, 0.25); (1 log2(1/0.75) + 0.5 log2(0.5/0.75) + 0.5 log2(0.5/0.25)) / 2
    assert jensen_shannon([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.311278, abs=1e-6)


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),  # from tables of the chi-square distribution
    [(0.95, 1, 3.841), (0.99, 5, 15.086), (0.999, 10, 29.588)],
)
def test_chi_square_quantiles_are_those_of_the_tables(
    probability: float, freedom: int, expected: float
) -> None:
    assert chi_square_quantile(probability, freedom) == pytest.approx(expected, rel=0.03)

import numpy as np
import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.analysis import analyse
from penstock.components.tabular_model.encoding import Encoder, tf
from penstock.components.tabular_model.row_features import Feature
from penstock.components.tabular_model.settings import DEFAULTS

NUMBER, CATEGORY = Feature("x", "float64", "numeric"), Feature("x", "string", "categorical")
TEXT, CODE = Feature("x", "string", "text"), Feature("x", "float64", "categorical")


def plan_of(feature, values, **settings):
    column = tf.constant(values, tf.string if feature.dtype == "string" else tf.float64)
    return analyse([feature], [{"x": column}], len(values), {**DEFAULTS, **settings}, 0)


def encode(plan, values):
    encoder = Encoder(plan, DEFAULTS["hash_buckets"])
    dtype = tf.string if isinstance(values[0], (str, bytes)) else tf.float64
    return {name: code.numpy() for name, code in encoder({"x": tf.constant(values, dtype)}).items()}


def test_number_is_scaled_and_placed_among_its_bins():
    plan = plan_of(NUMBER, [0.0, 10.0, 20.0, 40.0], numeric_bins=3)
    codes = encode(plan, [0.0, 5.0, 20.0, 30.0, 40.0, 99.0, -99.0])
    assert plan.numeric[0].edges == (0.0, 10.0, 20.0, 40.0)
    np.testing.assert_allclose(codes["place"][:, 0], [0, 0.5, 2, 2.5, 3, 3, 0])
    np.testing.assert_allclose(codes["scaled"][:2, 0], [-17.5 / 14.790, -12.5 / 14.790], rtol=1e-4)


def test_missing_number_is_the_mean_with_an_indicator():
    codes = encode(plan_of(NUMBER, [1.0, 3.0, np.nan]), [np.nan, 3.0])
    assert codes["scaled"][:, 0].tolist() == [0.0, 1.0]
    assert codes["missing"][:, 0].tolist() == [1.0, 0.0]


def test_no_indicator_where_training_had_no_missing_value():
    assert "missing" not in encode(plan_of(NUMBER, [1.0, 3.0]), [np.nan])


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 3.0], [1e308, -1e308, 0.0], [5e-324, 0.0, 1e-310], [0.0] * 99 + [1e300]]
)
def test_codes_are_finite_whatever_the_training_and_the_row_hold(values):
    codes = encode(plan_of(NUMBER, values), [1e308, -1e308, np.inf, -np.inf, np.nan, 0.0, 5e-324])
    assert all(np.isfinite(code).all() for code in codes.values())
    assert np.abs(codes["scaled"]).max() <= 8.001


def test_infinite_training_values_do_not_spoil_the_scale():
    assert plan_of(NUMBER, [1.0, 3.0, np.inf, -np.inf]).numeric[0].mean == 2.0


def test_heavy_value_gets_its_neighbours_as_edges():
    values = [0.0] * 500 + list(np.linspace(1, 100, 500))
    edges = plan_of(NUMBER, values, numeric_bins=4).numeric[0].edges
    assert edges[:2] == (0.0, 1.0)


def test_constant_and_all_missing_columns_are_dropped_with_the_reason():
    with pytest.raises(StepError) as error:
        plan_of(NUMBER, [7.0, 7.0])
    assert str(error.value) == (
        "no feature is left to learn from: 'x': it has the same value in all training rows"
    )
    with pytest.raises(StepError, match="'x': it is missing in all training rows"):
        plan_of(CATEGORY, ["", ""])
    with pytest.raises(StepError, match="'x': it is missing in all training rows"):
        plan_of(NUMBER, [np.nan, np.nan])


def test_category_rows_are_missing_then_unknown_then_the_vocabulary_by_frequency():
    plan = plan_of(CATEGORY, ["b"] * 30 + ["a"] * 10 + ["rare"])
    assert plan.categorical[0].vocabulary == ("b", "a")
    assert encode(plan, ["", "rare", "unseen", "b", "a"])["category"][:, 0].tolist() == [0, 1, 1, 2, 3]


def test_vocabulary_is_capped():
    plan = plan_of(CATEGORY, ["c"] * 50 + ["b"] * 30 + ["a"] * 10, max_vocabulary=2)
    assert plan.categorical[0].vocabulary == ("c", "b")


def test_number_as_category_is_its_digits():
    plan = plan_of(CODE, [7.0] * 30 + [17031081500.0] * 20 + [np.nan] * 5)
    assert plan.categorical[0].vocabulary == ("7", "17031081500")
    codes = encode(plan, [np.nan, 8.0, 7.0, 17031081500.0, 7.5, np.inf, 1e308])
    assert codes["category"][:, 0].tolist() == [0, 1, 2, 3, 0, 0, 0]


def test_categories_of_two_features_do_not_mix():
    features = [Feature("x", "string", "categorical"), Feature("z", "string", "categorical")]
    block = {"x": tf.constant(["a", "b"] * 30), "z": tf.constant(["b", "c"] * 30)}
    encoder = Encoder(analyse(features, [block], 60, DEFAULTS, 0), 16)
    codes = encoder({"x": tf.constant(["b"]), "z": tf.constant(["b"])})
    assert codes["category"].numpy().tolist() == [[3, 6]]


def test_recurring_words_make_free_text_and_lone_codes_an_identifier():
    sentences = [f"slow driver number {i} on street {i % 7}" for i in range(60)]
    assert plan_of(CATEGORY, sentences).text == ["x"]
    with pytest.raises(StepError, match="'x': it is an identifier: nearly every row has a value of its own"):
        plan_of(CATEGORY, [f"id{i}" for i in range(60)])


def test_words_are_hashed_without_case_and_punctuation():
    codes = encode(plan_of(TEXT, ["a b", "c d"]), ["Slow driver!", "slow, DRIVER", "", "x " * 99])["words"]
    assert codes.shape == (4, 1, 32)
    np.testing.assert_array_equal(codes[0], codes[1])
    assert (codes[2] == -1).all()
    assert (codes[3] >= 0).all()


def test_huge_and_broken_text_is_read_up_to_a_limit():
    codes = encode(plan_of(TEXT, ["a b", "c d"]), [b"\xff\xfe bad utf", b"y" * 1_000_000, b"x " * 500_000])
    assert codes["words"].shape == (3, 1, 32)


def test_sample_of_many_rows_is_seeded_and_uniform(monkeypatch):
    monkeypatch.setattr("penstock.components.tabular_model.analysis.SAMPLE_ROWS", 1000)
    blocks = [{"x": tf.constant(np.arange(i, i + 5000.0))} for i in range(0, 50_000, 5000)]
    first, second = (analyse([NUMBER], blocks, 50_000, DEFAULTS, 3).numeric[0] for _ in range(2))
    assert first == second
    np.testing.assert_allclose(first.mean, 25_000, rtol=0.05)

import numpy as np
import pytest

from penstock.components.explanations import shapley
from penstock.components.explanations.shapley import attribute
from tests.components.explanations.enumeration import exact

NAMES = ("trip miles", "a-b", "größe", "x")


def rows_of(n, seed):
    random = np.random.default_rng(seed)
    gaps = random.normal(size=n)
    gaps[random.random(n) < 0.4] = np.nan
    return {
        "trip miles": random.normal(size=n),
        "a-b": gaps,
        "größe": random.choice(np.array(["", "klein", "sehr groß"], object), n),
        "x": random.integers(0, 3, n).astype(float),
    }


def tangled(columns):
    """Two outputs in which every input meets every other one; missing is a value of its own."""
    miles, gaps = columns["trip miles"], np.nan_to_num(columns["a-b"], nan=-3.0)
    length = np.array([len(text) for text in columns["größe"]], float)
    return np.stack([miles * gaps + length * columns["x"], np.sin(miles) * length - gaps], axis=1)


def total(found):
    return found.baseline + found.values.sum(axis=1)


@pytest.mark.parametrize("pairs", [1, 3])
def test_baseline_and_attributions_add_up_to_the_output_for_any_number_of_permutations(pairs):
    rows, background = rows_of(9, 0), rows_of(5, 1)
    found = attribute(tangled, rows, background, pairs)
    np.testing.assert_allclose(total(found), tangled(rows), atol=1e-12)
    np.testing.assert_allclose(found.baseline, tangled(background).mean(axis=0), atol=1e-12)
    assert found.features == NAMES


def test_many_permutations_come_to_the_values_of_the_definition():
    rows, background = rows_of(4, 2), rows_of(3, 3)
    found = attribute(tangled, rows, background, pairs=3000)
    np.testing.assert_allclose(found.values, exact(tangled, rows, background), atol=0.03)


def test_reversed_permutations_give_pairs_of_inputs_their_exact_values():
    def product(columns):
        return columns["x"] * columns["trip miles"]

    rows, background = rows_of(6, 4), rows_of(4, 5)
    found = attribute(product, rows, background)
    np.testing.assert_allclose(found.values, exact(product, rows, background), atol=1e-12)


def test_sum_of_inputs_is_told_apart_exactly():
    def weighted(columns):
        return 2 * columns["x"] - 0.5 * columns["trip miles"] + 7

    rows, background = rows_of(6, 6), rows_of(8, 7)
    found = attribute(weighted, rows, background)
    expected = 2 * (rows["x"] - background["x"].mean())
    np.testing.assert_allclose(found.values[:, 3, 0], expected, atol=1e-12)
    assert (found.values[:, 1:3] == 0).all()  # inputs that the model does not look at


def test_standard_errors_tell_how_far_off_another_background_is():
    rows, background = rows_of(40, 8), rows_of(60, 9)
    found = attribute(tangled, rows, background, keys=range(40))
    other = attribute(tangled, rows, rows_of(4000, 10), keys=range(40))
    spread = np.hypot(found.errors, other.errors)
    z = ((found.values - other.values) / np.where(spread > 1e-9, spread, np.nan))[spread > 1e-9]
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6
    alone = attribute(tangled, rows, {name: values[:1] for name, values in background.items()})
    assert np.isnan(alone.errors).all()


def test_row_that_is_the_background_has_no_attributions():
    rows = {name: values[:1] for name, values in rows_of(1, 11).items()}
    rows["a-b"] = np.array([np.nan])
    found = attribute(tangled, rows, rows)
    assert (found.values == 0).all()
    assert found.model_rows == 2


def test_missing_against_missing_is_no_change_and_asks_nothing():
    rows = {"a": np.array([np.nan, 1.0]), "b": np.array(["", ""], object)}
    found = attribute(lambda c: np.nan_to_num(c["a"]), rows, {"a": np.array([np.nan]), "b": rows["b"][:1]})
    assert found.values[:, :, 0].tolist() == [[0, 0], [1, 0]]
    assert found.model_rows == 3  # a background row and two rows: nothing lies between


def test_row_is_explained_alike_whatever_its_neighbours():
    rows, background = rows_of(12, 12), rows_of(4, 13)
    together = attribute(tangled, rows, background)
    alone = attribute(tangled, {name: values[7:8] for name, values in rows.items()}, background)
    np.testing.assert_array_equal(together.values[7], alone.values[0])


def test_keys_give_rows_permutations_of_their_own():
    rows, background = rows_of(1, 14), rows_of(4, 15)
    twice = {name: np.repeat(values, 2) for name, values in rows.items()}
    same = attribute(tangled, twice, background).values
    other = attribute(tangled, twice, background, keys=[0, 1]).values
    np.testing.assert_array_equal(same[0], same[1])
    assert (other[0] != other[1]).any()


def test_seed_decides_and_small_blocks_change_nothing(monkeypatch):
    rows, background = rows_of(7, 16), rows_of(6, 17)
    first = attribute(tangled, rows, background, 2, seed=1, keys=range(7))
    monkeypatch.setattr(shapley, "ROWS_IN_A_CALL", 3)
    second = attribute(tangled, rows, background, 2, seed=1, keys=range(7))
    np.testing.assert_allclose(first.values, second.values, atol=1e-12)
    np.testing.assert_allclose(first.errors, second.errors, atol=1e-9)
    assert (attribute(tangled, rows, background, 2, seed=2, keys=range(7)).values != first.values).any()


def test_model_is_asked_for_no_more_rows_than_promised():
    asked = []

    def counting(columns):
        asked.append(len(columns["x"]))
        return tangled(columns)

    rows, background = rows_of(50, 18), rows_of(40, 19)
    found = attribute(counting, rows, background, pairs=3)
    assert sum(asked) == found.model_rows <= 50 * 2 * 40 * 3 * 4
    assert max(asked) <= shapley.ROWS_IN_A_CALL


def test_no_rows_have_no_attributions():
    found = attribute(tangled, rows_of(0, 0), rows_of(3, 1))
    assert found.values.shape == (0, 4, 2)


def test_empty_background_is_refused():
    with pytest.raises(ValueError, match="4 features, 0 background rows, 1 pairs: need 1 of each"):
        attribute(tangled, rows_of(2, 0), rows_of(0, 1))

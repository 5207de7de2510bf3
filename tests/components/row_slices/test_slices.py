import numpy as np
import pyarrow as pa
import pytest

from penstock.components.row_slices.slices import Slicing, make_slicings, read_slices
from penstock.components.step_io.errors import StepError


def slice_by(names, **columns) -> Slicing:
    arrays = {name: pa.chunked_array([values]) for name, values in columns.items()}
    return make_slicings([tuple(names)], arrays)[0]


def counts(slicing):
    """Return {name: rows} in the order of the groups."""
    return {slicing.name(g): int((slicing.codes == g).sum()) for g in range(len(slicing.values))}


def test_text_groups_by_value_and_missing_is_a_group():
    found = slice_by(["pay"], pay=pa.array(["Cash", "Card", None, "Cash", ""]))
    assert counts(found) == {"pay = Card": 1, "pay = Cash": 2, "pay = (missing)": 2}


def test_booleans_group_by_value():
    found = slice_by(["vip"], vip=pa.array([True, False, None, True]))
    assert counts(found) == {"vip = false": 1, "vip = true": 2, "vip = (missing)": 1}


def test_few_whole_numbers_group_by_value_in_their_order():
    found = slice_by(["hour"], hour=pa.array([10, 9, 2, None, 10]))
    assert counts(found) == {"hour = 2": 1, "hour = 9": 1, "hour = 10": 2, "hour = (missing)": 1}


def test_whole_numbers_stored_as_double_group_by_value():
    found = slice_by(["area"], area=pa.array([8.0, 32.0, float("nan"), 8.0]))
    assert counts(found) == {"area = 8": 2, "area = 32": 1, "area = (missing)": 1}


def test_many_numbers_group_by_quartile():
    found = slice_by(["area"], area=pa.array([*range(1, 81), None]))
    assert counts(found) == {
        "area = 1 to 20": 20,
        "area = over 20 to 40": 20,
        "area = over 40 to 60": 20,
        "area = over 60 to 80": 20,
        "area = (missing)": 1,
    }


def test_quartiles_with_many_equal_numbers_are_fewer():
    found = slice_by(["fare"], fare=pa.array([0.0] * 60 + [0.5 + i for i in range(40)]))
    assert counts(found) == {"fare = 0 to 0": 60, "fare = over 0 to 14.5": 15, "fare = over 14.5 to 39.5": 25}


def test_fractions_group_by_quartile_with_digits_that_tell_the_bounds_apart():
    found = slice_by(["x"], x=pa.array([1.00001, 1.00002, 1.00003, 1.00004]))
    assert list(counts(found)) == [
        "x = 1.00001 to 1.00001",
        "x = over 1.00001 to 1.00002",
        "x = over 1.00002 to 1.00003",
        "x = over 1.00003 to 1.00004",
    ]


def test_a_column_without_any_value_is_one_group():
    assert counts(slice_by(["x"], x=pa.array([None, None], pa.float64()))) == {"x = (missing)": 2}
    assert counts(slice_by(["x"], x=pa.array([None, None], pa.string()))) == {"x = (missing)": 2}


def test_the_thirty_most_frequent_values_keep_their_name():
    values = [f"v{i:02d}" for i in range(40) for _ in range(40 - i)] + [None]
    found = counts(slice_by(["v"], v=pa.array(values)))
    assert len(found) == 31
    assert found["v = v00"] == 40
    assert found["v = (missing)"] == 1
    assert "v = v29" not in found
    assert list(found)[-1] == "v = (other)"
    assert found["v = (other)"] == sum(40 - i for i in range(29, 40))


def test_a_cross_groups_by_the_values_of_both_columns():
    found = slice_by(["a", "b"], a=pa.array(["x", "x", "y", None]), b=pa.array([1, 2, 1, 1]))
    assert counts(found) == {
        "a = x, b = 1": 1,
        "a = x, b = 2": 1,
        "a = y, b = 1": 1,
        "a = (missing), b = 1": 1,
    }
    assert found.values[0] == {"a": "x", "b": "1"}


def test_a_cross_with_many_values_keeps_the_thirty_most_frequent():
    a = [f"a{i % 8}" for i in range(1000)]
    b = [f"b{i % 7}" for i in range(1000)]
    found = slice_by(["a", "b"], a=pa.array(a), b=pa.array(b))
    assert len(found.values) == 31
    assert found.values[-1] == {"a": "(other)", "b": "(other)"}
    assert np.bincount(found.codes).sum() == 1000


def test_settings_are_read_once_each():
    assert read_slices(["a", ["a", "b"], ["a"], "a"], ["a", "b"]) == [("a",), ("a", "b")]


def test_unknown_column_names_the_nearest():
    with pytest.raises(StepError) as error:
        read_slices(["company", "payment"], ["payment_type", "company"])
    assert (
        str(error.value) == "slices[1] 'payment' is no column of the test data; did you mean 'payment_type'?"
    )


def test_unknown_column_without_a_near_one_lists_the_columns():
    with pytest.raises(StepError) as error:
        read_slices([["b", "zzz"]], ["b", "a"])
    assert str(error.value) == "slices[0] 'zzz' is no column of the test data; its columns are a, b"


@pytest.mark.parametrize("entry", [3, [], [1], {"a": 1}])
def test_entry_of_the_wrong_type_is_an_error(entry):
    with pytest.raises(StepError) as error:
        read_slices([entry], ["a"])
    assert str(error.value) == (
        f"slices[0] is {entry!r}: expected the name of a column, or a list of names for a cross"
    )

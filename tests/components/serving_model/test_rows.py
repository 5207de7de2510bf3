import numpy as np
import pytest

from penstock.components.serving_model.folder import Input
from penstock.components.serving_model.rows import BadRow, check_column, columns_of

INPUTS = (
    Input("trip miles", "float64", "float", required=True),
    Input("count", "float64", "int"),
    Input("member", "float64", "bool"),
    Input("color", "string", "string"),
)


def test_missing_and_null_are_what_training_makes_of_them():
    columns = columns_of([{"trip miles": 1}, {"trip miles": 2.5, "count": None, "color": None}], INPUTS)
    assert columns["trip miles"].tolist() == [1.0, 2.5]
    assert np.isnan(columns["count"]).all()
    assert np.isnan(columns["member"]).all()
    assert columns["color"].tolist() == ["", ""]


def test_numbers_are_taken_as_json_writers_give_them():
    columns = columns_of([{"trip miles": 3, "count": 4.0, "member": True, "color": "größe"}], INPUTS)
    assert [columns[name].tolist() for name in columns] == [[3.0], [4.0], [1.0], ["größe"]]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "row 1, field 'trip miles': is required by the schema, and missing or null"),
        ({"trip miles": None}, "row 1, field 'trip miles': is required by the schema, and missing or null"),
        ({"trip miles": float("nan")}, "is required by the schema, and missing or null"),
        (
            {"trip mile": 1.0},
            "row 1, field 'trip mile': is no input of the model; did you mean 'trip miles'?",
        ),
        ({"trip miles": "3"}, "row 1, field 'trip miles': is the text '3', expected a number"),
        ({"trip miles": True}, "row 1, field 'trip miles': is true, expected a number"),
        ({"trip miles": [1]}, "row 1, field 'trip miles': is the list [1], expected a number"),
        ({"trip miles": 10**400}, "too large for a number of 64 bits"),
        ({"trip miles": 1, "count": 1.5}, "row 1, field 'count': is 1.5, expected a whole number"),
        ({"trip miles": 1, "member": 2}, "row 1, field 'member': is 2, expected true or false"),
        ({"trip miles": 1, "color": 7}, "row 1, field 'color': is 7, expected a text"),
        ({"trip miles": 1, "color": "\ud800"}, "which is no valid Unicode text"),
        ([1, 2], "row 1: is the list [1, 2], expected an object of features by name"),
        ("x" * 500, "…, expected an object"),
    ],
)
def test_row_that_does_not_fit_is_named_with_its_field(row, sentence):
    with pytest.raises(BadRow) as caught:
        columns_of([{"trip miles": 1.0}, row], INPUTS)
    assert sentence in str(caught.value)
    assert caught.value.row == 1
    assert len(str(caught.value)) < 200


def test_model_without_types_takes_any_number():
    columns = columns_of([{"a": True}, {"a": 2}, {"a": None}], (Input("a", "float64"),))
    np.testing.assert_array_equal(columns["a"], [1.0, 2.0, np.nan])


def test_arrays_are_checked_like_rows():
    number, count, _, color = INPUTS
    assert check_column(np.array([1, 2], np.int64), number).tolist() == [1.0, 2.0]
    assert check_column(np.array([b"red", None], object), color).tolist() == ["red", ""]
    with pytest.raises(BadRow, match=r"row 1, field 'trip miles': is required"):
        check_column(np.array([1, np.nan]), number)
    with pytest.raises(BadRow, match=r"row 0, field 'count': is 0\.5, expected a whole number"):
        check_column(np.array([0.5]), count)
    with pytest.raises(BadRow, match=r"row 0, field 'color': is b'\\xff', which is no UTF-8 text"):
        check_column(np.array([b"\xff"], object), color)

import numpy as np
import pyarrow as pa
import pytest

from penstock.components.predict_batch.columns import Reader
from penstock.components.serving_model.folder import Input


def read(column, **about):
    """Return values, reasons and the number of missing values of a column `n`."""
    found = Input("n", **{"dtype": "float64", **about})
    batch = pa.record_batch({"n": column})
    reader = Reader([found], dict(zip(batch.schema.names, batch.schema.types, strict=True)))
    missing = {}
    columns, codes = reader.read(batch, missing)
    return columns["n"].tolist(), [reader.reasons[code] for code in codes], missing["n"]


def test_numbers_are_float64_with_nan_where_they_are_missing():
    values, reasons, missing = read(pa.array([1, None, 3]))
    np.testing.assert_array_equal(values, [1.0, np.nan, 3.0])
    assert (reasons, missing) == (["", "", ""], 1)


def test_text_that_is_a_number_is_taken_for_one_and_other_text_is_not():
    values, reasons, missing = read(pa.array([" 1.5 ", "n/a", "", None, "-2e3", "+7", "nan", "0x1F"]))
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan, np.nan, -2000, 7, np.nan, np.nan])
    wrong = "'n' is no number"
    assert reasons == ["", wrong, "", "", "", "", wrong, wrong]
    assert missing == 2


def test_missing_value_is_a_reason_only_where_it_is_needed():
    _, reasons, _ = read(pa.array([1.0, None, float("nan")]), required=True)
    assert reasons == ["", "'n' is missing", "'n' is missing"]


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        ("int", [1.0, 1.5, None], [1]),
        ("bool", [0.0, 1.0, 2.0], [2]),
        ("float", [0.5, -1.0, 1e300], []),
        ("", [0.5, 2.0, None], []),
    ],
)
def test_value_outside_the_schemas_type_is_a_reason(kind, values, wrong):
    _, reasons, _ = read(pa.array(values), type=kind)
    assert [at for at, reason in enumerate(reasons) if reason] == wrong


def test_bools_and_numbers_become_the_text_that_training_saw():
    assert read(pa.array([True, None]), dtype="string")[0] == [b"true", b""]
    assert read(pa.array([7, 12]), dtype="string")[0] == [b"7", b"12"]
    assert read(pa.array(["größe", None]), dtype="string")[0] == ["größe".encode(), b""]


def test_column_of_nothing_is_missing_whatever_it_is_for():
    assert read(pa.nulls(2), dtype="string", required=True)[1] == ["'n' is missing"] * 2
    values, _, missing = read(pa.nulls(2))
    assert np.isnan(values).all()
    assert missing == 2


def test_first_reason_of_a_row_is_told():
    inputs = [Input("a", "float64", "int", True), Input("b", "float64", "float", True)]
    batch = pa.record_batch(
        {"a": pa.array([1.5, None, 1.0]), "b": pa.array([None, None, None], pa.float64())}
    )
    reader = Reader(inputs, dict(zip(batch.schema.names, batch.schema.types, strict=True)))
    _, codes = reader.read(batch, {})
    assert [reader.reasons[code] for code in codes] == [
        "'a' is no whole number",
        "'a' is missing",
        "'b' is missing",
    ]

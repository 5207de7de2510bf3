import numpy as np
import pyarrow as pa
import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.columns import RawInput
from penstock.components.tabular_model.label import Label
from penstock.components.tabular_model.shards import Shards
from tests.components.tabular_model.tables import BINARY, MULTICLASS, REGRESSION, write_shards

LABEL = Label.from_spec(BINARY)
INPUTS = [RawInput("n", "float64", "numeric"), RawInput("s", "string", "categorical")]


def test_nulls_become_nan_and_empty_text_and_booleans_numbers(tmp_path):
    columns = {"n": pa.array([True, None, False]), "s": pa.array(["x", None, ""]), "y": ["no", "yes", "no"]}
    block = next(Shards(write_shards(tmp_path, columns), INPUTS, LABEL, "", "train_data").blocks())
    np.testing.assert_array_equal(block.inputs["n"].numpy(), [1.0, np.nan, 0.0])
    assert block.inputs["s"].numpy().tolist() == [b"x", b"", b""]
    assert block.target.tolist() == [0.0, 1.0, 0.0]
    assert block.weight.tolist() == [1.0, 1.0, 1.0]


def test_all_rows_come_in_order_from_all_shards(tmp_path):
    columns = {"n": np.arange(1000), "s": ["x"] * 1000, "y": ["no", "yes"] * 500}
    shards = Shards(write_shards(tmp_path, columns, shards=3), INPUTS, LABEL, "", "train_data")
    shards.block_rows = 256
    values = np.concatenate([block.inputs["n"].numpy() for block in shards.blocks()])
    assert shards.rows == 1000
    np.testing.assert_array_equal(values, np.arange(1000))


def test_column_that_the_data_lacks_is_missing(tmp_path):
    block = next(Shards(write_shards(tmp_path, {"y": ["no"]}), INPUTS, LABEL, "", "train_data").blocks())
    assert np.isnan(block.inputs["n"].numpy()).all()
    assert block.inputs["s"].numpy().tolist() == [b""]


@pytest.mark.parametrize(
    ("columns", "weight", "sentence"),
    [
        ({"n": [1.0], "s": ["x"]}, "", "train_data: the label column 'y' is not in the prepared data"),
        (
            {"n": ["1"], "s": ["x"], "y": ["no"]},
            "",
            "train_data: the column 'n' holds text, the schema says a number",
        ),
        (
            {"n": [1.0], "s": ["x"], "y": ["no"]},
            "w",
            "train_data: the weight column 'w' is not in the prepared data",
        ),
        (
            {"n": [1.0], "s": ["x"], "y": ["no"], "w": [-1.0]},
            "w",
            "train_data: the weight 'w' is missing, negative or infinite in 1 rows",
        ),
        (
            {"n": [1.0], "s": ["x"], "y": ["maybe"]},
            "",
            "train_data: the label 'y' holds ['maybe'], not among the classes ['no', 'yes']",
        ),
        (
            {"n": [1.0], "s": ["x"], "y": pa.array([None], pa.string())},
            "",
            "train_data: 1 rows have no label 'y'",
        ),
    ],
)
def test_data_that_does_not_fit_is_an_error(tmp_path, columns, weight, sentence):
    with pytest.raises(StepError) as error:
        list(Shards(write_shards(tmp_path, columns), INPUTS, LABEL, weight, "train_data").blocks())
    assert str(error.value) == sentence


def test_folder_without_shards_is_an_error(tmp_path):
    with pytest.raises(StepError, match="holds no Parquet shards"):
        Shards(tmp_path, INPUTS, LABEL, "", "train_data")


def test_infinite_regression_label_is_an_error():
    with pytest.raises(StepError) as error:
        Label.from_spec(REGRESSION).target(pa.array([1.0, float("inf")]), "train_data")
    assert str(error.value) == (
        "train_data: the label 'y' is NaN or infinite in 1 rows; drop them with a cleaning rule in app.yaml"
    )


def test_multiclass_label_is_the_index_of_the_class():
    assert Label.from_spec(MULTICLASS).target(pa.array(["c", "a"]), "train_data").tolist() == [2, 0]


def test_single_class_label_is_an_error():
    with pytest.raises(StepError) as error:
        Label.from_spec({"name": "y", "task": "binary", "classes": ["no"], "positive": "no"})
    assert str(error.value) == (
        "the label 'y' is binary, but its classes are ['no'] and the positive one is 'no': "
        "two classes are needed, one of them positive"
    )

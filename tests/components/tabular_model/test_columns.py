import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.columns import RawInput, read_inputs
from tests.components.tabular_model.tables import write_schema


def test_kinds_come_from_the_schema_unless_settings_say_otherwise(tmp_path):
    types = {"fare": "FLOAT", "area": "CATEGORY", "hour": "INT", "note": "BYTES", "tips": "FLOAT"}
    found = read_inputs(write_schema(tmp_path, types), {"tips"}, {"hour": "categorical", "note": "text"})
    assert found == [
        RawInput("fare", "float64", "numeric", "float"),
        RawInput("area", "float64", "categorical", "int"),
        RawInput("hour", "float64", "categorical", "int"),
        RawInput("note", "string", "text", "string"),
    ]


def test_what_a_request_must_hold_comes_from_the_schema(tmp_path):
    text = (
        'feature { name: "a" type: INT presence { min_fraction: 1.0 min_count: 1 } } '
        'feature { name: "b" type: INT bool_domain {} presence { min_fraction: 0.95 } } '
        'feature { name: "c" type: BYTES }'
    )
    (tmp_path / "schema.pbtxt").write_text(text)
    found = {one.name: (one.type, one.required) for one in read_inputs(tmp_path, set())}
    assert found == {"a": ("int", True), "b": ("bool", False), "c": ("string", False)}


def test_deprecated_columns_are_no_inputs(tmp_path):
    text = 'feature { name: "a" type: FLOAT } feature { name: "b" type: FLOAT lifecycle_stage: DEPRECATED }'
    (tmp_path / "schema.pbtxt").write_text(text)
    assert [found.name for found in read_inputs(tmp_path, set())] == ["a"]


def test_schema_that_cannot_be_parsed_is_an_error(tmp_path):
    (tmp_path / "schema.pbtxt").write_text('feature { nam: "a" }')
    with pytest.raises(StepError) as error:
        read_inputs(tmp_path, set())
    assert str(error.value).startswith("schema.pbtxt is no TFDV schema: 1:11 : ")


def test_kind_of_an_unknown_feature_is_an_error_with_the_nearest_name(tmp_path):
    with pytest.raises(StepError) as error:
        read_inputs(write_schema(tmp_path, {"fare": "FLOAT"}), set(), {"far": "numeric", "fare": "number"})
    assert str(error.value) == (
        "model.kinds: 'far' is no input of the model; did you mean 'fare'?; "
        "model.kinds: 'fare' is 'number', allowed are numeric, categorical, text, drop"
    )


def test_schema_without_inputs_is_an_error(tmp_path):
    with pytest.raises(StepError, match="the schema has no column that the model could take as an input"):
        read_inputs(write_schema(tmp_path, {"fare": "FLOAT"}), {"fare"})


def test_columns_that_tensorflow_cannot_tell_apart_are_an_error(tmp_path):
    with pytest.raises(StepError) as error:
        read_inputs(write_schema(tmp_path, {"a-b": "FLOAT", "a b": "FLOAT"}), set())
    assert str(error.value) == (
        "the columns 'a b' and 'a-b' cannot be inputs of one TensorFlow function; "
        "rename or exclude one (features.exclude)"
    )

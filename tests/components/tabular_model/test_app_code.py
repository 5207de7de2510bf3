import sys

import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.app_code import code_digest, load
from penstock.components.tabular_model.network import load_own_model
from penstock.components.tabular_model.row_features import RowFeatures
from tests.components.tabular_model.tables import mixed_job, write_code


def failing(folder, **code):
    with pytest.raises(StepError) as error:
        mixed_job(folder, **code).examples()
    return str(error.value)


def features(body, head="import tensorflow as tf\n"):
    return f"{head}def features(inputs):\n    {body}\n"


def test_app_without_code_has_the_raw_inputs_as_features(tmp_path):
    assert [f.name for f in mixed_job(tmp_path).examples().row_features.features] == [
        "amount",
        "count",
        "area",
        "member",
        "color",
    ]


def test_features_add_replace_and_take_away(tmp_path):
    body = (
        "return {'log': tf.math.log1p(inputs['amount']), 'count': tf.strings.as_string(inputs['count']), "
        "'color': None, 'big': inputs['amount'] > 9}"
    )
    found = mixed_job(tmp_path, features=features(body)).examples().row_features.features
    assert {f.name: (f.dtype, f.kind, f.made) for f in found} == {
        "amount": ("float64", "numeric", False),
        "count": ("string", "categorical", True),
        "area": ("float64", "categorical", False),
        "member": ("float64", "numeric", False),
        "log": ("float64", "numeric", True),
        "big": ("float64", "numeric", True),
    }


def test_import_that_raises_names_file_line_and_error(tmp_path):
    assert failing(tmp_path, features="a = 1\nb = a / 0\n") == (
        "features.py, line 2: ZeroDivisionError: division by zero (in: import)"
    )


def test_syntax_error_names_file_and_line(tmp_path):
    assert failing(tmp_path, features="a = 1\ndef features(:\n").startswith(
        "features.py, line 2: SyntaxError: invalid syntax"
    )


def test_function_that_raises_names_file_line_and_error(tmp_path):
    assert failing(tmp_path, features=features("return {'x': inputs['amuont']}")) == (
        "features.py, line 3: KeyError: 'amuont' (in: features(inputs))"
    )


def test_error_in_a_module_beside_it_names_that_file(tmp_path):
    code = {
        "helper": "def twice(x):\n    raise ValueError('no')\n",
        "features": features("return twice(1)", "from helper import twice\n"),
    }
    assert failing(tmp_path, **code) == "helper.py, line 2: ValueError: no (in: features(inputs))"


def test_missing_function_names_the_nearest(tmp_path):
    assert failing(tmp_path, features="def feature(inputs):\n    return {}\n") == (
        "features.py has no function 'features'; did you mean 'feature'?"
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "return None",
            "features.py: features(inputs) returned a NoneType, expected a dict of tensors by feature",
        ),
        (
            "return {'x': tf.zeros((3, 2))}",
            "features.py: features(inputs) returned 'x' with the shape (3, 2), expected (200,): one value for each row",
        ),
        (
            "return {'x': tf.complex(inputs['amount'], inputs['amount'])}",
            "features.py: features(inputs) returned 'x' as complex128, expected numbers, booleans or strings",
        ),
        ("return {'x': object()}", "features.py: features(inputs) returned 'x' as a object, no tensor"),
        (
            "return {'x': inputs['count'] - tf.reduce_mean(inputs['count'])}",
            "features.py: the feature 'x' of a row changes with the other rows; "
            "features work on each row alone (no mean, rank or total over the rows)",
        ),
        (
            "return {'x': tf.math.log(inputs['count'] - 3.0)}",
            "features.py: the feature 'x' is infinite in {inf} of 200 rows that have all their inputs; "
            "guard the division or logarithm (tf.where, tf.math.divide_no_nan, tf.math.log1p)",
        ),
        (
            "return {'x': inputs['count'] * float('nan')}",
            "features.py: the feature 'x' is NaN in {all} of 200 rows that have all their inputs; "
            "guard the division or logarithm (tf.where, tf.math.divide_no_nan, tf.math.log1p)",
        ),
        (
            "return {'x': tf.constant(inputs['amount'].numpy())}",
            "features.py, line 3: AttributeError: 'SymbolicTensor' object has no attribute 'numpy' "
            "(in: features(inputs), as a graph: it must consist of TensorFlow ops)",
        ),
        ("return dict.fromkeys(inputs)", "features.py: features(inputs) took all features away"),
    ],
)
def test_result_that_cannot_be_used_is_an_error(tmp_path, body, sentence):
    found = failing(tmp_path, features=features(body))
    for word in ("{inf}", "{all}"):
        if word in sentence:
            before, after = sentence.split(word)
            assert found.startswith(before)
            assert found.endswith(after)
            return
    assert found == sentence


def test_nan_where_an_input_is_missing_is_a_missing_value(tmp_path):
    body = "return {'x': inputs['amount'] * 2}"
    numeric = mixed_job(tmp_path, features=features(body)).examples().plan.numeric
    assert {n.name: n.has_missing for n in numeric}["x"] is True


def test_import_leaves_no_trace(tmp_path):
    write_code(tmp_path, features="import helper\ndef features(inputs):\n    return {}\n", helper="x = 1\n")
    before = set(sys.modules), list(sys.path)
    load(tmp_path, "features.py")
    assert (set(sys.modules), list(sys.path)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.py", "helper.py"]


def test_app_without_features_file_has_no_module(tmp_path):
    assert RowFeatures.load(tmp_path, [], {}).module is None


def test_code_digest_changes_with_content_and_name(tmp_path):
    digests = {code_digest(write_code(tmp_path / "a", features="x = 1"))}
    digests.add(code_digest(write_code(tmp_path / "b", features="x = 2")))
    digests.add(code_digest(write_code(tmp_path / "c", model="x = 1")))
    assert len(digests) == 3
    assert code_digest(write_code(tmp_path / "d", features="x = 1")) in digests


def test_model_file_without_known_function_is_an_error(tmp_path):
    with pytest.raises(StepError) as error:
        load_own_model(write_code(tmp_path, model="def make_model(i, s, l):\n    return 1\n"))
    assert str(error.value) == "model.py has no function 'build_model'; did you mean 'make_model'?"


def test_model_file_with_only_a_search_space_keeps_the_default_model(tmp_path):
    assert load_own_model(write_code(tmp_path, model="def search_space(trial):\n    return {}\n")) is None

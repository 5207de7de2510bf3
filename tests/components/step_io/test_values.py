import pytest

from penstock.components.step_io.values import coerce


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        (3.0, int, 3),
        (1, float, 1.0),
        (1, bool, True),
        ("true", bool, True),
        ({"a": 1.0, "b": [2.0, 0.5, None]}, dict, {"a": 1, "b": [2, 0.5, None]}),
        ('{"a": 1}', dict, {"a": 1}),
        ("[1, 2]", list, [1, 2]),
        ("text", str, "text"),
    ],
)
def test_value_takes_its_declared_type(value, declared, expected):
    result = coerce("x", value, declared)

    assert result == expected
    assert type(result) is declared


@pytest.mark.parametrize(
    ("value", "declared"), [(1.5, int), ("3", int), (True, int), ("yes", bool), (3, str)]
)
def test_value_of_another_type_is_refused(value, declared):
    with pytest.raises(TypeError) as caught:
        coerce("rows", value, declared)

    assert str(caught.value) == f"parameter 'rows' is {value!r}, expected {declared.__name__}"

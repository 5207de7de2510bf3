import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.difference import diff_schemas


def diff(old: str, new: str) -> list[tuple[str, str, str]]:
    schemas = [text_format.Parse(text, schema_pb2.Schema()) for text in (old, new)]
    return [(change.kind, change.feature, change.sentence) for change in diff_schemas(*schemas)]


def test_equal_schemas_in_another_order_do_not_differ() -> None:
    a, b = 'feature { name: "a" type: INT }', 'feature { name: "b" type: INT }'
    assert diff(a + b, b + a) == []


def test_new_and_lost_features_are_told() -> None:
    old = 'feature { name: "a" type: INT }'
    new = 'feature { name: "b" type: BYTES presence { min_fraction: 1 } }'
    assert diff(old, new) == [
        ("added", "b", "is new: BYTES, in every row"),
        ("removed", "a", "is gone: it was INT, optional"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        ("type: INT", "type: FLOAT", ["type: INT is now FLOAT"]),
        (
            "presence { min_fraction: 1 }",
            "presence { min_fraction: 0.9 }",
            ["presence: in every row is now in at least 90 % of the rows"],
        ),
        (
            'string_domain { value: "x" value: "y" }',
            'string_domain { value: "y" value: "z" }',
            ["domain: 1 more allowed: 'z'", "domain: 1 no longer allowed: 'x'"],
        ),
        ("", 'string_domain { value: "x" }', ["domain: any text was allowed, now 1 values"]),
        (
            'string_domain { value: "x" } distribution_constraints { min_domain_mass: 0.9 }',
            'string_domain { value: "x" }',
            ["share of values that must be in the domain: 0.9 is now 1"],
        ),
        (
            "int_domain { min: 1 }",
            "int_domain { min: 2 is_categorical: true }",
            ["int_domain.min: 1 is now 2", "int_domain.is_categorical: not set is now true"],
        ),
        ("", "bool_domain { }", ["bool_domain: set"]),
        ("", 'annotation { tag: "no_drift" }', ['annotation: nothing is now { tag: "no_drift" }']),
    ],
)
def test_a_change_is_told_in_a_sentence(old: str, new: str, sentences: list[str]) -> None:
    changes = diff(f'feature {{ name: "a" {old} }}', f'feature {{ name: "a" {new} }}')
    assert changes == [("changed", "a", sentence) for sentence in sentences]

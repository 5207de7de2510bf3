from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.checks import faults_of, load_schema
from penstock.components.step_io.errors import StepError


def faults(*features: str, rest: str = "") -> list[str]:
    text = "".join(f"feature {{ {feature} }}" for feature in features) + rest
    return [fault for _, fault in faults_of(text_format.Parse(text, schema_pb2.Schema()))]


def test_a_good_schema_has_no_faults() -> None:
    assert faults('name: "a" type: INT int_domain { min: 1 max: 1 }', 'name: "b" type: BYTES') == []


@pytest.mark.parametrize(
    ("feature", "fault"),
    [
        ('name: "a"', "its type is TYPE_UNKNOWN, allowed are BYTES (text), INT and FLOAT"),
        ('name: "a" type: INT int_domain { min: 5 max: 4 }', "int_domain: min 5 is above max 4"),
        ('name: "a" type: FLOAT float_domain { min: 0.5 max: 0 }', "float_domain: min 0.5 is above max 0"),
        ('name: "a" type: BYTES domain: "town"', "its domain 'town' is not in the schema"),
        (
            'name: "a" type: INT string_domain { value: "1" }',
            "a string_domain does not go with the type INT",
        ),
        (
            'name: "a" type: BYTES string_domain { }',
            "string_domain: it lists no value, so that no text would be allowed",
        ),
        (
            'name: "a" type: BYTES string_domain { value: "x" value: "x" }',
            "string_domain: 'x' listed twice",
        ),
        (
            'name: "a" type: INT presence { min_fraction: 1.5 }',
            "presence.min_fraction is 1.5, allowed is 0 to 1",
        ),
        (
            'name: "a" type: INT distribution_constraints { min_domain_mass: -1 }',
            "distribution_constraints.min_domain_mass is -1, allowed is 0 to 1",
        ),
        (
            'name: "a" type: INT value_count { min: 2 max: 1 }',
            "value_count: the smallest allowed number, 2, is above the largest, 1",
        ),
        (
            'name: "a" type: BYTES bool_domain { true_value: "y" false_value: "y" }',
            "bool_domain: true and false are both 'y'",
        ),
    ],
)
def test_a_contradiction_is_told(feature: str, fault: str) -> None:
    assert faults(feature) == [f"feature 'a': {fault}"]


def test_a_shared_domain_may_be_named() -> None:
    shared = 'string_domain { name: "town" value: "Ulm" }'
    assert faults('name: "a" type: BYTES domain: "town"', rest=shared) == []


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "schema.pbtxt"
    path.write_text(
        'feature {\n  name: "a"\n  type: INT\n}\nfeature { name: "a" type: INT }\nfeature {\n  name: "b"\n}\n'
    )
    with pytest.raises(StepError) as caught:
        load_schema(path, "schema.pbtxt")
    assert str(caught.value) == (
        "schema.pbtxt:2: feature 'a' is there twice; "
        "schema.pbtxt:7: feature 'b': its type is TYPE_UNKNOWN, allowed are BYTES (text), INT and FLOAT"
    )

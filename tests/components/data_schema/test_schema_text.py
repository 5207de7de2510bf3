from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.schema_text import read_schema, schema_text, write_text
from penstock.components.step_io.errors import StepError

SCHEMA = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } }
feature { name: "paid" type: BYTES string_domain { value: "ja" value: "n\u00f6" } }
string_domain { name: "towns" value: "Ulm" }
"""


def error_of(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "schema.pbtxt"
    path.write_bytes(content)
    with pytest.raises(StepError) as caught:
        read_schema(path, "schema.pbtxt")
    return str(caught.value)


def test_text_says_what_the_schema_says() -> None:
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    written = schema_text(schema, ["a head"], {"fare": ["in dollars"]})
    assert written.startswith('# a head\n\n# in dollars\nfeature {\n  name: "fare"\n  type: FLOAT\n')
    assert '"n\u00f6"' in written
    assert text_format.Parse(written, schema_pb2.Schema()) == schema


def test_a_broken_file_is_told_with_line_and_column(tmp_path: Path) -> None:
    content = b'feature {\n  name: "fare"\n  typ: FLOAT\n}\n'
    assert error_of(tmp_path, content) == (
        "schema.pbtxt:3:3: this is no TFDV schema: "
        'Message type "tensorflow.metadata.v0.Feature" has no field named "typ".'
    )


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    assert error_of(tmp_path, b"# nothing\n") == (
        "schema.pbtxt: the schema names no feature: draft one with `penstock schema infer`"
    )


def test_a_file_of_another_encoding_is_told(tmp_path: Path) -> None:
    assert error_of(tmp_path, b'feature { name: "\xe4" }') == (
        "schema.pbtxt: byte 17 is not UTF-8: save the file as UTF-8"
    )


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        read_schema(tmp_path / "schema.pbtxt", "schema.pbtxt")
    assert str(caught.value) == (
        "schema.pbtxt: there is no such schema: draft one with `penstock schema infer`"
    )


def test_a_written_file_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "schema.pbtxt", "text")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["schema.pbtxt"]

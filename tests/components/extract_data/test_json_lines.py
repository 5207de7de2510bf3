import gzip
import json


def types(table):
    return {field.name: str(field.type) for field in table.schema}


def lines(*objects):
    return "".join(json.dumps(o) + "\n" for o in objects)


def test_values_keep_their_types(read, write):
    table = read(
        write(
            "a.jsonl",
            lines({"i": 1, "f": 1.5, "t": "007", "b": True}, {"i": -2, "f": 2, "t": "x", "b": False}),
        )
    )
    assert types(table) == {"i": "int64", "f": "double", "t": "string", "b": "bool"}
    assert table.to_pydict() == {"i": [1, -2], "f": [1.5, 2.0], "t": ["007", "x"], "b": [True, False]}


def test_absent_keys_null_and_empty_text_are_missing(read, write):
    table = read(write("a.jsonl", lines({"a": "x", "n": None}, {"a": ""}, {"z": 1})))
    assert table.to_pydict() == {"a": ["x", None, None], "n": [None, None, None], "z": [None, None, 1]}


def test_mixed_values_become_text(read, write):
    table = read(write("a.jsonl", lines({"a": 1}, {"a": "x"}, {"a": True})))
    assert table.to_pydict() == {"a": ["1", "x", "true"]}


def test_dates_stay_text(read, write):
    assert types(read(write("a.jsonl", lines({"d": "2014-01-01"})))) == {"d": "string"}


def test_nan_and_infinity_are_numbers(read, write):
    assert str(read(write("a.jsonl", '{"a": NaN}\n{"a": -Infinity}\n'))["a"].to_pylist()) == "[nan, -inf]"


def test_a_byte_order_mark_and_blank_lines_are_skipped(read, write):
    assert read(write("a.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\n')).to_pydict() == {"a": [1, 2]}


def test_packed_files_of_a_folder_are_united_by_name(read, write, tmp_path):
    write("in/b.ndjson", lines({"y": 2, "x": 1.5}))
    write("in/a.jsonl.gz", gzip.compress(lines({"x": 1}).encode()))
    assert read(str(tmp_path / "in")).to_pydict() == {"x": [1.0, 1.5], "y": [None, 2]}


def test_nested_values_are_refused(fault, write):
    assert fault(write("a.jsonl", lines({"a": 1, "b": {"c": 1}}))) == (
        "a.jsonl: the values of 'b' are nested (objects or lists): write them as flat keys"
    )


def test_values_that_are_nested_in_some_lines_are_refused(fault, write):
    assert fault(write("a.jsonl", lines({"a": 1}, {"a": [1]}))) == (
        "a.jsonl: the values of 'a' are nested (objects or lists): write them as flat keys"
    )


def test_line_that_is_cut_off(fault, write):
    assert fault(write("a.jsonl", '{"a": 1}\n{"a": 2\n{"a": 3}\n')) == (
        "a.jsonl: line 2 column 8 is no JSON (Expecting ',' delimiter): write one complete object per line"
    )


def test_line_that_is_no_object(fault, write):
    assert fault(write("a.jsonl", '{"a": 1}\n5\n')) == (
        "a.jsonl: line 2 is no JSON object: write one object per line"
    )


def test_array_of_objects(fault, write):
    assert fault(write("a.json", '[\n{"a": 1}\n]\n')) == (
        "a.json is one JSON array, not JSON Lines: write one object per line"
    )


def test_bytes_that_are_not_utf8(fault, write):
    assert fault(write("a.jsonl", b'{"a": "\xe9"}\n')) == (
        "a.jsonl is not UTF-8: byte 7 is 0xe9; save the file as UTF-8"
    )


def test_keys_that_differ_in_case_only(fault, write):
    assert fault(write("a.jsonl", lines({"a": 1, "A": 2}))) == (
        "a.jsonl: columns 1 and 2 are both named 'A' (case does not count): rename one"
    )


def test_objects_without_keys(fault, write):
    assert fault(write("a.jsonl", "{}\n")) == (
        "a.jsonl holds no key in any object: write it again or leave it out of the source"
    )

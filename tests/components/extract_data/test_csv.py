import gzip

import pyarrow as pa
import pytest


def types(table):
    return {field.name: str(field.type) for field in table.schema}


def test_types_come_from_all_values_of_a_column(read, write):
    rows = "".join(f"{i},{i}\n" for i in range(5000))
    table = read(write("a.csv", f"late_text,number\n{rows}x,1\n"))
    assert types(table) == {"late_text": "string", "number": "int64"}
    assert table["late_text"][5000].as_py() == "x"


@pytest.mark.parametrize(
    ("values", "type_", "read_as"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        (["9223372036854775807"], "int64", [9223372036854775807]),
        (["1", "2.5"], "double", [1.0, 2.5]),
        (["1e3", ".5", "5."], "double", [1000.0, 0.5, 5.0]),
        ([" 5 ", "6"], "int64", [5, 6]),
        (["true", "False"], "bool", [True, False]),
        (["true", "1"], "string", ["true", "1"]),
        (["007", "12"], "string", ["007", "12"]),
        (["-05"], "string", ["-05"]),
        (["00.5"], "string", ["00.5"]),
        (["+49"], "string", ["+49"]),
        (["1_000"], "string", ["1_000"]),
        (["0x10"], "string", ["0x10"]),
        (["."], "string", ["."]),
        (["-"], "string", ["-"]),
        (["e5"], "string", ["e5"]),
        (["18446744073709551616", "1"], "string", ["18446744073709551616", "1"]),
        (["2014-01-01"], "string", ["2014-01-01"]),
        (["NA", "1"], "string", ["NA", "1"]),
        (["inf", "-Infinity", "1"], "double", [float("inf"), float("-inf"), 1.0]),
    ],
)
def test_a_column_has_the_narrowest_type_of_its_values(read, write, values, type_, read_as):
    table = read(write("a.csv", "k,v\n" + "".join(f"k,{v}\n" for v in values)))
    assert (types(table)["v"], table["v"].to_pylist()) == (type_, read_as)


def test_nan_is_a_number(read, write):
    table = read(write("a.csv", "v\n1.5\nNaN\n"))
    assert types(table) == {"v": "double"}
    assert str(table["v"].to_pylist()) == "[1.5, nan]"


def test_empty_fields_are_missing(read, write):
    table = read(write("a.csv", 'a,b,c\n1,,\n,"",\n3,x,\n'))
    assert table.to_pydict() == {"a": [1, None, 3], "b": [None, None, "x"], "c": [None, None, None]}
    assert types(table) == {"a": "int64", "b": "string", "c": "string"}


def test_quoted_texts_keep_delimiters_quotes_and_line_ends(read, write):
    table = read(write("a.csv", 'a,b\n"x, ""y""","1\n2"\n'))
    assert table.to_pydict() == {"a": ['x, "y"'], "b": ["1\n2"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_read(read, write, end):
    table = read(write("a.csv", end.join(["a,b", "1,x", "2,y"])))
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read, write, delimiter):
    table = read(write("a.csv", f"a{delimiter}b\n1,5{delimiter}x\n" if delimiter != "," else "a,b\n1;5,x\n"))
    assert table.column_names == ["a", "b"]
    assert table["b"].to_pylist() == ["x"]


def test_a_delimiter_in_a_quoted_name_does_not_count(read, write):
    assert read(write("a.csv", '"a;b",c\n1,2\n')).to_pydict() == {"a;b": [1], "c": [2]}


def test_a_single_column_is_read(read, write):
    assert read(write("a.csv", "a\n1\n2\n")).to_pydict() == {"a": [1, 2]}


def test_an_unknown_delimiter_gives_one_column(read, write):
    assert read(write("a.csv", "a:b\n1:2\n")).to_pydict() == {"a:b": ["1:2"]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(read, write):
    assert read(write("a.csv", b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n")).to_pydict() == {"a": [1], "b": ["é"]}


def test_blank_lines_before_the_header_are_skipped(read, write):
    assert read(write("a.csv", "\n\na,b\n1,2\n")).to_pydict() == {"a": [1], "b": [2]}


def test_spaces_around_names_are_left_out(read, write):
    assert read(write("a.csv", "a, b\n1,2\n")).to_pydict() == {"a": [1], "b": [2]}


def test_names_are_taken_as_they_are(read, write):
    name = """it's a "name" (€)"""
    assert read(write("a.csv", '"it\'s a ""name"" (€)",b\n1,2\n')).to_pydict() == {name: [1], "b": [2]}


def test_numbered_columns_are_a_header(read, write):
    assert read(write("a.csv", "0,1\n5,6\n")).to_pydict() == {"0": [5], "1": [6]}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.gz", gzip.compress),
        ("a.csv.zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_compressed_files_are_read(read, write, name, pack):
    assert read(write(name, pack(b"a,b\n1,x\n"))).to_pydict() == {"a": [1], "b": ["x"]}


def test_files_of_a_folder_are_united_by_name_in_the_order_of_their_paths(read, write, tmp_path):
    write("in/b.csv", "x,y\n1.5,t\n")
    write("in/a.csv", "y,x,z\n1,2,3\n")
    write("in/_SUCCESS", "")
    write("in/README.md", "about")
    table = read(str(tmp_path / "in"))
    assert table.to_pydict() == {"y": ["1", "t"], "x": [2.0, 1.5], "z": [3, None]}
    assert types(table) == {"y": "string", "x": "double", "z": "int64"}


def test_files_of_a_glob_are_read(read, write, tmp_path):
    for number in range(3):
        write(f"part{number}.csv", f"a\n{number}\n")
    write("other.csv", "a\n9\n")
    assert read(str(tmp_path / "part*.csv"))["a"].to_pylist() == [0, 1, 2]


def test_files_with_different_delimiters_are_united(read, write, tmp_path):
    write("in/a.csv", "a,b\n1,2\n")
    write("in/b.csv", "a;b\n3;4\n")
    assert read(str(tmp_path / "in")).to_pydict() == {"a": [1, 3], "b": [2, 4]}


def test_rows_keep_their_order_over_shards(read, write, tmp_path):
    table = read(write("a.csv", "i\n" + "".join(f"{i}\n" for i in range(2500))), rows_per_shard=1000)
    assert table["i"].to_pylist() == list(range(2500))
    assert [path.name for path in sorted((tmp_path / "dataset").iterdir())] == [
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]


def test_two_thousand_columns_are_read(read, write):
    table = read(
        write("a.csv", ",".join(f"c{i}" for i in range(2000)) + "\n" + ",".join(["1"] * 2000) + "\n")
    )
    assert len(table.column_names) == 2000


def test_a_very_wide_file_is_read_by_a_query(read, write):
    wide = ",".join(f"c{i}" for i in range(3000)) + "\n" + ",".join(map(str, range(3000))) + "\n"
    table = read(write("a.csv", wide), query="SELECT c7, c2999, count(*) OVER () AS n FROM source")
    assert table.to_pydict() == {"c7": [7], "c2999": [2999], "n": [1]}


def test_the_same_source_gives_the_same_bytes(run_extract, write, tmp_path):
    path = write("a.csv", "i,t\n" + "".join(f"{i},x{i % 7}\n" for i in range(3000)))
    first = run_extract(path, rows_per_shard=1000)
    bytes_ = [p.read_bytes() for p in sorted((tmp_path / "dataset").iterdir())]
    assert run_extract(path, rows_per_shard=1000) == first
    assert [p.read_bytes() for p in sorted((tmp_path / "dataset").iterdir())] == bytes_


def test_the_hash_of_the_data_does_not_depend_on_shards_and_packing(run_extract, write):
    text = "i,t\n" + "".join(f"{i},x{i % 7}\n" for i in range(3000))
    plain = run_extract(write("a.csv", text), rows_per_shard=1000)
    packed = run_extract(write("b.csv.gz", gzip.compress(text.encode())), rows_per_shard=10_000)
    assert plain.data_fingerprint == packed.data_fingerprint


def test_the_hash_of_the_data_changes_with_a_value(run_extract, write):
    first = run_extract(write("a.csv", "i\n1\n2\n"))
    assert run_extract(write("a.csv", "i\n1\n3\n")).data_fingerprint != first.data_fingerprint


def test_a_name_with_brackets_is_no_pattern(read, write):
    write("a1.csv", "a\n2\n")
    assert read(write("a[1].csv", "a\n1\n")).to_pydict() == {"a": [1]}


def test_a_folder_with_an_equals_sign_adds_no_column(read, write):
    assert read(write("day=1/a.csv", "a\n1\n")).to_pydict() == {"a": [1]}

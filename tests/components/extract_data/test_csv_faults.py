import gzip

import pyarrow as pa
import pytest


def test_missing_file(fault, write, tmp_path):
    write("trips.csv", "a\n1\n")
    assert fault(f"{tmp_path}/trip.csv") == "the source 'trip.csv' does not exist; did you mean 'trips.csv'?"


def test_empty_file(fault, write):
    assert (
        fault(write("a.csv", "")) == "a.csv is empty (0 bytes): write it again or leave it out of the source"
    )


def test_blank_file(fault, write):
    assert fault(write("a.csv", "\n \n")) == (
        "a.csv holds nothing but blanks: write it again or leave it out of the source"
    )


def test_header_only(fault, write):
    assert fault(write("a.csv", "a,b\n")) == (
        "the source 'a.csv' has a header but no rows: nothing can be learned from it"
    )


def test_line_that_is_cut_off(fault, write):
    assert fault(write("a.csv", "a,b,c\n1,2,3\n4,5\n")) == (
        "a.csv: line 3 has 2 fields, the header has 3 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_line_with_too_many_fields(fault, write):
    rows = "".join("1,2\n" for _ in range(5000))
    assert fault(write("a.csv", f"a,b\n{rows}1,2,3\n")) == (
        "a.csv: line 5002 has 3 fields, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_lines_inside_quotes_count(fault, write):
    assert fault(write("a.csv", 'a,b\r\n1,"x\r\ny"\r\n5\r\n')).startswith("a.csv: line 4 has 1 field")


def test_quote_that_is_never_closed(fault, write):
    assert fault(write("a.csv", 'a,b\n1,2\n3,"x\n4,5\n')) == (
        "a.csv: the quote that opens in line 3 is never closed: the file is cut off there"
    )


def test_quote_inside_a_quoted_text(fault, write):
    assert fault(write("a.csv", 'a,b\n1,"5" pipe"\n')) == (
        "a.csv: line 2 has a quote inside a quoted text: double it"
    )


def test_mixed_line_ends(fault, write):
    assert fault(write("a.csv", "a,b\n1,2\r\n3,4\n")) == (
        "a.csv: 1 lines end in CR LF and 2 in LF: give all lines the same end"
    )


def test_ambiguous_delimiter(fault, write):
    assert fault(write("a.csv", "a|b,c|d\n1|2,3|4\n")) == (
        "a.csv: the delimiter is ambiguous between comma (2 columns) and bar (3 columns): "
        "quote the texts that hold one of them"
    )


@pytest.mark.parametrize("padding", [0, 2**20 - 4])
def test_bytes_that_are_not_utf8(fault, write, padding):
    before = b"a,b\n1," + b"x" * padding
    assert fault(write("a.csv", before + b"\xe9\n")) == (
        f"a.csv is not UTF-8: byte {len(before)} is 0xe9; save the file as UTF-8"
    )


def test_bytes_that_are_not_utf8_in_the_header(fault, write):
    assert fault(write("a.csv", b"a,\xe9\n1,2\n")) == (
        "a.csv is not UTF-8: byte 2 is 0xe9; save the file as UTF-8"
    )


def test_bytes_that_are_not_utf8_in_a_packed_file(fault, write):
    assert fault(write("a.csv.gz", gzip.compress(b"a,b\n1,\xe9\n"))) == (
        "a.csv.gz is not UTF-8: byte 6 of the unpacked file is 0xe9; save the file as UTF-8"
    )


def test_character_that_is_cut_off_at_the_end(fault, write):
    assert (
        fault(write("a.csv", b"a,b\n1,x\xc3")) == "a.csv is not UTF-8: byte 7 is 0xc3; save the file as UTF-8"
    )


def test_utf16(fault, write):
    assert (
        fault(write("a.csv", "a,b\n1,2\n".encode("utf-16"))) == "a.csv is encoded in UTF-16: save it as UTF-8"
    )


def test_utf32(fault, write):
    assert (
        fault(write("a.csv", "a,b\n1,2\n".encode("utf-32"))) == "a.csv is encoded in UTF-32: save it as UTF-8"
    )


def test_column_names_that_are_twice_there(fault, write):
    assert fault(write("a.csv", "a,b,A\n1,2,3\n")) == (
        "a.csv: columns 1 and 3 are both named 'A' (case does not count): rename one"
    )


def test_column_without_a_name(fault, write):
    assert (
        fault(write("a.csv", "a,,c\n1,2,3\n"))
        == "a.csv: column 2 of 3 has no name: name it in the first line"
    )


def test_column_name_with_a_line_end(fault, write):
    assert fault(write("a.csv", '"a\nb",c\n1,2\n')) == (
        "a.csv: the name of column 1, 'a\\nb', holds a control character: rename it"
    )


def test_first_line_that_is_data(fault, write):
    assert fault(write("a.csv", "1.5,-2\n3,4\n")) == (
        "a.csv: the first line holds numbers, not column names: put a line with the names before it"
    )


def test_more_columns_than_can_be_read(fault, write):
    wide = ",".join(f"c{i}" for i in range(10_000)) + "\n" + ",".join(["1"] * 10_000) + "\n"
    assert fault(write("a.csv", wide)) == (
        "the source 'a.csv' has 10000 columns, more than 2000: select those that you need with data.query"
    )


def test_query_that_selects_more_columns_than_can_be_read(fault, write):
    wide = ",".join(f"c{i}" for i in range(2001)) + "\n" + ",".join(["1"] * 2001) + "\n"
    assert fault(write("a.csv", wide), query="SELECT * FROM source") == (
        "the source 'a.csv' has 2001 columns, more than 2000: select those that you need with data.query"
    )


def test_packed_file_that_is_cut_off(fault, write):
    packed = gzip.compress("".join(f"{i},{i * 7919 % 1000}\n" for i in range(5000)).encode())
    assert fault(write("a.csv.gz", packed[: len(packed) // 2])) == (
        "a.csv.gz is no complete gzip file (Compressed file ended before the end-of-stream marker was reached): "
        "write it again"
    )


def test_file_that_is_not_packed(fault, write):
    assert fault(write("a.csv.gz", "a,b\n1,2\n")) == (
        "a.csv.gz is no complete gzip file (Not a gzipped file (b'a,')): write it again"
    )


def test_the_faulty_one_of_several_files_is_named(fault, write, tmp_path):
    write("in/a.csv", "a,b\n1,2\n")
    write("in/b.csv", "a,b\n1\n")
    assert fault(f"{tmp_path}/in") == (
        "in/b.csv: line 2 has 1 field, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_unknown_format(fault, write):
    assert fault(write("a.xlsx", "PK")) == (
        "the name of a.xlsx does not tell its format: set data.format to csv, jsonl or parquet "
        "(.gz and .zst may follow .csv and .jsonl)"
    )


def test_line_that_is_cut_off_in_a_zstandard_file(fault, write):
    assert fault(write("a.csv.zst", pa.compress(b"a,b\n1,2\n3\n", codec="zstd", asbytes=True))) == (
        "a.csv.zst: line 3 has 1 field, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_zstandard_file_that_is_cut_off(fault, write):
    text = "".join(f"{i},{i * 7919 % 1000}\n" for i in range(5000))
    packed = pa.compress(text.encode(), codec="zstd", asbytes=True)
    assert fault(write("a.csv.zst", packed[: len(packed) // 2])).startswith(
        "a.csv.zst is no complete Zstandard file ("
    )


def test_line_that_is_too_long(fault, write):
    assert fault(write("a.csv", f"a,b\n1,{'x' * 20_000_000}\n")) == (
        "a.csv: a line is longer than 8 MiB: shorten its texts"
    )


def test_a_long_line_is_read(read, write):
    assert len(read(write("a.csv", f"a,b\n1,{'x' * 7_000_000}\n"))["b"][0].as_py()) == 7_000_000


def test_line_that_is_cut_off_in_a_file_of_texts_only(fault, write, tmp_path):
    write("in/a.csv", "b,a\nx,y\n")
    write("in/b.csv", "a,b\n" + "x,y\n" * 5000 + "z\n")
    assert fault(f"{tmp_path}/in") == (
        "in/b.csv: line 5002 has 1 field, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )

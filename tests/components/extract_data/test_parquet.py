import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

UTC = datetime.UTC


@pytest.fixture
def write_table(tmp_path):
    def write(name, columns):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), path)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("values", "type_", "read_as"),
    [
        (pa.array([1, None], pa.int8()), "int64", [1, None]),
        (pa.array([1], pa.uint64()), "int64", [1]),
        (pa.array([1.5], pa.float32()), "double", [1.5]),
        (pa.array([decimal.Decimal("1.25")]), "double", [1.25]),
        (pa.array([True, None]), "bool", [True, None]),
        (pa.array(["", None]), "string", ["", None]),
        (pa.array(["a"], pa.large_string()), "string", ["a"]),
        (pa.array(["a", "a"]).dictionary_encode(), "string", ["a", "a"]),
        (pa.array([datetime.date(1970, 1, 2)]), "int64", [86400]),
        (pa.array([datetime.datetime(1969, 12, 31, 23, 59, 59, 500000)]), "int64", [-1]),
        (
            pa.array([datetime.datetime(1970, 1, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC")),
            "int64",
            [3600],
        ),
        (pa.array([datetime.time(1, 2, 3)]), "string", ["01:02:03"]),
        (pa.array([None], pa.null()), "string", [None]),
    ],
)
def test_each_type_becomes_one_of_four(read, write_table, values, type_, read_as):
    table = read(write_table("a.parquet", {"v": values}))
    assert (str(table.schema.field("v").type), table["v"].to_pylist()) == (type_, read_as)


def test_files_are_united_by_name_and_types(read, write_table, tmp_path):
    write_table("in/a.parquet", {"i": [1], "n": [1], "m": [1], "d": [datetime.date(1970, 1, 2)]})
    write_table("in/b.parquet", {"n": [1.5], "m": ["x"], "d": [datetime.date(1970, 1, 3)]})
    assert read(str(tmp_path / "in")).to_pydict() == {
        "i": [1, None],
        "n": [1.0, 1.5],
        "m": ["1", "x"],
        "d": [86400, 172800],
    }


def test_nested_columns_are_refused(fault, write_table):
    assert fault(write_table("a.parquet", {"a": [1], "b": [[1, 2]]})) == (
        "column 'b' of 'a.parquet' holds nested values (BIGINT[]): take them apart with data.query"
    )


def test_nested_columns_are_taken_apart_by_a_query(read, write_table):
    table = read(write_table("a.parquet", {"b": [{"x": 1, "y": 2}]}), query="SELECT b.y AS y FROM source")
    assert table.to_pydict() == {"y": [2]}


def test_file_that_is_no_parquet(fault, write):
    assert fault(write("a.parquet", "a,b\n1,2\n")) == (
        "a.parquet is no readable Parquet file (Parquet magic bytes not found in footer. Either the file is "
        "corrupted or this is not a parquet file): write it again"
    )


def test_file_without_rows(fault, write_table):
    assert fault(write_table("a.parquet", {"a": pa.array([], pa.int64())})) == (
        "the source 'a.parquet' holds no rows: nothing can be learned from it"
    )


def test_numbers_beyond_64_bits(fault, write_table):
    path = write_table("a.parquet", {"a": pa.array([2**64 - 1], pa.uint64())})
    assert fault(path).startswith("the source 'a.parquet' cannot be read: Conversion Error: ")


def test_a_folder_with_an_equals_sign_adds_no_column(read, write_table):
    assert read(write_table("day=1/a.parquet", {"a": [1]})).to_pydict() == {"a": [1]}

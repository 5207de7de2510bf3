import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.source_files.shards import RowHash, ShardWriter, blocks, shard_paths
from penstock.components.step_io.errors import StepError

SCHEMA = pa.schema([("i", pa.int64()), ("t", pa.string()), ("b", pa.bool_()), ("f", pa.float64())])


def table(n, start=0):
    r = range(start, start + n)
    return pa.table(
        {
            "i": [None if i % 7 == 0 else i for i in r],
            "t": [None if i % 5 == 0 else "x" * (i % 4) for i in r],
            "b": [None if i % 3 == 0 else i % 2 == 0 for i in r],
            "f": [None if i % 11 == 0 else i / 3 for i in r],
        },
        SCHEMA,
    )


def hash_of(batches):
    found = RowHash(SCHEMA)
    for block in blocks(batches, SCHEMA):
        found.update(block)
    return found.hexdigest()


def test_shards_have_the_rows_asked_for(tmp_path):
    with ShardWriter(tmp_path / "d", SCHEMA, 100) as writer:
        writer.write(table(150))
        writer.write(table(90, 150))
    paths = shard_paths(tmp_path / "d")
    assert [pq.read_metadata(path).num_rows for path in paths] == [100, 100, 40]
    assert pa.concat_tables([pq.read_table(path) for path in paths]).equals(table(240))


def test_no_rows_are_one_empty_shard(tmp_path):
    with ShardWriter(tmp_path / "d", SCHEMA, 100):
        pass
    assert pq.read_table(shard_paths(tmp_path / "d")[0]).schema.equals(SCHEMA)


def test_a_folder_without_shards(tmp_path):
    with pytest.raises(StepError) as caught:
        shard_paths(tmp_path)
    assert str(caught.value) == f"the dataset {tmp_path} holds no part-*.parquet"


def test_the_hash_does_not_depend_on_how_rows_come():
    whole = table(200_000)
    assert hash_of(whole.to_batches()) == hash_of(whole.to_batches(max_chunksize=777))


def test_the_hash_does_not_depend_on_what_lies_under_missing_values():
    data = pa.py_buffer(b"\x01" + b"\0" * 7 + b"\x63" + b"\0" * 7)  # 1 and, missing, 99
    hidden = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), data])
    schema = pa.schema([("i", pa.int64())])
    digests = []
    for column in (hidden, pa.array([1, None], pa.int64())):
        found = RowHash(schema)
        found.update(pa.table([column], schema))
        digests.append(found.hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "other",
    [
        {"t": ["a", "bc"]},
        {"t": ["ab", None]},
        {"t": ["ab", ""]},
        {"u": ["ab", "c"]},
        {"t": [1, 2]},
    ],
)
def test_the_hash_tells_values_names_types_and_missing_apart(other):
    def digest(columns):
        data = pa.table(columns)
        found = RowHash(data.schema)
        found.update(data)
        return found.hexdigest()

    assert digest(other) != digest({"t": ["ab", "c"]})


def test_blocks_of_wide_tables_are_short():
    schema = pa.schema([(f"c{i}", pa.int64()) for i in range(1000)])
    data = pa.table([pa.array(range(10_000), pa.int64())] * 1000, schema)
    assert [block.num_rows for block in blocks(data.to_batches(), schema)] == [4000, 4000, 2000]

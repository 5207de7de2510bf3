"""Writes and reads the folder of Parquet shards that a Dataset artifact is."""

import errno
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.components.step_io.errors import StepError

BLOCK_ROWS = 65_536
BLOCK_CELLS = 4_000_000  # a block of a wide table has fewer rows, so that memory stays bounded
ARROW_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a Dataset in their order.

    Raises:
        StepError: The folder holds none.
    """
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise StepError(f"the dataset {folder} holds no part-*.parquet")
    return paths


def blocks(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut a stream into tables of equal length, so that nothing depends on how it came."""
    rows = max(1024, min(BLOCK_ROWS, BLOCK_CELLS // max(len(schema), 1)))
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= rows:
            table = pa.Table.from_batches(waiting, schema)
            start = 0
            while count - start >= rows:
                yield table.slice(start, rows).combine_chunks()
                start += rows
            waiting, count = table.slice(start).to_batches(), count - start
    if count:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


class ShardWriter:
    """Writes tables into shards of `rows_per_shard` rows; a Dataset without rows is one empty shard."""

    def __init__(self, folder: Path, schema: pa.Schema, rows_per_shard: int) -> None:
        self.folder = folder
        self.schema = schema
        self.rows_per_shard = rows_per_shard
        self.rows = 0
        self.shards = 0
        self._left = 0
        self._writer: pq.ParquetWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table."""
        start = 0
        while start < table.num_rows:
            if self._left == 0:
                self._next_shard()
            taken = table.slice(start, self._left)
            assert self._writer is not None
            self._writer.write_table(taken)
            start += taken.num_rows
            self._left -= taken.num_rows
        self.rows += table.num_rows

    def close(self) -> None:
        """Finish the last shard."""
        if self.shards == 0:
            self._next_shard()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _next_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
        path = self.folder / f"part-{self.shards:05d}.parquet"
        self._writer = pq.ParquetWriter(path, self.schema, compression="zstd", version="2.6")
        self.shards += 1
        self._left = self.rows_per_shard

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            try:
                self._writer.close()
            except OSError as closing:  # the first error is the one to tell
                if closing.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise


class RowHash:
    """A hash of rows and columns, in their order, whatever shards they are written to.

    For each block and column: the validity of the values when some are missing, then the values with
    missing ones as zero. Two equal sequences of rows have equal hashes on every machine.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._digest = hashlib.sha256(repr([(f.name, str(f.type)) for f in schema]).encode())

    def update(self, block: pa.Table) -> None:
        """Add a block, as `blocks` cuts them."""
        for column in block.columns:
            for chunk in column.chunks:
                self._add(chunk)

    def hexdigest(self) -> str:
        """Return the hash as 32 hexadecimal digits."""
        return self._digest.hexdigest()[:32]

    def _add(self, values: pa.Array) -> None:
        self._digest.update(f"{len(values)},{values.null_count};".encode())
        if values.null_count:
            self._bytes(pc.is_valid(values).cast(pa.uint8()), 1)
        if pa.types.is_string(values.type):
            values = values.fill_null("")
            self._bytes(pc.binary_length(values), 4)
            _, offsets, data = values.buffers()
            edge = memoryview(offsets).cast("i")
            first, last = edge[values.offset], edge[values.offset + len(values)]
            if last > first:
                self._digest.update(memoryview(data)[first:last])
        elif pa.types.is_boolean(values.type):
            self._bytes(values.fill_null(False).cast(pa.uint8()), 1)
        else:
            self._bytes(values.fill_null(0), 8)

    def _bytes(self, values: pa.Array, width: int) -> None:
        data = memoryview(values.buffers()[1])
        self._digest.update(data[values.offset * width : (values.offset + len(values)) * width])

"""Turns Parquet columns into what TFDV's combiners read: a list of values for each row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with each column as lists of at most one value; null where it is missing.

    Booleans become the integers 0 and 1: TFDV knows no booleans, their mean is the share of true, and a
    schema says what they are with `type: INT` and a `bool_domain`. NaN and infinity stay: TFDV counts
    them apart from the other values, and from the missing ones.
    """
    columns = [_as_list(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_list(column: pa.Array) -> pa.ListArray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    ends = np.zeros(len(column) + 1, np.int32)
    if not column.null_count:
        ends = np.arange(len(column) + 1, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), column)
    present = np.asarray(pc.is_valid(column))
    np.cumsum(present, out=ends[1:])
    # Arrow 10 takes a null among the offsets for a null list.
    offsets = pa.array(ends, mask=np.append(~present, False))
    return pa.ListArray.from_arrays(offsets, column.drop_null())

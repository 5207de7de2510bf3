"""What stands in a shard of predictions: keys, outputs, and why a row has none."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from penstock.components.serving_model.folder import ModelFolder
from penstock.components.step_io.errors import StepError

ROW = "row_number"  # in the dataset, from 0
UNSCORED = "unscored"


def output_fields(model: ModelFolder) -> list[pa.Field]:
    """Return the columns that a model's predictions make."""
    if model.task == "regression":
        return [pa.field("prediction", pa.float64())]
    if model.task == "binary":
        return [pa.field("score", pa.float64()), pa.field("label", pa.string())]
    probabilities = [pa.field(f"probability_{name}", pa.float64()) for name in model.classes]
    return [pa.field("label", pa.string()), *probabilities]


def choose_keys(key: Sequence[str], types: Mapping[str, pa.DataType], model: ModelFolder) -> list[str]:
    """Return the key columns: those named, else all that are no inputs; [] means the row's number.

    Raises:
        StepError: One is not in the data, or has the name of a column of the predictions.
    """
    if not all(isinstance(name, str) for name in key) or len(set(key)) < len(key):
        raise StepError(f"key is {list(key)!r}: expected a list of columns, each once")
    for name in key:
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (it has {_listed(list(types))})"
            raise StepError(f"the key column {name!r} is not in the data{hint}")
    inputs = {found.name for found in model.inputs}
    keys = list(key) or [name for name in types if name not in inputs]
    taken = {*(field.name for field in output_fields(model)), UNSCORED}
    clash = [name for name in keys if name in taken]
    if clash:
        raise StepError(
            f"the data have a column {clash[0]!r}, which is also the name of a column of the predictions: rename it "
            "with the query, or name other key columns (batch_prediction.key, --key)"
        )
    return keys


def schema_of(keys: Sequence[str], types: Mapping[str, pa.DataType], model: ModelFolder) -> pa.Schema:
    """Return the columns of a shard: keys, predictions, and why there is none."""
    beside = [pa.field(name, types[name]) for name in keys] or [pa.field(ROW, pa.int64())]
    return pa.schema([*beside, *output_fields(model), pa.field(UNSCORED, pa.string())])


def make_table(
    schema: pa.Schema,
    batch: pa.RecordBatch,
    first_row: int,
    outputs: Mapping[str, np.ndarray],
    codes: np.ndarray,
    reasons: Sequence[str],
    model: ModelFolder,
) -> pa.Table:
    """Return the predictions of a batch.

    Args:
        schema: From `schema_of`.
        batch: The rows, with their keys.
        first_row: The number of the first one in the dataset.
        outputs: What the model gives for the rows with code 0, in their order.
        codes: For each row the place of its reason in `reasons`; 0 is none.
        reasons: Why rows have no prediction.
        model: The model.
    """
    good = codes == 0
    places = np.cumsum(good) - 1  # of a good row among the good ones
    take = pa.array(places, pa.int64(), mask=~good)
    made: dict[str, pa.Array] = {
        ROW: pa.array(np.arange(first_row, first_row + batch.num_rows)),
        UNSCORED: pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32(), mask=good), pa.array(reasons, pa.string())
        ).cast(pa.string()),
    }
    for name, values in outputs.items():
        if name == "probabilities":
            for at, text in enumerate(model.classes):
                made[f"probability_{text}"] = pa.array(values[:, at].astype(np.float64)).take(take)
        elif name == "label":
            made[name] = pa.array(values, pa.string()).take(take)
        else:
            made[name] = pa.array(values.astype(np.float64)).take(take)
    own = {field.name for field in output_fields(model)} | {UNSCORED}
    names = set(batch.schema.names)
    columns = [
        made[field.name]
        if field.name in own or field.name not in names
        else batch.column(field.name).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown

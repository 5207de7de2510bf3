"""V2 tensors (Open Inference Protocol): requests into columns, outputs into tensors.

A tensor per input of the model, by its name, of shape [n] or [n, 1]. Numbers may come in any numeric type,
texts as BYTES; null (JSON), NaN and "" are missing, and so is a tensor that is not sent.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse

from penstock.components.prediction_service.faults import BadRequest
from penstock.components.serving_model.folder import Input, ModelFolder
from penstock.components.serving_model.rows import BadRow, check_column, unknown_field

NUMBERS = {f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)} | {
    "FP16",
    "FP32",
    "FP64",
    "BOOL",
}
DATATYPES = {"int": "INT64", "float": "FP64", "bool": "BOOL", "string": "BYTES"}


def columns_of_tensors(
    tensors: Sequence[InferInput], inputs: Sequence[Input], max_rows: int
) -> dict[str, np.ndarray]:
    """Return the columns of a V2 request; see `columns_of`.

    Raises:
        BadRequest: A tensor is unknown, twice there, of a wrong type or shape, or holds a bad value.
    """
    by_name = {found.name: found for found in inputs}
    rows = rows_of_tensors(tensors, max_rows)
    columns: dict[str, np.ndarray] = {}
    for tensor in tensors:
        if tensor.name not in by_name:
            raise BadRequest(f"tensor {tensor.name!r}: {unknown_field(tensor.name, by_name)}", tensor.name)
        if tensor.name in columns:
            raise BadRequest(f"the tensor {tensor.name!r} comes twice", tensor.name)
        found = by_name[tensor.name]
        wanted = {"BYTES"} if found.dtype == "string" else NUMBERS
        if found.dtype == "string" and found.type in ("bool", ""):
            wanted = wanted | {"BOOL"}
        if tensor.datatype not in wanted:
            expected = DATATYPES.get(found.type) or ("BYTES" if found.dtype == "string" else "FP64")
            raise BadRequest(
                f"the tensor {tensor.name!r} has the datatype {tensor.datatype!r}, expected {expected}",
                tensor.name,
            )
        values = tensor_values(tensor, rows)
        try:
            columns[tensor.name] = check_column(values, found)
        except BadRow as fault:
            raise BadRequest.of(fault) from None
    for found in inputs:
        if found.name not in columns:
            if found.required:
                raise BadRequest(
                    f"the tensor {found.name!r} is required by the schema, and missing",
                    found.name,
                    0 if rows else None,
                )
            columns[found.name] = (
                np.full(rows, "", object) if found.dtype == "string" else np.full(rows, np.nan)
            )
    return columns


def rows_of_tensors(tensors: Sequence[InferInput], max_rows: int) -> int:
    """Return how many rows a request has.

    Raises:
        BadRequest: It has no tensor, tensors of other shapes than [n] and [n, 1], of unlike n, or too many rows.
    """
    if not tensors:
        raise BadRequest("the request has no inputs: expected a tensor for each feature")
    rows: int | None = None
    for tensor in tensors:
        shape = [int(size) for size in tensor.shape]
        if len(shape) not in (1, 2) or min(shape) < 0 or (len(shape) == 2 and shape[1] != 1):
            raise BadRequest(
                f"the tensor {tensor.name!r} has the shape {shape}, expected [n] or [n, 1]", tensor.name
            )
        if rows is not None and shape[0] != rows:
            raise BadRequest(
                f"the tensor {tensor.name!r} has {shape[0]} rows, others have {rows}", tensor.name
            )
        rows = shape[0]
    assert rows is not None
    check_rows(rows, max_rows)
    return rows


def check_rows(rows: int, max_rows: int) -> None:
    """Refuse a batch that is too long.

    Raises:
        BadRequest: It is.
    """
    if rows > max_rows:
        raise BadRequest(
            f"the request has {rows} rows, at most {max_rows} are taken (--max-rows): send it in parts"
        )


def tensor_values(tensor: InferInput, rows: int) -> np.ndarray:
    """Return the values of a tensor as they came, of shape (rows,).

    Raises:
        BadRequest: They are not as many as the shape says, or cannot be decoded.
    """
    raw = getattr(tensor, "_raw_data", None)
    try:
        if raw is not None:
            values = tensor.as_numpy().reshape(-1)
        else:
            flat = _flat(tensor.data if tensor.data is not None else [])
            values = np.empty(len(flat), object)
            values[:] = flat
    except (ValueError, TypeError, struct.error):
        raise BadRequest(
            f"the tensor {tensor.name!r} holds no {tensor.datatype} of the shape {list(tensor.shape)}",
            tensor.name,
        ) from None
    if len(values) != rows:
        raise BadRequest(
            f"the tensor {tensor.name!r} holds {len(values)} values for {rows} rows", tensor.name
        )
    return values


def respond(
    folder: ModelFolder,
    outputs: dict[str, np.ndarray],
    request: InferRequest,
    name: str,
    version: str,
    request_id: str,
) -> InferResponse:
    """Return the outputs as tensors: those that were asked for, in the form that was asked for.

    Raises:
        BadRequest: An output is asked for that the model does not have.
    """
    asked = {output.name: output.binary_data for output in request.request_outputs or ()}
    for output in asked:
        if output not in folder.outputs:
            raise BadRequest(
                f"the model has no output {output!r}; it has {', '.join(folder.outputs)}", output
            )
    tensors = []
    for output in folder.outputs:
        if asked and output not in asked:
            continue
        values, datatype = outputs[output], "FP32"
        if output == "label":
            values, datatype = np.array([text.encode() for text in values.tolist()], object), "BYTES"
        elif values.dtype == np.float64:
            datatype = "FP64"
        parameters = {"classes": ",".join(folder.classes)} if output == "probabilities" else None
        tensor = InferOutput(output, list(values.shape), datatype, parameters=parameters)
        binary = asked.get(output)
        tensor.set_data_from_numpy(
            values, binary_data=request.use_binary_outputs if binary is None else binary
        )
        tensors.append(tensor)
    return InferResponse(
        response_id=request.id or request_id, model_name=name, model_version=version, infer_outputs=tensors
    )


def input_types(folder: ModelFolder) -> list[dict[str, Any]]:
    """Return the inputs for the model's metadata."""
    return [
        {
            "name": found.name,
            "datatype": DATATYPES.get(found.type) or ("BYTES" if found.dtype == "string" else "FP64"),
            "shape": [-1],
        }
        for found in folder.inputs
    ]


def output_types(folder: ModelFolder) -> list[dict[str, Any]]:
    """Return the outputs for the model's metadata."""
    shapes = {"probabilities": [-1, len(folder.classes)]}
    return [
        {"name": name, "datatype": "BYTES" if name == "label" else "FP32", "shape": shapes.get(name, [-1])}
        for name in folder.outputs
    ]


def _flat(values: Any) -> list[Any]:
    """Return the values of a list of values, or of lists of one value each."""
    listed = list(values)
    return (
        [inner for outer in listed for inner in outer] if any(isinstance(v, list) for v in listed) else listed
    )

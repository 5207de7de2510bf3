"""The recorded rows sent over each protocol: V1 and V2 (Open Inference Protocol) over REST, V2 over gRPC."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TIMEOUT_S = 30.0
ROWS_AT_ONCE = 50


class Unanswered(Exception):
    """A request that got no usable answer; the message is the end of a sentence."""


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    """Send a body and return status and text.

    Raises:
        Unanswered: No answer came.
    """
    request = urllib.request.Request(url, body, {"content-type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise Unanswered(f"got no answer: {error}") from error


def get(url: str) -> tuple[int, str]:
    """Read a URL and return status and text; status 0 where nothing listens."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


def v1_bodies(instances: Sequence[Mapping[str, Any]], rows: int) -> list[bytes]:
    """Return V1 request bodies of up to `rows` instances each."""
    return [
        json.dumps({"instances": list(instances[i : i + rows])}).encode()
        for i in range(0, len(instances), rows)
    ]


def over_v1(base: str, model: str, instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers to V1 requests.

    Raises:
        Unanswered: A request failed.
    """
    answers: list[dict[str, Any]] = []
    for body in v1_bodies(instances, ROWS_AT_ONCE):
        answers += _checked(*post(f"{base}/v1/models/{model}:predict", body))["predictions"]
    return answers


def over_v2(
    base: str,
    model: str,
    instances: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, str],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the answers to V2 requests over REST, one tensor of shape (n, 1) an input.

    Raises:
        Unanswered: A request failed.
    """
    answers: list[dict[str, Any]] = []
    for begin in range(0, len(instances), ROWS_AT_ONCE):
        rows = instances[begin : begin + ROWS_AT_ONCE]
        tensors = [
            {
                "name": name,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if dtype == "string" else "FP64",
                "data": [row.get(name) for row in rows],
            }
            for name, dtype in inputs.items()
        ]
        found = _checked(*post(f"{base}/v2/models/{model}/infer", json.dumps({"inputs": tensors}).encode()))
        outputs = {out["name"]: np.array(out["data"]).reshape(out["shape"]) for out in found["outputs"]}
        answers += by_row(outputs, classes)
    return answers


def over_grpc(
    address: str,
    model: str,
    instances: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, str],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the answers to V2 requests over gRPC, through KServe's own client.

    Raises:
        Unanswered: A request failed.
    """
    return asyncio.run(_over_grpc(address, model, instances, inputs, classes))


async def _over_grpc(
    address: str,
    model: str,
    instances: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, str],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    import grpc
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    client = InferenceGRPCClient(url=address, timeout=TIMEOUT_S)
    answers: list[dict[str, Any]] = []
    try:
        for begin in range(0, len(instances), ROWS_AT_ONCE):
            rows = instances[begin : begin + ROWS_AT_ONCE]
            tensors = []
            for name, dtype in inputs.items():
                tensor = InferInput(name, [len(rows), 1], "BYTES" if dtype == "string" else "FP64")
                tensor.set_data_from_numpy(column(rows, name, dtype), binary_data=True)
                tensors.append(tensor)
            try:
                found = await client.infer(InferRequest(model_name=model, infer_inputs=tensors))
            except grpc.RpcError as error:
                raise Unanswered(f"got {error.code()}: {error.details()}") from error
            answers += by_row({out.name: out.as_numpy() for out in found.outputs}, classes)
    finally:
        await client.close()
    return answers


def column(rows: Sequence[Mapping[str, Any]], name: str, dtype: str) -> np.ndarray:
    """Return one input of the rows, shape (n, 1): NaN or an empty text where it is missing."""
    values = [row.get(name) for row in rows]
    if dtype == "string":
        return np.array([("" if value is None else value).encode() for value in values], dtype=object)[
            :, None
        ]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)[:, None]


def by_row(outputs: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return V2 outputs as V1 answers: one object a row."""
    columns: dict[str, list[Any]] = {}
    for name, values in outputs.items():
        if name == "probabilities":
            columns[name] = [dict(zip(classes, map(float, row), strict=True)) for row in values]
        else:
            flat = values.reshape(-1).tolist()
            columns[name] = [value.decode() if isinstance(value, bytes) else value for value in flat]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _checked(status: int, text: str) -> Any:
    if status != 200:
        raise Unanswered(f"got status {status}: {text[:300]}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unanswered(f"got an answer that is no JSON: {text[:300]}") from error

"""A caller's fault is a 400 with the field and the row: over V1, V2 and gRPC; never a 500, never a trace."""

import json
import random

import grpc
import numpy as np
import pytest
from kserve import InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

ROW = {"amount": 7.5, "count": 3, "area": 2, "member": True, "color": "red"}


def v1(service, content, kind="application/json", **headers):
    return service.client.post(
        "/v1/models/m:predict", content=content, headers={"content-type": kind, **headers}
    )


def v2(service, body):
    return service.client.post("/v2/models/m/infer", json=body)


def tensor(name="amount", datatype="FP64", shape=(1,), data=(7.5,), **more):
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data), **more}


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"colour": "red"}, "colour", "is no input of the model; did you mean 'color'?"),
        ({"amount": None}, "amount", "is required by the schema, and missing or null"),
        ({"amount": "7.5"}, "amount", "is the text '7.5', expected a number"),
        ({"amount": True}, "amount", "is true, expected a number"),
        ({"count": 2.5}, "count", "is 2.5, expected a whole number"),
        ({"member": "yes"}, "member", "is the text 'yes', expected true or false"),
        ({"color": 5}, "color", "is 5, expected a text"),
        ({"color": {"a": [1]}}, "color", "is the object {'a': [1]}, expected a text"),
    ],
)
def test_wrong_row_is_told_with_its_field_and_place(service, change, field, sentence):
    answered = service.predict([ROW, {**ROW, **change}])
    assert answered.status_code == 400
    assert answered.json() == {"error": f"row 1, field {field!r}: {sentence}", "field": field, "row": 1}


def test_row_that_lacks_a_required_feature_is_told(service):
    assert service.predict([{"count": 3}]).json() == {
        "error": "row 0, field 'amount': is required by the schema, and missing or null",
        "field": "amount",
        "row": 0,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"instances": [', "the body is no JSON: "),
        (b"", "the body is no JSON: "),
        (b"\xff\xfe", "the body is no JSON: "),
        (b'{"instances": [{"amount": NaN}]}', "the body is no JSON: "),
        (b"[" * 5000, "the body is no JSON: "),
        (b"[1]", 'the body has no "instances"'),
        (b"null", 'the body has no "instances"'),
        (b'{"instance": []}', 'the body has no "instances"'),
        (b'{"instances": {"amount": 1}}', "\"instances\" is the object {'amount': 1}, expected a list"),
        (b'{"instances": [[1, 2]]}', "row 0: is the list [1, 2], expected an object of features by name"),
        (b'{"instances": [null]}', "row 0: is null, expected an object of features by name"),
        (b'{"instances": [{"amount": 1e999}]}', "the body is no JSON: "),
    ],
)
def test_body_of_another_form_is_told(service, content, sentence):
    for kind in ("application/json", "application/json; charset=utf-8"):
        answered = v1(service, content, kind)
        assert answered.status_code == 400
        assert sentence in answered.json()["error"]


def test_too_many_rows_and_too_many_bytes_are_refused(service):
    answered = service.predict([ROW] * 51)
    assert (answered.status_code, answered.json()["error"]) == (
        400,
        "the request has 51 rows, at most 50 are taken (--max-rows): send it in parts",
    )
    sentence = "the body is larger than 50000 bytes (--max-body-bytes): send the rows in parts"
    large = json.dumps({"instances": [{**ROW, "color": "x" * 60_000}]}).encode()
    answered = v1(service, large)
    assert (answered.status_code, answered.json()["error"]) == (400, sentence)
    for path in ("/v1/models/m:predict", "/v2/models/m/infer"):
        pieces = (large[at : at + 1000] for at in range(0, len(large), 1000))  # no length is told
        answered = service.client.post(path, content=pieces, headers={"content-type": "application/json"})
        assert (answered.status_code, answered.json()["error"]) == (400, sentence)
    assert service.predict([ROW]).status_code == 200


def test_cloud_events_are_taken_and_broken_ones_refused(service):
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "here", "ce-type": "ask"}
    content = json.dumps({"instances": [ROW]}).encode()
    assert v1(service, content, **event).status_code == 200
    assert v1(service, b"{", **event).status_code == 400
    assert v1(service, content, **{**event, "ce-specversion": "9"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"inputs": [tensor(name="amounts")]}, "is no input of the model; did you mean 'amount'?"),
        ({"inputs": [tensor("count", "INT64", data=[1])]}, "'amount' is required by the schema, and missing"),
        ({"inputs": [tensor(data=[None])]}, "row 0, field 'amount': is required by the schema"),
        ({"inputs": [tensor(datatype="BYTES", data=["a"])]}, "has the datatype 'BYTES', expected FP64"),
        ({"inputs": [tensor(datatype="FLOAT99")]}, "has the datatype 'FLOAT99', expected FP64"),
        ({"inputs": [tensor(data=["a"])]}, "row 0, field 'amount': is the text 'a', expected a number"),
        ({"inputs": [tensor(), tensor()]}, "the tensor 'amount' comes twice"),
        ({"inputs": [tensor(shape=[2])]}, "the tensor 'amount' holds 1 values for 2 rows"),
        ({"inputs": [tensor(shape=[-1])]}, "has the shape [-1], expected [n] or [n, 1]"),
        ({"inputs": [tensor(shape=[1, 2])]}, "has the shape [1, 2], expected [n] or [n, 1]"),
        ({"inputs": [tensor(shape=[])]}, "has the shape [], expected [n] or [n, 1]"),
        ({"inputs": [tensor(), tensor("count", "INT64", [2], [1, 2])]}, "'count' has 2 rows, others have 1"),
        ({"inputs": [tensor(shape=[51], data=[1.0] * 51)]}, "the request has 51 rows, at most 50"),
        ({"inputs": [tensor(data=[[[1]]])]}, "expected a number"),
        ({"inputs": [tensor(), tensor("count", "INT64", data=[1.5])]}, "is 1.5, expected a whole number"),
        ({"inputs": []}, "the request has no inputs"),
        ({"inputs": "x"}, "inputs: input should be a valid list"),
        ({"input": []}, "inputs: field required"),
        ([], ""),
        ({"inputs": [{"name": "amount"}]}, "field required"),
        ({"inputs": [tensor(shape=["a"])]}, "inputs.0.shape.0: input should be a valid integer"),
    ],
)  # fmt: skip
def test_v2_request_of_another_form_is_told(service, body, sentence):
    answered = v2(service, body)
    assert answered.status_code == 400, answered.text
    assert sentence in answered.json()["error"]


@pytest.mark.parametrize("length", ["abc", "-5", "0", "7", "99999"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"inputs": 5}', b'{"inputs": [{"name": "amount"}]}', b"\x00" * 50]
)
def test_v2_binary_request_of_another_form_is_a_400(service, content, length):
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    answered = service.client.post("/v2/models/m/infer", content=content, headers=headers)
    assert answered.status_code == 400, answered.text
    assert answered.json()["error"]


def test_unknown_model_and_path_are_404(service):
    for path in ("/v1/models/other:predict", "/v2/models/other/infer"):
        answered = service.client.post(path, json={"instances": [], "inputs": [tensor()]})
        assert (answered.status_code, answered.json()) == (
            404,
            {"error": "Model with name other does not exist."},
        )
    assert service.client.get("/nothing").json() == {"error": "Not Found"}


def ask(service, request):
    """Return the code and the sentence with which a gRPC call ends."""
    with grpc.insecure_channel(service.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
    return caught.value.code(), caught.value.details()


def amount(values, datatype="FP64", name="amount", shape=None):
    made = InferInput(name, shape or [len(values)], datatype, data=list(values))
    return InferRequest("m", [made]).to_grpc()


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (amount([1.0], name="amounts"), "is no input of the model; did you mean 'amount'?"),
        (amount([b"a"], "BYTES"), "has the datatype 'BYTES', expected FP64"),
        (amount([1.0], shape=[3]), "the tensor 'amount' holds 1 values for 3 rows"),
        (amount([1.0] * 51), "the request has 51 rows, at most 50 are taken"),
        (amount([float("nan")]), "row 0, field 'amount': is required by the schema"),
        (messages.ModelInferRequest(model_name="m"), "the request has no inputs"),
        (
            messages.ModelInferRequest(model_name="m", raw_input_contents=[b"123"], inputs=[
                {"name": "amount", "datatype": "FP64", "shape": [1]}]),
            "the tensor 'amount' holds no FP64 of the shape [1]",
        ),
        (
            messages.ModelInferRequest(model_name="m", raw_input_contents=[b"123", b"4"], inputs=[
                {"name": "amount", "datatype": "FP64", "shape": [1]}]),
            "does not match the expected number",
        ),
        (
            messages.ModelInferRequest(model_name="m", inputs=[
                {"name": "amount", "datatype": "WHAT", "shape": [1]}]),
            "invalid content type",
        ),
    ],
)  # fmt: skip
def test_grpc_fault_is_an_invalid_argument(service, request_, sentence):
    code, details = ask(service, request_)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in details
    assert "Traceback" not in details


def test_grpc_unknown_model_is_not_found(service):
    request = amount([1.0])
    request.model_name = "other"
    assert ask(service, request) == (grpc.StatusCode.NOT_FOUND, "Model with name other does not exist.")


def test_random_requests_are_answered_or_refused_and_nothing_else(service):
    """Seeded; values of any type in any place of the two protocols."""
    pick = random.Random(5)
    leaves = [None, True, 0, -1, 7.5, 1e308, 2**63, "", "red", "\x00", "ü" * 40, [], {}, [[1]], {"a": 1}]
    keys = [*ROW, "instances", "inputs", "name", "shape", "datatype", "data", "parameters", "", "x"]

    def made(depth):
        kind = pick.random()
        if depth == 0 or kind < 0.3:
            return pick.choice(leaves)
        if kind < 0.5:
            return [made(depth - 1) for _ in range(pick.randrange(4))]
        return {pick.choice(keys): made(depth - 1) for _ in range(pick.randrange(5))}

    statuses = set()
    for _ in range(150):
        row = {**ROW, pick.choice(list(ROW)): made(1)}
        one = (
            {**tensor(), pick.choice(["name", "datatype", "shape", "data"]): made(1)}
            if pick.random() < 0.5
            else made(2)
        )
        for answered in (
            service.client.post(
                "/v1/models/m:predict", json={"instances": [row, *[made(2)] * (pick.random() < 0.3)]}
            ),
            service.client.post("/v1/models/m:predict", json=made(3)),
            service.client.post("/v2/models/m/infer", json={"inputs": [one]}),
        ):
            statuses.add(answered.status_code)
            assert answered.status_code in (200, 400), (
                answered.status_code,
                answered.request.content,
                answered.text,
            )
            assert answered.status_code == 200 or answered.json()["error"]
    assert statuses == {200, 400}
    assert "Traceback" not in service.said()


def test_values_at_the_edge_of_numbers_are_answered(service):
    rows = [{**ROW, "amount": value} for value in (1e308, -1e308, 5e-324, 0, -0.0, 2**63, 10**30)]
    rows += [{**ROW, "color": text} for text in ("", "\x00", "x" * 5000, "größe", "\U0001f600")]
    answered = service.predict(rows)
    assert answered.status_code == 200
    assert all(np.isfinite(row["score"]) for row in answered.json()["predictions"])

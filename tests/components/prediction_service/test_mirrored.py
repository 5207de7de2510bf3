"""Copies of requests as KServe's payload logger sends them: predicted and logged under the request's own id."""

import json
import uuid
from typing import Any

import pytest
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent

from penstock.components.prediction_service import mirrored
from tests.components.prediction_service.running import Running

ROW = {"amount": 7.5, "count": 3, "area": 2, "member": True, "color": "red"}
DATATYPES = {float: "FP64", int: "INT64", bool: "BOOL", str: "BYTES"}
V2 = {
    "inputs": [
        {"name": name, "shape": [1], "datatype": DATATYPES[type(value)], "data": [value]}
        for name, value in ROW.items()
    ]
}


def event(body: bytes, request_id: str = "", kind: str = mirrored.REQUEST.decode()) -> dict[str, Any]:
    """Return the headers and the content of the logger's post."""
    attributes = {
        "id": str(uuid.uuid4()),
        "type": kind,
        "source": "http://localhost:9081/",
        "inferenceservicename": "taxi",
        "namespace": "serving",
        "component": "predictor",
        "metadata": json.dumps({"X-Request-Id": [request_id]} if request_id else {}),
        "datacontenttype": "application/json",
    }
    headers, content = to_binary(CloudEvent(attributes, body), data_marshaller=lambda data: data)
    return {"headers": headers, "content": content}


@pytest.mark.parametrize(("body", "protocol"), [({"instances": [ROW]}, "v1"), (V2, "v2")], ids=["V1", "V2"])
def test_a_copy_is_predicted_as_the_request_was(service: Running, body: Any, protocol: str) -> None:
    answered = service.predict([ROW], **{"x-request-id": f"answered-{protocol}"})
    copied = service.client.post("/mirrored", **event(json.dumps(body).encode(), f"copied-{protocol}"))
    assert (copied.status_code, copied.json()) == (200, {})
    records = service.logged({f"answered-{protocol}", f"copied-{protocol}"})
    copy = records[f"copied-{protocol}"]
    assert (copy["protocol"], copy["status"], copy["rows"]) == (protocol, 200, 1)
    assert copy["scores"] == pytest.approx([answered.json()["predictions"][0]["score"]])
    assert copy["labels"] == records[f"answered-{protocol}"]["labels"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"instances": [{"amount": 3.0, "unheard": 1}]}', "unheard"),
        (b'{"rows": []}', 'no "instances"'),
        (b'{"inputs": [{"name": "amount"}]}', "the form of no protocol"),
        (b"{", "the form of no protocol"),
    ],
    ids=["feature", "neither", "tensor", "JSON"],
)
def test_a_copy_that_cannot_be_answered_is_a_refusal_in_the_log(
    service: Running, body: bytes, told: str
) -> None:
    request_id = uuid.uuid4().hex
    refused = service.client.post("/mirrored", **event(body, request_id))
    assert refused.status_code == 400
    assert told in refused.json()["error"]
    assert service.logged({request_id})[request_id]["status"] == 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"", "request"), (b'{"predictions": [{"score": 0.1}]}', "response")],
    ids=["question about the model", "answer"],
)
def test_what_asks_for_no_prediction_is_not_in_the_log(service: Running, body: bytes, kind: str) -> None:
    before = service.metric("penstock_requests_total")
    sent = event(body, kind=f"org.kubeflow.serving.inference.{kind}")
    assert service.client.post("/mirrored", **sent).status_code == 204
    assert service.metric("penstock_requests_total") == before


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"ce-id": b"e", b"ce-metadata": b'{"X-Request-Id":["r"]}'}, b"r"),
        ({b"ce-id": b"e", b"ce-metadata": b"%7B%22X-Request-Id%22:[%22r%22]%7D"}, b"r"),
        ({b"ce-id": b"e", b"ce-metadata": b"{}"}, b"e"),
        ({b"ce-id": b"e", b"ce-metadata": b'{"X-Request-Id":[]}'}, b"e"),
        ({b"ce-id": b"e", b"ce-metadata": b"[1]"}, b"e"),
        ({b"ce-id": b"e"}, b"e"),
        ({}, b""),
    ],
)
def test_id_is_the_requests_where_it_was_kept(headers: dict[bytes, bytes], expected: bytes) -> None:
    assert mirrored.request_id(headers) == expected

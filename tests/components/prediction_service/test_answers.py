"""What the service answers: over V1, V2 and gRPC, for all kinds of models."""

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROW = {"amount": 7.5, "count": 3, "area": 2, "member": True, "color": "red"}


def examples_of(models, task):
    found = json.loads((models / task / "examples.json").read_text())
    return found["instances"], found["predictions"]


def tensors(rows, binary=True):
    """Return the tensors of rows: BYTES for color, INT64 for area (which may be missing: FP64), BOOL for member."""
    made = []
    for name, datatype, dtype in (
        ("amount", "FP32", np.float32),
        ("count", "INT64", np.int64),
        ("area", "FP64", np.float64),
        ("member", "BOOL", np.bool_),
        ("color", "BYTES", object),
    ):
        values = [row[name] for row in rows]
        if datatype == "BYTES":
            array = np.array([(value or "").encode() for value in values], object)
        else:
            array = np.array([np.nan if value is None else value for value in values], dtype)
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return InferRequest("m", made, request_id="r-1")


def over_rest(service, request):
    async def ask():
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        try:
            return await client.infer(service.url, request, model_name="m")
        finally:
            await client.close()

    return asyncio.run(ask())


def over_grpc(service, request):
    async def ask():
        client = InferenceGRPCClient(service.grpc, timeout=60, retries=0)
        try:
            return await client.infer(request)
        finally:
            await client.close()

    return asyncio.run(ask())


def outputs_of(response):
    return {output.name: output for output in response.outputs}


def test_examples_are_answered_as_at_the_export(service, models):
    instances, predictions = examples_of(models, "binary")
    answered = service.predict(instances)
    assert answered.status_code == 200
    body = answered.json()
    assert (body["model_name"], body["model_version"]) == ("m", "1")
    for found, stored in zip(body["predictions"], predictions, strict=True):
        assert found["label"] == stored["label"]
        assert found["score"] == pytest.approx(stored["score"], abs=1e-5)


def test_other_tasks_are_answered_after_loading_their_model(service, models):
    try:
        for task, version in (("multiclass", "2"), ("regression", "3")):
            assert service.load(models / task, version).json()["model_version"] == version
            instances, predictions = examples_of(models, task)
            body = service.predict(instances).json()
            assert body["model_version"] == version
            for found, stored in zip(body["predictions"], predictions, strict=True):
                assert found.keys() == stored.keys()
                value = "probabilities" if task == "multiclass" else "prediction"
                assert found[value] == pytest.approx(stored[value], rel=1e-4, abs=1e-5)
            complete = [row for row in instances if None not in row.values()]
            expected = service.predict(complete).json()["predictions"]
            for ask in (over_rest, over_grpc):
                outputs = outputs_of(ask(service, tensors(complete)))
                if task == "regression":
                    values = outputs["prediction"].as_numpy().tolist()
                    assert values == pytest.approx([row["prediction"] for row in expected], rel=1e-5)
                else:
                    table = outputs["probabilities"].as_numpy()
                    assert table.shape == (len(complete), 3)
                    assert table[0].tolist() == pytest.approx(
                        list(expected[0]["probabilities"].values()), rel=1e-5
                    )
    finally:
        assert service.load(models / "binary", "1").status_code == 200


@pytest.mark.parametrize("ask", [over_rest, over_grpc])
@pytest.mark.parametrize("binary", [True, False])
def test_v2_gives_what_v1_gives(service, models, ask, binary):
    rows = [row for row in examples_of(models, "binary")[0] if None not in row.values()]
    expected = service.predict(rows).json()["predictions"]
    response = ask(service, tensors(rows, binary))
    outputs = outputs_of(response)
    assert (response.id, response.model_name) == ("r-1", "m")
    assert response.model_version == ("1" if ask is over_grpc else None)  # KServe's REST client leaves it out
    assert outputs["score"].as_numpy().tolist() == pytest.approx([row["score"] for row in expected], rel=1e-5)
    labels = [
        text.decode() if isinstance(text, bytes) else text for text in outputs["label"].as_numpy().tolist()
    ]
    assert labels == [row["label"] for row in expected]


def test_missing_null_and_absent_are_one(service):
    rows = [
        {"amount": 7.5, "count": 3, "area": None, "member": True, "color": None},
        {"amount": 7.5, "count": 3, "member": True},
        {"amount": 7.5, "count": 3, "member": True, "color": ""},
    ]
    scores = [row["score"] for row in service.predict(rows).json()["predictions"]]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6) == pytest.approx(scores[2], abs=1e-6)
    body = {"inputs": [{"name": "amount", "shape": [1, 1], "datatype": "FP64", "data": [[7.5]]},
                       {"name": "count", "shape": [1], "datatype": "INT32", "data": [3]},
                       {"name": "area", "shape": [1], "datatype": "FP64", "data": [None]},
                       {"name": "member", "shape": [1], "datatype": "BOOL", "data": [True]}]}  # fmt: skip
    answered = service.client.post("/v2/models/m/infer", json=body).json()
    assert answered["outputs"][0]["data"][0] == pytest.approx(scores[0], abs=1e-6)


def test_only_the_outputs_that_are_asked_for_are_given(service):
    request = tensors([ROW])
    body = (
        request.to_rest()[0]
        if not isinstance(request.to_rest()[0], bytes)
        else tensors([ROW], False).to_rest()[0]
    )
    body["outputs"] = [{"name": "label"}]
    answered = service.client.post("/v2/models/m/infer", json=body).json()
    assert [output["name"] for output in answered["outputs"]] == ["label"]
    body["outputs"] = [{"name": "prob"}]
    answered = service.client.post("/v2/models/m/infer", json=body)
    assert (answered.status_code, answered.json()["error"]) == (
        400,
        "the model has no output 'prob'; it has score, label",
    )


def test_no_rows_give_no_predictions(service):
    assert service.predict([]).json()["predictions"] == []


def test_request_id_is_taken_or_made_and_the_version_told(service):
    taken = service.predict([ROW], **{"x-request-id": "my id-1"})
    assert (taken.headers["x-request-id"], taken.headers["x-model-version"]) == ("my id-1", "1")
    made = [service.predict([ROW]).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert len(made[0]) == 32
    assert service.predict([ROW], **{"x-request-id": "x" * 500}).headers["x-request-id"] != "x" * 500


def test_grpc_tells_id_and_version_in_its_metadata(service):
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    with grpc.insecure_channel(service.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        _, call = stub.ModelInfer.with_call(
            tensors([ROW]).to_grpc(), metadata=[("x-request-id", "abc")], timeout=60
        )
        metadata = dict(call.trailing_metadata())
    assert (metadata["x-request-id"], metadata["x-model-version"]) == ("abc", "1")


def test_content_type_with_a_charset_is_json(service):
    content = json.dumps({"instances": [ROW]})
    for kind in ("application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"):
        answered = service.client.post(
            "/v1/models/m:predict", content=content, headers={"content-type": kind}
        )
        assert answered.status_code == 200, answered.text


def test_health_metadata_and_models_are_told(service):
    get = service.client.get
    assert get("/").json() == {"status": "alive"}
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v1/models/m").json() == {"name": "m", "ready": True}
    assert get("/v2/models/m/ready").json() == {"name": "m", "ready": True}
    inputs = {one["name"]: (one["datatype"], one["shape"]) for one in get("/v2/models/m").json()["inputs"]}
    assert inputs["count"] == ("INT64", [-1])
    assert (inputs["member"][0], inputs["color"][0]) == ("BOOL", "BYTES")

    async def over_grpc_client():
        client = InferenceGRPCClient(service.grpc, timeout=60)
        try:
            return (
                await client.is_server_ready(),
                await client.is_server_live(),
                await client.is_model_ready("m"),
            )
        finally:
            await client.close()

    assert asyncio.run(over_grpc_client()) == (True, True, True)


def test_requests_at_the_same_time_get_their_own_answers(service):
    rows = [{**ROW, "amount": 0.5 + i / 10} for i in range(200)]
    alone = [
        row["score"]
        for part in range(0, 200, 50)
        for row in service.predict(rows[part : part + 50]).json()["predictions"]
    ]
    before = service.metric("penstock_batch_rows_count")
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda row: service.predict([row]).json()["predictions"][0]["score"], rows))
    assert together == pytest.approx(alone, abs=1e-6)
    assert len({round(score, 5) for score in together}) > 20
    assert service.metric("penstock_batch_rows_count") - before < 200  # some were predicted together


def test_every_request_is_logged_with_what_it_was_and_what_was_answered(service):
    ids = {"log-v1", "log-v2", "log-grpc", "log-bad"}
    service.predict([ROW, {**ROW, "color": None}], **{"x-request-id": "log-v1"})
    body = tensors([ROW], binary=False).to_rest()[0]
    service.client.post("/v2/models/m/infer", json=body, headers={"x-request-id": "log-v2"})
    request = tensors([ROW])
    request.id = "log-grpc"
    over_grpc(service, request)
    service.predict([{**ROW, "colour": "red"}], **{"x-request-id": "log-bad"})
    found = service.logged(ids)
    assert found.keys() == ids
    v1, v2, bad = found["log-v1"], found["log-v2"], found["log-bad"]
    assert (v1["model"], v1["version"], v1["protocol"], v1["status"], v1["rows"]) == ("m", "1", "v1", 200, 2)
    assert v1["instances"][1]["color"] is None
    assert v1["scores"] == [row["score"] for row in v1["predictions"]]
    assert v1["labels"] == [row["label"] for row in v1["predictions"]]
    assert v1["duration_ms"] > 0
    assert (v2["protocol"], found["log-grpc"]["protocol"]) == ("v2", "grpc")
    assert v2["instances"][0]["color"] == "red"
    assert v2["scores"] == pytest.approx(v1["scores"][:1], abs=1e-6)
    assert (bad["status"], bad["scores"]) == (400, [])
    assert bad["error"] == "row 0, field 'colour': is no input of the model; did you mean 'color'?"


def test_metrics_count_requests_by_answer(service):
    labels = {"model_name": "m", "protocol": "v1", "status": "200"}
    before = service.metric("penstock_requests_total", **labels)
    service.predict([ROW])
    assert service.metric("penstock_requests_total", **labels) == before + 1
    assert service.metric("penstock_model_info", model_version="1") == 1
    assert service.metric("request_predict_seconds_count", model_name="m") > 0  # KServe's own


def explain(service, **body):
    return service.client.post("/v1/models/m:explain", json=body)


def test_an_explanation_adds_up_to_the_answer(service):
    answered = explain(service, instances=[ROW, {**ROW, "color": None}])
    assert answered.status_code == 200
    found = answered.json()
    assert (found["model_name"], found["model_version"]) == ("m", "1")
    predicted = service.predict([ROW, {**ROW, "color": None}]).json()["predictions"]
    for told, answer in zip(found["explanations"], predicted, strict=True):
        assert told["attributions"].keys() == ROW.keys()
        assert told["baseline"] + sum(told["attributions"].values()) == pytest.approx(told["value"], abs=1e-6)
        assert told["value"] == pytest.approx(answer["score"], abs=1e-6)


def test_explanations_compare_with_the_rows_that_lie_beside_the_model(service, models, tmp_path):
    folder = tmp_path / "registered"
    shutil.copytree(models / "binary", folder)
    other = {**ROW, "amount": 30.0}
    (folder / "background.json").write_text(json.dumps({"instances": [other]}))
    try:
        assert service.load(folder, "7").status_code == 200
        (told,) = explain(service, instances=[ROW]).json()["explanations"]
        expected = service.predict([other]).json()["predictions"][0]["score"]
    finally:
        assert service.load(models / "binary", "1").status_code == 200
    assert told["baseline"] == pytest.approx(expected, abs=1e-6)
    assert {name for name, value in told["attributions"].items() if value} == {"amount"}


def test_what_cannot_be_explained_is_refused_in_a_sentence(service):
    unknown = explain(service, instances=[ROW], **{"class": "maybe"})
    assert unknown.status_code == 400
    assert "'maybe' is no class that is explained" in unknown.json()["error"]
    wrong = explain(service, instances=[{**ROW, "amount": "much"}])
    assert (wrong.status_code, "row 0, field 'amount'" in wrong.json()["error"]) == (400, True)
    many = explain(service, instances=[ROW] * 17)
    assert (many.status_code, "16" in many.json()["error"]) == (400, True)


def test_explanations_are_not_in_the_request_log_of_predictions(service):
    labels = {"model_name": "m", "protocol": "v1", "status": "200"}
    before = service.metric("penstock_requests_total", **labels)
    explain(service, instances=[ROW])
    assert service.metric("penstock_requests_total", **labels) == before

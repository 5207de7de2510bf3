"""Another version takes over while requests come: none fails, each is answered by one version."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

ROW = {"amount": 7.5, "count": 3, "area": 2, "member": True, "color": "red"}


def test_reload_under_load_drops_no_request(service, models):
    ended, seen, wrong = threading.Event(), set(), []

    def client():
        with httpx.Client(base_url=service.url, timeout=60) as session:
            while not ended.is_set():
                answered = session.post("/v1/models/m:predict", json={"instances": [ROW]})
                if answered.status_code != 200:
                    wrong.append(answered.text)
                    return
                body = answered.json()
                kind = "prediction" if "prediction" in body["predictions"][0] else "score"
                seen.add((body["model_version"], answered.headers["x-model-version"], kind))

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client) for _ in range(4)]
        try:
            for version, task in (("2", "regression"), ("1", "binary"), ("2", "regression"), ("1", "binary")):
                assert service.load(models / task, version).status_code == 200
        finally:
            ended.set()
        for one in clients:
            one.result()
    assert wrong == []
    assert seen == {("1", "1", "score"), ("2", "2", "prediction")}


@pytest.mark.parametrize("path", ["nothing/here", "data"])
def test_model_that_cannot_be_loaded_leaves_the_present_one(service, models, path):
    answered = service.load(models / path, "9")
    assert answered.status_code == 400
    assert answered.json()["error"].endswith("; version '1' goes on")
    assert service.predict([ROW]).json()["model_version"] == "1"


def test_model_that_fails_for_a_row_is_a_500_with_an_id_and_hurts_no_other_request(service, models, tmp_path):
    from tests.components.prediction_service.fragile_model import save_fragile_model

    try:
        assert service.load(save_fragile_model(tmp_path / "fragile"), "f").status_code == 200
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda x: service.predict([{"x": float(x)}]), range(60)))
        failed = [x for x, answered in enumerate(answers) if answered.status_code != 200]
        assert failed == [13]
        assert [a.json()["predictions"][0]["prediction"] for a in answers[:3]] == [0.0, 2.0, 4.0]
        request_id = answers[13].headers["x-request-id"]
        assert (answers[13].status_code, answers[13].json()) == (
            500,
            {"error": f"the model could not answer; request id {request_id}"},
        )
        assert service.logged({request_id})[request_id]["status"] == 500
    finally:
        assert service.load(models / "binary", "1").status_code == 200


def test_request_to_load_of_another_form_is_told(service):
    for content in (b"{", b"[]", b'{"parameters": 5}', b'{"parameters": {"x": 1}}'):
        answered = service.client.post("/v2/repository/models/m/load", content=content)
        assert answered.status_code == 400
        assert answered.json()["error"].startswith('expected {"parameters"')
    assert service.client.post("/v2/repository/models/other/load").status_code == 404


def test_the_only_model_is_not_unloaded(service):
    answered = service.client.post("/v2/repository/models/m/unload")
    assert answered.status_code == 400
    assert service.predict([ROW]).status_code == 200

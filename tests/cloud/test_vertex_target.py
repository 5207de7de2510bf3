"""The Vertex AI target at the wire: Google's own client against a server that speaks Vertex AI's REST methods."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from penstock.components.serving_targets.target import Conflict, ModelVersion, Shadow
from penstock.components.serving_targets.vertex_calls import VertexPlace
from penstock.components.serving_targets.vertex_opening import open_vertex
from penstock.components.serving_targets.vertex_options import Machines, RequestLog, VertexOptions
from penstock.components.serving_targets.vertex_registry import Container
from penstock.components.serving_targets.vertex_target import VertexTarget
from penstock.components.step_io.errors import StepError
from tests.cloud.vertex_server import Refused, Vertex

ROOT = Path(__file__).parents[2]
IMAGE = "europe-west1-docker.pkg.dev/shop/penstock/prediction_service@sha256:" + "a" * 64
OPTIONS = VertexOptions(Container(IMAGE))
ONE = ModelVersion("taxi", "1", "gs://models/taxi/1/model", replicas=2)
TWO = ModelVersion("taxi", "2", "gs://models/taxi/2/model")


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    server = Vertex()
    yield server
    server.close()


def target(vertex: Vertex, options: VertexOptions = OPTIONS, endpoint: str = "taxi") -> VertexTarget:
    place = VertexPlace("shop", "europe-west1", vertex.url, AnonymousCredentials(), poll_s=0.02)
    return VertexTarget(endpoint, place, options)


@pytest.fixture
def two(vertex: Vertex) -> VertexTarget:
    """An endpoint with two versions; all traffic is with the first."""
    made = target(vertex)
    made.deploy(ONE)
    made.shift({"1": 100})
    made.deploy(TWO)
    return made


def test_deploy_uploads_the_version_and_gives_it_no_traffic(vertex: Vertex) -> None:
    made = target(vertex)
    made.deploy(ONE, by="ann", why="first model")
    state = made.state()
    assert state.weights == {}
    assert state.versions["1"].ready == 2
    assert state.versions["1"].uri == ONE.uri
    assert state.url == (
        "https://taxi.europe-west1-123456.prediction.vertexai.goog"
        "/v1/projects/123456/locations/europe-west1/endpoints/taxi:predict"
    )
    [change] = made.history()
    assert (change.revision, change.action, change.by, change.why) == (1, "deploy", "ann", "first model")
    assert change.before["versions"] == []
    assert change.after["versions"] == ["1"]


def test_uploaded_version_obeys_the_contract_of_custom_containers(vertex: Vertex) -> None:
    target(vertex).deploy(ONE)
    [model] = vertex.models["taxi"]
    assert model.artifact_uri == ONE.uri
    assert model.container_spec.image_uri == IMAGE
    assert model.container_spec.predict_route == "/v1/models/taxi:predict"
    assert model.container_spec.health_route == "/v2/models/taxi/ready"
    assert [port.container_port for port in model.container_spec.ports] == [8080]
    env = {one.name: one.value for one in model.container_spec.env}
    assert not [name for name in env if name.startswith("AIP_")]  # Vertex refuses a container that sets them
    assert (env["PENSTOCK_MODEL_NAME"], env["PENSTOCK_MODEL_VERSION"]) == ("taxi", "1")
    assert list(model.version_aliases) == ["v1", "default"]


def test_second_version_joins_the_model_and_is_deployed_by_its_number(
    vertex: Vertex, two: VertexTarget
) -> None:
    assert [one.version_id for one in vertex.models["taxi"]] == ["1", "2"]
    assert [one.model_version_id for one in vertex.endpoints["taxi"].deployed_models] == ["1", "2"]
    assert two.state().weights == {"1": 100}


def test_canary_needs_no_numbers_of_other_models(vertex: Vertex, two: VertexTarget) -> None:
    two.shift({"1": 95, "2": 5})
    first, second = vertex.endpoints["taxi"].deployed_models
    assert dict(vertex.endpoints["taxi"].traffic_split) == {first.id: 95, second.id: 5}
    assert two.state().weights == {"1": 95, "2": 5}


def test_deploy_again_changes_nothing(vertex: Vertex, two: VertexTarget) -> None:
    before = two.state()
    two.deploy(TWO)
    assert two.state() == before
    assert (
        vertex.count("POST .*(upload|deployModel|endpoints)$") == 5
    )  # endpoint, two uploads, two deployments


def test_shift_to_the_same_weights_changes_nothing(two: VertexTarget) -> None:
    before = two.state().revision
    two.shift({"1": 100, "2": 0})
    assert two.state().revision == before


def interrupt_once(vertex: Vertex, pattern: str) -> None:
    """Press Ctrl-C, as it were, once the server has seen a call."""
    # Whoever starts the tests in the background may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while not vertex.count(pattern):
            time.sleep(0.01)
        time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.parametrize(("kind", "call"), [("upload", "models:upload"), ("deploy", ":deployModel")])
def test_interrupted_operation_is_awaited_and_not_begun_twice(vertex: Vertex, kind: str, call: str) -> None:
    vertex.hold.add(kind)
    interrupt_once(vertex, call)
    with pytest.raises(KeyboardInterrupt):
        target(vertex).deploy(ONE)
    vertex.hold.clear()
    target(vertex).deploy(ONE)
    assert vertex.count(call) == 1
    assert len(vertex.models["taxi"]) == 1
    assert target(vertex).state().versions["1"].ready == 2
    assert [change.action for change in target(vertex).history()] == ["deploy"]


def test_wait_tells_how_far_the_deployment_is(
    vertex: Vertex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("penstock.components.serving_targets.vertex_calls.TOLD_EVERY_S", 0)
    with caplog.at_level("INFO"):
        target(vertex).deploy(ONE)
    told = r"deploying taxi version 1 to the endpoint taxi: \d+ s so far, starting model server"
    assert [message for message in caplog.messages if re.fullmatch(told, message)]


def test_deployment_that_takes_too_long_is_one_sentence(vertex: Vertex) -> None:
    vertex.hold.add("create")
    with pytest.raises(StepError) as caught:
        target(vertex).deploy(ONE, wait_s=0.2)
    assert re.fullmatch(
        r"making the endpoint taxi: Vertex AI is still at it after \d+ s "
        r"\(projects/123456/locations/europe-west1/endpoints/taxi/operations/1\): call again, it goes on from there",
        str(caught.value),
    )


def test_deployment_of_a_killed_process_is_ended_by_the_next_call(vertex: Vertex) -> None:
    vertex.hold.add("deploy")
    code = (
        "from google.auth.credentials import AnonymousCredentials as A\n"
        "from tests.cloud.test_vertex_target import *\n"
        f"place = VertexPlace('shop', 'europe-west1', {vertex.url!r}, A(), poll_s=0.02)\n"
        "VertexTarget('taxi', place, OPTIONS).deploy(ONE)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 60
    while not vertex.count(":deployModel") and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert vertex.count(":deployModel") == 1
    assert not vertex.endpoints["taxi"].deployed_models
    vertex.hold.clear()
    target(vertex).deploy(ONE)
    assert vertex.count(":deployModel") == 1
    assert target(vertex).state().versions["1"].ready == 2


def test_deployment_that_failed_meanwhile_is_done_anew(vertex: Vertex) -> None:
    vertex.hold.add("deploy")
    interrupt_once(vertex, ":deployModel")
    with pytest.raises(KeyboardInterrupt):
        target(vertex).deploy(ONE)
    vertex.hold.clear()
    vertex.fail_operation["deploy"] = (13, "Internal error")
    target(vertex).deploy(ONE)
    assert vertex.count(":deployModel") == 2
    assert target(vertex).state().versions["1"].ready == 2


def test_undeploy_is_refused_while_a_version_has_traffic(two: VertexTarget) -> None:
    with pytest.raises(StepError) as caught:
        two.undeploy("1")
    assert str(caught.value) == (
        "version 1 has 100 % of the traffic of the endpoint taxi: shift it away first"
    )


def test_undeploy_takes_a_version_away_and_leaves_it_in_the_registry(
    vertex: Vertex, two: VertexTarget
) -> None:
    two.shift({"2": 100})
    two.undeploy("1", why="old")
    two.undeploy("1")  # again: nothing to do
    assert list(two.state().versions) == ["2"]
    assert len(vertex.models["taxi"]) == 2
    assert [change.action for change in two.history()] == ["deploy", "shift", "deploy", "shift", "undeploy"]
    assert two.history()[-1].before == {"versions": ["1", "2"], "weights": {"2": 100}}
    assert two.history()[-1].after == {"versions": ["2"], "weights": {"2": 100}}


def test_shift_on_another_revision_is_refused(two: VertexTarget) -> None:
    seen = two.state().revision
    two.shift({"1": 90, "2": 10}, by="canary")
    with pytest.raises(Conflict, match=rf"revision {seen + 1}, expected {seen}; last: shift by canary at"):
        two.shift({"2": 100}, revision=seen)
    assert two.state().weights == {"1": 90, "2": 10}


@pytest.mark.parametrize(
    "stale",
    [
        Refused(409, "ABORTED", "The operation was aborted."),
        Refused(400, "FAILED_PRECONDITION", "The etag does not match."),
    ],
    ids=["aborted", "failed precondition"],
)
def test_of_two_shifts_at_once_one_wins(vertex: Vertex, two: VertexTarget, stale: Refused) -> None:
    vertex.stale = stale

    def rollback() -> None:  # another process, between this one's read and write
        target(vertex).shift({"1": 60, "2": 40}, by="rollback")

    vertex.before_update = rollback
    with pytest.raises(Conflict, match=r"was changed in between .*last: shift by rollback"):
        two.shift({"1": 50, "2": 50})
    assert two.state().weights == {"1": 60, "2": 40}
    assert [change.by for change in two.history()][-1] == "rollback"


def test_history_of_a_deployment_survives_a_change_in_between(vertex: Vertex, two: VertexTarget) -> None:
    vertex.before_update = lambda: target(vertex).shift({"2": 100}, by="other")
    two.deploy(dataclasses.replace(ONE, version="3", uri="gs://models/taxi/3/model"), by="me")
    assert [(change.revision, change.by) for change in two.history()][-2:] == [(4, "other"), (5, "me")]


def test_history_keeps_the_latest_that_fit(two: VertexTarget) -> None:
    for number in range(1, 25):
        two.shift({"1": 100 - number, "2": number}, by="test", why="x" * 400)
    history = two.history()
    assert history[-1].revision == 27
    assert len(history[-1].why) == 300
    assert 3 < len(history) < 25
    assert history[0].revision == 27 - len(history) + 1


def test_weights_that_do_not_add_up_are_refused(two: VertexTarget) -> None:
    with pytest.raises(StepError, match="add up to 90: they must add up to 100"):
        two.shift({"1": 80, "2": 10})


def test_shift_to_a_version_without_replicas_is_refused(vertex: Vertex, two: VertexTarget) -> None:
    second = vertex.endpoints["taxi"].deployed_models[1]
    second.status.message = "Model server exited unexpectedly"
    with pytest.raises(StepError) as caught:
        two.shift({"1": 90, "2": 10})
    assert str(caught.value) == (
        "version 2 on the endpoint taxi is not ready (Model server exited unexpectedly): traffic stays as it is"
    )


def test_model_that_somebody_else_deployed_keeps_its_name_and_place(
    vertex: Vertex, two: VertexTarget
) -> None:
    vertex.endpoints["taxi"].deployed_models.append(
        {"id": "77", "display_name": "by hand", "dedicated_resources": {"min_replica_count": 1}}
    )
    assert two.state().versions["by hand"].ready == 1
    two.shift({"1": 90, "by hand": 10})
    assert vertex.endpoints["taxi"].traffic_split["77"] == 10


def test_request_log_and_machines_arrive(vertex: Vertex) -> None:
    options = VertexOptions(
        Container(IMAGE),
        Machines("g2-standard-4", "NVIDIA_L4", 1, max_replicas=5, service_account="serve@shop.iam"),
        RequestLog("shop.logs.taxi", 0.25),
    )
    target(vertex, options).deploy(ONE)
    config = vertex.endpoints["taxi"].predict_request_response_logging_config
    assert (config.enabled, config.sampling_rate) == (True, 0.25)
    assert config.bigquery_destination.output_uri == "bq://shop.logs.taxi"
    resources = vertex.endpoints["taxi"].deployed_models[0].dedicated_resources
    assert (resources.machine_spec.machine_type, resources.machine_spec.accelerator_count) == (
        "g2-standard-4",
        1,
    )
    assert (resources.min_replica_count, resources.max_replica_count) == (2, 5)


def test_request_log_is_turned_on_at_an_endpoint_that_is_there(vertex: Vertex, two: VertexTarget) -> None:
    target(vertex, dataclasses.replace(OPTIONS, request_log=RequestLog("shop.logs.taxi"))).deploy(TWO)
    assert vertex.endpoints["taxi"].predict_request_response_logging_config.enabled
    assert two.state().weights == {"1": 100}


def test_short_outage_does_not_end_the_wait(vertex: Vertex) -> None:
    vertex.refuse.append(("GET .*/operations/", Refused(500, "INTERNAL", "try again"), 3))
    target(vertex).deploy(ONE)
    assert target(vertex).state().versions["1"].ready == 2


def test_long_outage_ends_the_wait_with_a_sentence(vertex: Vertex) -> None:
    vertex.refuse.append(("GET .*/operations/", Refused(500, "INTERNAL", "try again."), 99))
    with pytest.raises(
        StepError, match=r"Vertex AI does not say how .* goes \(try again\): call again later"
    ):
        target(vertex).deploy(ONE)


def test_mirror_is_refused(two: VertexTarget) -> None:
    with pytest.raises(StepError, match="Vertex AI has no shadow traffic"):
        two.mirror(Shadow("2"))
    two.mirror(None)


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (
            Refused(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.get' denied on resource."),
            "looking for the endpoint taxi: Vertex AI forbids it (Permission 'aiplatform.endpoints.get' denied on "
            "resource; project 'shop', region europe-west1): the account needs the role roles/aiplatform.user",
        ),
        (
            Refused(403, "PERMISSION_DENIED", "Permission denied on resource project shop."),
            "looking for the endpoint taxi: Vertex AI forbids it (Permission denied on resource project shop; "
            "project 'shop', region europe-west1): is there a project 'shop', and are you allowed to use it?",
        ),
        (
            Refused(403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1 before."),
            "looking for the endpoint taxi: Vertex AI forbids it (Vertex AI API has not been used in project 1 "
            "before; project 'shop', region europe-west1): enable aiplatform.googleapis.com in project 'shop'",
        ),
        (
            Refused(404, "NOT_FOUND", "Location europe-west1 is not found."),
            "looking for the endpoint taxi: not found (Location europe-west1 is not found): check project 'shop', "
            "region europe-west1, and whether somebody deleted it",
        ),
        (
            Refused(400, "INVALID_ARGUMENT", "Something is odd."),
            "looking for the endpoint taxi: Vertex AI refused (Something is odd; project 'shop', region "
            "europe-west1)",
        ),
    ],
    ids=["no role", "no project", "api off", "no location", "other"],
)
def test_refusal_is_one_sentence(vertex: Vertex, refused: Refused, sentence: str) -> None:
    vertex.refuse.append((".", refused, 99))
    with pytest.raises(StepError) as caught:
        target(vertex).deploy(ONE)
    assert str(caught.value) == sentence


def test_used_up_quota_of_a_deployment_is_one_sentence(vertex: Vertex) -> None:
    vertex.fail_operation["deploy"] = (8, "Quota custom_model_serving_cpus is exceeded.")
    with pytest.raises(StepError) as caught:
        target(vertex).deploy(ONE)
    assert str(caught.value) == (
        "deploying taxi version 1 to the endpoint taxi: a quota of project 'shop', region europe-west1 is used up "
        "(Quota custom_model_serving_cpus is exceeded): undeploy something, choose a smaller machine, or ask for "
        "more quota"
    )


def test_deployment_whose_container_does_not_start_is_one_sentence(vertex: Vertex) -> None:
    vertex.fail_operation["deploy"] = (9, "Model server never became ready.")
    with pytest.raises(StepError, match=r"deploying taxi .*Model server never became ready"):
        target(vertex).deploy(ONE)
    assert target(vertex).state().versions == {}


def test_endpoint_that_is_gone_is_one_sentence(vertex: Vertex, two: VertexTarget) -> None:
    vertex.endpoints.clear()
    with pytest.raises(StepError) as caught:
        two.shift({"2": 100})
    assert str(caught.value) == (
        "there is no endpoint 'taxi' in project 'shop', region europe-west1: deploying a version makes it, unless "
        "somebody deleted it"
    )


def test_endpoint_that_was_never_made_is_at_revision_0(vertex: Vertex) -> None:
    assert target(vertex).state().revision == 0
    assert target(vertex).state().versions == {}
    assert target(vertex).history() == []
    target(vertex).undeploy("1")


def test_more_replicas_of_a_version_that_is_there(vertex: Vertex, two: VertexTarget) -> None:
    two.deploy(dataclasses.replace(TWO, replicas=3))
    assert two.state().versions["2"].replicas == 3
    assert vertex.endpoints["taxi"].deployed_models[1].dedicated_resources.max_replica_count == 3
    assert vertex.endpoints["taxi"].deployed_models[1].dedicated_resources.machine_spec.machine_type
    assert vertex.count(":deployModel") == 2


def test_target_is_opened_from_the_values_of_an_environment_file(
    vertex: Vertex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.default", lambda scopes: (AnonymousCredentials(), None))
    where = {"kind": "vertex", "project": "shop", "region": "europe-west1", "image": IMAGE}
    sources = {"mlflow-artifacts:/": "gs://mlflow/"}
    made = open_vertex(
        {**where, "api_endpoint": vertex.url, "sources": sources, "log_table": "a.b.c"}, "taxi"
    )
    made.calls.place = dataclasses.replace(made.place, poll_s=0.02)
    made.deploy(dataclasses.replace(ONE, uri="mlflow-artifacts:/1/model"))
    assert vertex.models["taxi"][0].artifact_uri == "gs://mlflow/1/model"
    assert vertex.endpoints["taxi"].predict_request_response_logging_config.sampling_rate == 1


def test_wrong_settings_are_told_all_at_once() -> None:
    with pytest.raises(StepError) as caught:
        open_vertex(
            {"kind": "vertex", "project": "", "region": "europe-west1", "imag": "x", "dedicated": 1}, "t"
        )
    assert str(caught.value) == (
        "serving target vertex: `project` is missing; `image` is missing; `imag` is no setting; did you mean `image`?; "
        "`dedicated` is 1, expected true or false"
    )
    with pytest.raises(StepError, match=r"log_table is 'taxi', expected project\.dataset\.table"):
        open_vertex(
            {"kind": "vertex", "project": "p", "region": "europe-west1", "image": "i", "log_table": "taxi"},
            "t",
        )


def test_name_taken_by_another_model_is_one_sentence(vertex: Vertex) -> None:
    target(vertex).deploy(dataclasses.replace(ONE, model="Taxi"))
    with pytest.raises(StepError, match=r"the name is taken: .*models/taxi@v1 is 'Taxi' version 1"):
        target(vertex, endpoint="other").deploy(ONE)


def test_version_with_another_folder_or_image_is_refused(vertex: Vertex, two: VertexTarget) -> None:
    with pytest.raises(StepError, match="serves version 2 from gs://models/taxi/2/model, not gs://elsewhere"):
        two.deploy(dataclasses.replace(TWO, uri="gs://elsewhere"))
    other = target(vertex, VertexOptions(Container(IMAGE.replace("a" * 64, "b" * 64))), "other")
    with pytest.raises(
        StepError, match=r"in the Model Registry with the image .* not .*: a version never changes"
    ):
        other.deploy(TWO)


def test_model_folder_outside_google_storage_is_refused(vertex: Vertex) -> None:
    with pytest.raises(StepError, match="Vertex AI reads models from gs:// only"):
        target(vertex).deploy(dataclasses.replace(ONE, uri="s3://models/taxi/1"))


def test_unreachable_api_is_one_sentence(vertex: Vertex) -> None:
    vertex.close()
    with pytest.raises(StepError, match=r"cannot be reached .*: is 'europe-west1' a region with Vertex AI"):
        target(vertex).state()


@pytest.mark.parametrize("region", ["europe", "", "europe-west1/x"])
def test_no_region_is_one_sentence(region: str) -> None:
    with pytest.raises(StepError, match="is no region of Google Cloud"):
        VertexPlace("shop", region)


def test_refused_credentials_are_one_sentence(vertex: Vertex) -> None:
    vertex.refuse.append((".", Refused(401, "UNAUTHENTICATED", "Invalid credentials."), 99))
    place = VertexPlace("shop", "europe-west1", vertex.url, Credentials("expired"))
    with pytest.raises(StepError, match=r"the Google credentials are refused \(.*\): log in anew"):
        VertexTarget("taxi", place, OPTIONS).state()


def test_no_credentials_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StepError, match="there are no Google credentials here"):
        VertexTarget("taxi", VertexPlace("shop", "europe-west1"), OPTIONS).state()


@pytest.mark.parametrize("endpoint", ["Taxi", "a_b", "9x", "taxi-", "täxi"])
def test_endpoint_that_vertex_would_not_take_is_refused(vertex: Vertex, endpoint: str) -> None:
    with pytest.raises(StepError, match="cannot be made on Vertex AI"):
        target(vertex, endpoint=endpoint)

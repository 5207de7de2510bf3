"""Traffic as an HTTPRoute, there and back."""

from typing import Any

import pytest

from penstock.components.serving_targets.kubernetes_route import (
    MOST_RULES,
    MOST_VERSIONS,
    Route,
    Traffic,
    read_route,
    refusal,
    route_object,
)
from penstock.components.serving_targets.kubernetes_settings import KubernetesSettings
from penstock.components.serving_targets.target import Change, Shadow
from penstock.components.step_io.errors import StepError

SETTINGS = KubernetesSettings("models", "registry/serving@sha256:" + "0" * 64)
CANARY = Traffic(("1", "2"), {"1": 90, "2": 10})


def written(traffic: Traffic, **route: Any) -> dict[str, Any]:
    """Return the route as the API holds it."""
    one = route_object("taxi", Route(traffic, **route), SETTINGS)
    one["metadata"]["resourceVersion"] = "7"
    return one


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(),
        Traffic(("1",)),
        Traffic(("1",), {"1": 100}),
        CANARY,
        Traffic(("1", "2"), {"1": 100}, Shadow("2")),
        Traffic(("1", "2.b_C"), {"1": 100}, Shadow("2.b_C", 25)),
    ],
)
def test_a_route_says_what_was_written_into_it(traffic: Traffic) -> None:
    change = Change(4, "2026-11-21T18:00:00.000000Z", "shift", "me", "why – é", {}, {"weights": {"1": 100}})
    found = read_route(written(traffic, revision=4, changes=(change,), change_id="x"))
    assert found == Route(traffic, 4, (change,), "x", "7")


def test_weights_add_up_for_both_protocols() -> None:
    by_weight = [rule for rule in written(CANARY)["spec"]["rules"] if len(rule["backendRefs"]) > 1]
    assert [{one["port"] for one in rule["backendRefs"]} for rule in by_weight] == [{8080}, {8081}]
    for rule in by_weight:
        assert {one["name"]: one["weight"] for one in rule["backendRefs"]} == {"taxi-v1": 90, "taxi-v2": 10}


def test_every_version_can_be_forced_by_header_over_both_protocols() -> None:
    forced = [
        (rule["matches"][0]["headers"], rule["backendRefs"])
        for rule in written(Traffic(("1", "2"), {"1": 100}))["spec"]["rules"]
        if "headers" in rule["matches"][0]
    ]
    assert len(forced) == 4
    for headers, backends in forced:
        assert headers[0]["name"] == "x-model-version"
        assert [one["name"] for one in backends] == [f"taxi-v{headers[0]['value']}"]


def test_metrics_and_the_loading_of_models_are_not_for_the_public() -> None:
    paths = {match["path"]["value"] for rule in written(CANARY)["spec"]["rules"] for match in rule["matches"]}
    assert all(not path.startswith(("/metrics", "/v2/repository")) for path in paths)
    assert not {"/", "/v2"} & paths
    assert not [path for path in paths if "Repository" in path or path.endswith("Service")]


def test_nothing_deployed_takes_no_request() -> None:
    """Without a rule the API would fill in one for all paths."""
    (rule,) = written(Traffic())["spec"]["rules"]
    assert rule == {"matches": [{"path": {"type": "Exact", "value": "/nobody-serves-here"}}]}


def test_weights_that_somebody_wrote_by_hand_count() -> None:
    one = written(CANARY)
    for rule in one["spec"]["rules"]:
        for backend in rule["backendRefs"]:
            if "weight" in backend:
                backend["weight"] = {"taxi-v1": 0, "taxi-v2": 100}[backend["name"]]
    assert read_route(one).traffic.weights == {"2": 100}


def test_a_route_without_our_revision_is_refused() -> None:
    one = written(CANARY)
    del one["metadata"]["annotations"]["penstock.io/revision"]
    with pytest.raises(StepError, match="no readable annotation"):
        read_route(one)


def test_there_is_room_for_as_many_versions_as_a_route_has_rules() -> None:
    versions = tuple(map(str, range(MOST_VERSIONS)))
    rules = written(Traffic(versions, {"0": 100}))["spec"]["rules"]
    assert len(rules) == MOST_RULES
    with pytest.raises(StepError, match="undeploy those without traffic"):
        written(Traffic((*versions, "more"), {"0": 100}))


def test_the_history_stays_below_what_annotations_may_hold() -> None:
    changes = tuple(Change(n, "t", "shift", "me", "é" * 300, {}, {}) for n in range(300))
    one = written(CANARY, changes=changes)
    assert sum(len(text.encode()) for text in one["metadata"]["annotations"].values()) < 256 * 1024
    assert read_route(one).changes[-1] == changes[-1]


def status(generation: int, **condition: Any) -> dict[str, Any]:
    found = {"type": "Accepted", "status": "True", "observedGeneration": generation, **condition}
    return {"metadata": {"generation": 3}, "status": {"parents": [{"conditions": [found]}]}}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (status(3), ""),
        (status(2), "waiting"),
        ({"metadata": {"generation": 3}}, "waiting"),
        (
            status(3, status="False", reason="NotAllowedByListeners", message="no"),
            "NotAllowedByListeners: no",
        ),
        (status(2, status="False", reason="NotAllowedByListeners", message="no"), "waiting"),
    ],
)
def test_what_the_gateway_says_counts_for_the_route_as_it_is_now(found: dict[str, Any], reason: str) -> None:
    assert refusal(found) == reason

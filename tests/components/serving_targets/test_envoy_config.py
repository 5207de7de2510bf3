from pathlib import Path

from penstock.components.serving_targets import envoy_config as config
from penstock.components.serving_targets.target import Shadow

FOLDER = Path("/endpoint/router")


def table(weights: dict[str, int], shadow: Shadow | None = None) -> list[config.Json]:
    (resource,) = config.routes(["3", "4"], weights, shadow, "1")["resources"]
    (host,) = resource["virtual_hosts"]
    return list(host["routes"])


def test_routes_ask_for_the_forced_version_before_the_key_and_the_key_before_chance() -> None:
    names = [[header["name"] for header in route["match"]["headers"]] for route in table({"3": 90, "4": 10})]
    one_protocol = [["x-model-version"], ["x-model-version"], ["x-model-version"], ["x-routing-key"], []]
    assert names == one_protocol * 2


def test_grpc_and_rest_go_to_clusters_of_their_own() -> None:
    routes = table({"3": 90, "4": 10})
    shares = [route["route"]["weighted_clusters"]["clusters"] for route in (routes[4], routes[9])]
    assert "grpc" in routes[4]["match"]
    assert "grpc" not in routes[9]["match"]
    assert shares == [
        [{"name": "3/grpc", "weight": 90}, {"name": "4/grpc", "weight": 10}],
        [{"name": "3/rest", "weight": 90}, {"name": "4/rest", "weight": 10}],
    ]


def test_the_order_of_versions_is_the_same_whatever_the_order_of_weights() -> None:
    assert table({"4": 10, "3": 90}) == table({"3": 90, "4": 10})


def test_the_shadow_gets_its_share_of_what_goes_by_weight_and_nothing_of_what_is_forced() -> None:
    routes = table({"3": 100}, Shadow("4", 25))
    mirrored = [route.get("route", {}).get("request_mirror_policies") for route in routes[5:]]
    share = {"default_value": {"numerator": 25, "denominator": "HUNDRED"}}
    policy = [{"cluster": "4/rest", "runtime_fraction": share}]
    assert mirrored == [None, None, None, policy, policy]


def test_without_weights_a_request_is_told_that_nothing_has_traffic() -> None:
    routes = table({})
    assert routes[3]["direct_response"]["status"] == 503
    assert len(routes) == 8


def test_a_request_that_a_worker_had_begun_is_not_sent_again() -> None:
    policy = table({"3": 100})[0]["route"]["retry_policy"]
    assert policy["retry_on"] == "connect-failure,refused-stream,reset-before-request"


def test_a_version_without_workers_has_no_endpoints() -> None:
    (found,) = config.endpoints("3", config.REST, [], "1")["resources"]
    assert (found["cluster_name"], found["endpoints"]) == ("3/rest", [])


def test_grpc_workers_are_as_healthy_as_they_say_over_rest() -> None:
    (found,) = config.endpoints("3", config.GRPC, [(7001, 7002)], "1")["resources"]
    (host,) = found["endpoints"][0]["lb_endpoints"]
    assert host["endpoint"]["address"]["socket_address"]["port_value"] == 7002
    assert host["endpoint"]["health_check_config"] == {"port_value": 7001}


def test_the_admin_interface_offers_nothing_that_ends_the_router() -> None:
    allowed = config.bootstrap(FOLDER, "127.0.0.1", 8080)["admin"]["allow_paths"]
    assert not any(rule.get("exact", rule.get("prefix")) in "/quitquitquit" for rule in allowed)


def test_responses_that_differ_in_the_name_of_the_change_alone_say_the_same() -> None:
    one, other = (config.endpoints("3", config.REST, [(1, 2)], change) for change in "12")
    assert config.same_content(one, other)
    assert not config.same_content(one, config.endpoints("3", config.REST, [(3, 2)], "2"))

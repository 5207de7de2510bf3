"""Which version answers: by weight, by key, by name, over REST and gRPC, and who gets a copy."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from penstock.components.serving_targets.target import Shadow
from tests.serving.endpoints import Answer, Client, Endpoint, call_grpc, wait_until

REQUESTS = 2_000
# Of 2,000 requests at 10 %: mean 200, standard deviation 13.4; five of them, so that one test in a million lies.
EXPECTED = range(200 - 67, 200 + 68)


def many(endpoint: Endpoint, headers: list[dict[str, str]]) -> list[Answer]:
    """Send a request with each of these headers, over some connections at a time."""

    def some(part: list[dict[str, str]]) -> list[Answer]:
        with Client(endpoint.port) as client:
            return [client.post(**one) for one in part]

    with ThreadPoolExecutor(4) as pool:
        return [answer for part in pool.map(some, [headers[i::4] for i in range(4)]) for answer in part]


def test_ten_percent_of_2000_requests_go_to_the_challenger(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 90, "4": 10})
    answers = many(endpoint, [{}] * REQUESTS)
    assert Counter(answer.status for answer in answers) == {200: REQUESTS}
    versions = Counter(answer.version for answer in answers)
    print(f"weights 90/10: {dict(versions)} of {REQUESTS} requests")
    assert versions["4"] in EXPECTED
    assert versions["3"] == REQUESTS - versions["4"]


def test_equal_keys_get_one_version_and_all_keys_the_weights(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 90, "4": 10}, replicas=2)
    keys = [f"customer {number}" for number in range(REQUESTS // 2)]

    def versions() -> dict[str, str]:
        answers = many(endpoint, [{"x_routing_key": key} for key in keys])
        ordered = [key for i in range(4) for key in keys[i::4]]
        return dict(zip(ordered, (answer.version for answer in answers), strict=True))

    first = versions()
    assert versions() == first
    share = Counter(first.values())["4"]
    print(f"by key: {share} of {len(keys)} keys to the challenger at 10 %")
    assert 100 - 48 <= share <= 100 + 48  # five standard deviations of 1,000 at 10 %
    endpoint.target.shift({"3": 50, "4": 50})
    grown = versions()
    assert {key for key in keys if first[key] == "4"} <= {key for key in keys if grown[key] == "4"}


def test_a_key_has_the_same_version_over_grpc(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 50, "4": 50})
    keys = [f"k{number}" for number in range(20)]
    over_rest = [endpoint.post(x_routing_key=key).version for key in keys]
    assert set(over_rest) == {"3", "4"}
    assert [call_grpc(endpoint.port, x_routing_key=key) for key in keys] == over_rest


def test_a_named_version_answers_whatever_the_weights(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    endpoint.deploy("4")
    assert {endpoint.post(x_model_version="4").version for _ in range(20)} == {"4"}
    assert {endpoint.post(x_model_version="4", x_routing_key="k").version for _ in range(5)} == {"4"}
    assert call_grpc(endpoint.port, x_model_version="4") == "4"
    assert call_grpc(endpoint.port) == "3"


def test_a_version_that_is_not_deployed_is_answered_404(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    answer = endpoint.post(x_model_version="9")
    assert answer.status == 404
    assert answer.content == {"error": "no such version is deployed (header x-model-version); there are: 3"}
    with pytest.raises(grpc.RpcError) as raised:
        call_grpc(endpoint.port, x_model_version="9")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_before_any_shift_requests_are_told_so(endpoint: Endpoint) -> None:
    endpoint.deploy("3")
    answer = endpoint.post()
    assert answer.status == 503
    assert answer.content == {"error": "no version has traffic yet: try again in some seconds"}


def test_the_shadow_gets_a_copy_with_the_same_request_id_and_never_answers(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    endpoint.deploy("4")
    endpoint.target.mirror(Shadow("4"))
    answers = [endpoint.post() for _ in range(30)]
    assert {answer.version for answer in answers} == {"3"}
    seen = endpoint.folder / "models" / "4" / "seen.log"
    wait_until(lambda: seen.is_file() and len(seen.read_text().split()) == 30)
    assert set(seen.read_text().split()) == {answer.headers["x-request-id"] for answer in answers}
    endpoint.target.mirror(None)
    endpoint.post()
    endpoint.post(x_model_version="4")
    wait_until(lambda: len(seen.read_text().split()) == 31)


def test_a_request_keeps_the_id_that_it_came_with(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    assert endpoint.post(x_request_id="order 7").headers["x-request-id"] == "order 7"
    assert (endpoint.folder / "models" / "3" / "seen.log").read_text() == "order 7\n"

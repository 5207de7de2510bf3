"""What requests feel while versions change and processes die."""

import os
import signal
import time

from tests.serving.endpoints import CUT, LOST_BY_A_CLIENT, Endpoint, Load, is_alive, wait_until


def test_shifts_under_load_drop_no_request(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    endpoint.deploy("4")
    with Load(endpoint.port) as load:
        for share in (5, 25, 50, 100, 0, 100):
            endpoint.target.shift({"3": 100 - share, "4": share})
            load.wait_for(100)
    print(f"6 shifts under load: {dict(load.statuses)}")
    assert set(load.statuses) == {200}


def test_a_new_champion_takes_over_under_load_without_a_dropped_request(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100}, replicas=2)
    old = endpoint.workers("3")
    with Load(endpoint.port, body={"sleep_s": 0.05}) as load:
        load.wait_for(20)
        endpoint.deploy("4", 2)
        endpoint.target.shift({"4": 100})
        endpoint.target.undeploy("3")
        load.wait_for(40)
    print(f"champion changed under load: {dict(load.statuses)}")
    assert set(load.statuses) == {200}
    assert {answer.version for _, answer in load.answers[-20:]} == {"4"}
    assert not any(is_alive(pid) for pid in old)


def test_more_replicas_drop_no_request_and_a_version_with_traffic_loses_none(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100}, replicas=2)
    with Load(endpoint.port, body={"sleep_s": 0.02}) as load:
        for replicas in (3, 1):
            endpoint.deploy("3", replicas)
            load.wait_for(100)
    assert set(load.statuses) == {200}
    assert len(endpoint.workers("3")) == 3


def test_a_version_without_traffic_gives_replicas_back_in_order(endpoint: Endpoint) -> None:
    endpoint.deploy("3", 2)
    first, second = endpoint.workers("3")
    endpoint.deploy("3", 1)
    wait_until(lambda: endpoint.workers("3") == [first])
    assert not is_alive(second)


def test_a_killed_worker_costs_what_it_had_taken(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100}, replicas=2)
    victim = endpoint.workers("3")[0]
    clients = 4
    with Load(endpoint.port, clients, body={"sleep_s": 0.01}) as load:
        load.wait_for(100)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: endpoint.status()["versions"]["3"]["ready"] == 1)
        wait_until(lambda: endpoint.status()["versions"]["3"]["ready"] == 2)
        recovered = time.monotonic() - killed
        load.wait_for(100)
    bad = [(at, answer) for at, answer in load.answers if answer.status != 200]
    last = max((at - killed for at, _ in bad), default=0.0)
    print(
        f"kill -9 of one of 2 workers: {len(bad)} errors of {len(load.answers)} requests, the last after "
        f"{last * 1000:.0f} ms; 2 ready again after {recovered:.2f} s"
    )
    assert len(bad) <= LOST_BY_A_CLIENT * clients
    assert {answer.status for _, answer in bad} <= {CUT, 503}
    assert endpoint.target.state().versions["3"].restarts == 1


def test_a_killed_single_worker_is_back_after_its_start(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    clients = 2
    with Load(endpoint.port, clients) as load:
        load.wait_for(50)
        killed = time.monotonic()
        os.kill(endpoint.workers("3")[0], signal.SIGKILL)
        wait_until(lambda: load.answers[-1][0] > killed + 0.05 and load.answers[-1][1].status != 200)
        wait_until(lambda: load.answers[-1][1].status == 200)
        back = time.monotonic() - killed
    bad = load.statuses[CUT] + load.statuses[503]
    print(f"kill -9 of the only worker: {bad} errors; answers again after {back:.2f} s")
    assert {200, 503} <= set(load.statuses) <= {CUT, 200, 503}
    assert load.statuses[CUT] <= clients
    unanswered = (endpoint.folder / "router" / "unanswered.jsonl").read_text().splitlines()
    assert len(unanswered) >= 1


def test_a_killed_router_is_started_again(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 90, "4": 10})
    os.kill(endpoint.status()["router"], signal.SIGKILL)
    wait_until(lambda: endpoint.post().status == 0)
    wait_until(lambda: endpoint.post().status == 200)
    assert {endpoint.post().version for _ in range(100)} == {"3", "4"}

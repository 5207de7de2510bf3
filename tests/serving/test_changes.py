"""Changes of an endpoint from several processes, some of which are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from penstock.components.serving_targets.local_launch import is_running
from penstock.components.serving_targets.local_target import LocalTarget
from penstock.components.serving_targets.target import Conflict, ModelVersion
from penstock.components.step_io.errors import StepError
from tests.serving.endpoints import ROOT, Endpoint, is_alive, wait_until


def test_undeploy_is_refused_while_the_version_has_traffic(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 90, "4": 10})
    with pytest.raises(StepError) as raised:
        endpoint.target.undeploy("4")
    assert str(raised.value) == "version 4 of taxi has 10 % of the traffic: shift it to another version first"
    endpoint.target.shift({"3": 100})
    endpoint.target.undeploy("4")
    endpoint.target.undeploy("4")
    state = endpoint.target.state()
    assert list(state.versions) == ["3"]
    assert [change.action for change in endpoint.target.history()] == [
        "deploy",
        "deploy",
        "shift",
        "shift",
        "undeploy",
    ]


def test_shift_to_a_version_that_is_not_ready_changes_nothing(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    target = endpoint.target
    slow = threading.Thread(target=endpoint.deploy, args=("4",), kwargs={"start_s": 3})
    slow.start()
    wait_until(lambda: "4" in target.state().versions)
    with pytest.raises(StepError, match="version 4 of taxi is not ready"):
        target.shift({"3": 50, "4": 50})
    assert target.state().weights == {"3": 100}
    slow.join()
    target.shift({"3": 50, "4": 50})


def test_a_version_that_cannot_start_is_taken_away_with_its_own_sentence(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    with pytest.raises(StepError) as raised:
        endpoint.deploy("4", exit=2, say="model.json cannot be read: export the model again")
    assert str(raised.value).startswith(
        "version 4 of taxi was not deployed: ended before it was ready (exit code 2): model.json cannot be read: "
        "export the model again; its logs: "
    )
    assert list(endpoint.target.state().versions) == ["3"]
    assert endpoint.post().version == "3"


def test_deploy_of_another_folder_under_the_same_version_is_refused(endpoint: Endpoint) -> None:
    endpoint.deploy("3")
    with pytest.raises(StepError, match=r"serves version 3 from .*, not from /elsewhere: undeploy it first"):
        endpoint.target.deploy(ModelVersion("taxi", "3", "/elsewhere"))


def test_the_next_deploy_ends_one_that_was_killed_in_the_middle(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    wanted = endpoint.version("4", start_s=2)
    code = (
        "import sys; from pathlib import Path\n"
        "from penstock.components.serving_targets.local_target import LocalTarget\n"
        "from penstock.components.serving_targets.target import ModelVersion\n"
        f"LocalTarget(Path({str(endpoint.folder)!r})).deploy(ModelVersion('taxi', '4', {wanted.uri!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_until(lambda: "4" in endpoint.target.state().versions)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert endpoint.target.state().versions["4"].ready == 0
    endpoint.target.deploy(wanted)
    assert endpoint.target.state().versions["4"].ready == 1
    endpoint.target.shift({"4": 100})
    assert [change.action for change in endpoint.target.history()] == ["deploy", "shift", "deploy", "shift"]


def test_of_two_shifts_at_once_one_wins_and_the_other_is_told(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    endpoint.deploy("4")
    both_have_read = threading.Barrier(2)
    told: list[str] = []

    class Late(LocalTarget):
        def _check_ready(self, versions: object) -> None:
            super()._check_ready(versions)  # type: ignore[arg-type]
            both_have_read.wait()

    def shift(share: int) -> None:
        try:
            Late(endpoint.folder).shift({"3": 100 - share, "4": share})
        except Conflict as conflict:
            told.append(str(conflict))

    threads = [threading.Thread(target=shift, args=(share,)) for share in (10, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    weights = endpoint.target.state().weights
    assert weights in ({"3": 90, "4": 10}, {"3": 50, "4": 50})
    assert told == [
        f"the traffic of taxi was shifted in between, to 3: {weights['3']} %, 4: {weights['4']} %: look at it with "
        "`penstock endpoint show`, then decide again"
    ]


def test_a_decision_on_an_old_revision_is_not_carried_out(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 90, "4": 10})
    seen = endpoint.target.state().revision
    endpoint.target.shift({"3": 100}, by="rollback", why="errors")
    with pytest.raises(Conflict, match=f"revision {seen + 1}, expected {seen}; last: shift by rollback"):
        endpoint.target.shift({"3": 75, "4": 25}, revision=seen)
    assert endpoint.target.state().weights == {"3": 100}


def test_a_killed_supervisor_takes_all_with_it_and_the_next_goes_on_with_its_state(
    endpoint: Endpoint,
) -> None:
    endpoint.serve({"3": 90, "4": 10})
    before = endpoint.status()
    endpoint.kill_supervisor()
    old = [before["router"], *before["versions"]["3"]["workers"], *before["versions"]["4"]["workers"]]
    wait_until(lambda: not any(is_alive(pid) for pid in old))
    state = endpoint.target.state()
    assert not state.running
    assert {found.ready for found in state.versions.values()} == {0}
    with pytest.raises(StepError, match="the endpoint taxi does not run: start it with `penstock serve`"):
        endpoint.target.shift({"3": 100})
    began = time.monotonic()
    endpoint.target.ensure_running()
    endpoint.target.wait_until_ready()
    print(
        f"after kill -9 of the supervisor: all ready again {time.monotonic() - began:.2f} s after the restart"
    )
    assert endpoint.target.state().weights == {"3": 90, "4": 10}
    assert {endpoint.post().version for _ in range(100)} == {"3", "4"}


def test_a_deploy_starts_a_supervisor_that_was_killed(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    endpoint.kill_supervisor()
    endpoint.deploy("4")
    endpoint.target.wait_until_ready()
    assert endpoint.post().version == "3"


def test_a_second_supervisor_leaves_the_first_alone(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100})
    module = "penstock.components.serving_targets.local_supervisor"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", module, str(endpoint.folder)], env=env, capture_output=True)
    assert done.returncode == 0
    assert b"another process supervises" in done.stderr
    assert endpoint.post().version == "3"


def test_stop_ends_every_process(endpoint: Endpoint) -> None:
    endpoint.serve({"3": 100}, replicas=2)
    status = endpoint.status()
    assert endpoint.target.stop()
    assert not is_running(endpoint.folder)
    assert not any(is_alive(pid) for pid in [status["router"], *status["versions"]["3"]["workers"]])
    wait_until(lambda: not is_alive(status["pid"]))
    assert endpoint.target.state().versions == {}
    assert not endpoint.target.stop()


def test_an_endpoint_that_was_never_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there is no endpoint 'nothing': `penstock serve` makes one"):
        LocalTarget(tmp_path / "nothing").state()

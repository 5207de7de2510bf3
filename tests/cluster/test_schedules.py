"""A recurring run on a real cluster: it fires with its window, is changed without a double, and is removed."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.environments import load_environment
from penstock.kfp_backend.client import API, Backend, connect
from penstock.project import find_project
from tests.cluster.conftest import Penstock

ENV = "recurring"  # of this test alone: apply removes what its file does not declare
FIRES_S = 300  # each minute, and the controller looks each 30 s: 90 s where nothing else works
STEP_S = 900  # a busy machine takes minutes to start a pod


@pytest.fixture
def declare(project: Path) -> Callable[..., None]:
    """Declare a schedule that fires each minute, in a copy of the environment `test`."""
    folder = project / "manifests" / "environments"
    test = (folder / "test.yaml").read_text()
    name = f"minutely-{uuid.uuid4().hex[:6]}"

    def write(seed: int) -> None:
        schedule = (
            f"{{name: {name}, app: taxi, cron: '* * * * *', window: P13Y, "
            f"parameters: {{seed: {seed}, model_name: {name}}}}}"
        )
        (folder / f"{ENV}.yaml").write_text(f"{test}\nschedules:\n  - {schedule}\n")

    return write


@pytest.fixture
def backend(project: Path, declare: Callable[..., None], in_reach: None) -> Iterator[Backend]:
    """The API; recurring runs and runs of this test are ended afterwards."""
    declare(1)
    api = connect(load_environment(find_project(project), ENV))
    yield api
    for one in recurring(api):
        api.post(f"{API}/recurringruns/{one['recurring_run_id']}:disable")
        for run in fired(api, one):
            end(api, run)
        api.delete(f"{API}/recurringruns/{one['recurring_run_id']}")


def recurring(api: Backend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"{API}/recurringruns", page_size=100).get("recurringRuns") or []
    mark = f"of environment {ENV}"
    return [one for one in found if mark in one.get("description", "")]


def fired(api: Backend, one: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of a recurring run, newest first."""
    runs: list[dict[str, Any]] = (
        api.get(f"{API}/runs", page_size=100, sort_by="created_at desc").get("runs") or []
    )
    return [run for run in runs if run.get("recurring_run_id") == one["recurring_run_id"]]


def end(api: Backend, run: dict[str, Any]) -> None:
    """End a run, and wait until it has."""
    path = f"{API}/runs/{run['run_id']}"
    if not is_over(api.get(path)):
        api.post(f"{path}:terminate")
        wait_for(lambda: is_over(api.get(path)), STEP_S)


def is_over(run: dict[str, Any]) -> bool:
    return run.get("state") in ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


def wait_for(look: Callable[[], Any], seconds: float) -> Any:
    """Return what `look` finds, as soon as it finds something."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := look():
            return found
        time.sleep(3)
    raise AssertionError(f"nothing came in {seconds:.0f} s")


def test_a_schedule_fires_is_changed_and_is_removed(
    penstock: Penstock, declare: Callable[..., None], backend: Backend, project: Path
):
    def schedule(command: str, *options: str) -> Any:
        done = penstock("schedule", command, "--env", ENV, *options, cwd=project)
        assert done.code == 0, done.err
        return done.json if "--json" in options else done

    def actions(command: str) -> list[str]:
        return [one["action"] for one in schedule(command, "--json")["schedules"]]

    assert actions("apply") == ["create"]
    assert actions("plan") == ["unchanged"]
    (first,) = recurring(backend)
    (run,) = wait_for(lambda: fired(backend, first), FIRES_S)
    until = datetime.fromisoformat(run["scheduled_at"])
    assert until.second == 0

    def inspected() -> Any:
        account = penstock("runs", "show", run["run_id"], "--env", ENV, "--json", cwd=project).json
        steps = {step["title"]: step for step in account["steps"]}
        assert account["arguments"]["until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
        if steps.get("extract-data", {}).get("state") not in (None, "pending"):
            return steps["inspect-source"]
        return None

    step = wait_for(inspected, STEP_S)
    assert step["state"] == "succeeded"
    window = step["record"]["results"]
    assert datetime.fromisoformat(window["window_end"]) == until
    assert datetime.fromisoformat(window["window_start"]) == until.replace(year=until.year - 13)

    # Changed while its run goes on: the new one fires, and nothing fires twice.
    declare(2)
    assert actions("apply") == ["replace"]
    old, new = sorted(recurring(backend), key=lambda one: one["status"])
    assert (old["recurring_run_id"], old["status"]) == (first["recurring_run_id"], "DISABLED")
    assert new["status"] == "ENABLED"
    (second,) = wait_for(lambda: fired(backend, new), FIRES_S)
    assert second["runtime_config"]["parameters"]["seed"] == 2
    times = [one["scheduled_at"] for which in (old, new) for one in fired(backend, which)]
    assert len(times) == len(set(times))
    assert datetime.fromisoformat(second["scheduled_at"]) - until >= timedelta(minutes=1)

    for one in (run, second):
        end(backend, one)
    assert actions("apply") == ["remove"]  # the old one, whose run has ended
    assert [one["recurring_run_id"] for one in recurring(backend)] == [new["recurring_run_id"]]
    backend.post(f"{API}/recurringruns/{new['recurring_run_id']}:disable")
    for one in fired(backend, new):
        end(backend, one)
    schedule("delete", "--yes")
    assert recurring(backend) == []
    assert actions("plan") == ["create"]

"""What the tests of schedules share: an API with recurring runs in its own time, and declared schedules."""

import datetime
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.environment_models import Environment, Schedule
from penstock.kfp_backend.client import Backend, connect
from penstock.project import Project
from penstock.schedules.apply import carry_out
from penstock.schedules.changeover import Clock
from penstock.schedules.desired import Wanted, desire
from penstock.schedules.diff import Change, compare
from penstock.schedules.recurring_runs import list_ours
from tests.schedules.kfp_server import BEGAN, ScheduleState, serving
from tests.submit.conftest import REGISTRY, lock, project

__all__ = ["lock", "project"]

Want = Callable[..., Wanted]
Plan = Callable[..., list[Change]]
Apply = Callable[..., list[str]]


class ServersClock(Clock):
    """The time of the API."""

    def __init__(self, state: ScheduleState) -> None:
        self.state = state

    def now(self) -> datetime.datetime:
        return self.state.now

    def sleep(self, seconds: float) -> None:
        self.state.pass_time(seconds)


@pytest.fixture
def state() -> ScheduleState:
    """What the API holds."""
    return ScheduleState()


@pytest.fixture(scope="session")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment whose pipeline root is a folder, before there is an API."""
    return Environment(
        name="stage",
        backend="kfp",
        host="http://127.0.0.1:1",
        pipeline_root=f"file://{tmp_path_factory.mktemp('root')}",
        images=REGISTRY,
        registry_uri="http://mlflow.example.com",
    )


@pytest.fixture
def environment(declared: Environment, state: ScheduleState) -> Iterator[Environment]:
    """The environment with an API."""
    with serving(state) as host:
        yield declared.model_copy(update={"host": host})


@pytest.fixture
def backend(environment: Environment) -> Backend:
    """The API, connected."""
    return connect(environment)


@pytest.fixture(scope="session")
def want(project: Project, declared: Environment, lock: Path) -> Want:
    """Return what a declaration asks for; the same one is worked out once only."""

    @functools.cache
    def work_out(text: str) -> Wanted:
        schedule = Schedule(**{"name": "often", "app": "taxi", "cron": "*/5 * * * *", **json.loads(text)})
        return desire(project, declared, schedule, BEGAN, lock)

    return lambda **keys: work_out(json.dumps(keys, sort_keys=True))


@pytest.fixture
def make_plan(want: Want, backend: Backend, state: ScheduleState) -> Plan:
    """Plan some schedules, given as mappings."""

    def make(*schedules: dict[str, Any], of: Backend | None = None) -> list[Change]:
        there = list_ours(of or backend)
        return compare([want(**one) for one in schedules], there, ["taxi"], state.now)

    return make


@pytest.fixture
def apply(make_plan: Plan, backend: Backend, state: ScheduleState) -> Apply:
    """Apply some schedules, and return what was said."""

    def make(*schedules: dict[str, Any], of: Backend | None = None) -> list[str]:
        said: list[str] = []
        carry_out(of or backend, make_plan(*schedules, of=of), said.append, ServersClock(state))
        return said

    return make

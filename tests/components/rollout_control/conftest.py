"""A registry with a champion and its challenger, and an endpoint in memory."""

import shutil

import pytest

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.store import Store
from penstock.components.rollout_control import moves, returning
from penstock.components.rollout_control.standing import read_standing
from tests.components.rollout_control.endpoints import Endpoint

FIRST = {"champion": 95, "challenger": 5}


def register(store: Store, number: int) -> None:
    run = store.start_run("test", f"run-{number}", 1, {})
    store.create_version("taxi", f"file:///models/{number}", run.id, "", {})


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry in which version 1 is the champion and version 2 its challenger: MLflow takes long to make one."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    store = open_store(f"sqlite:///{path}")
    for number in (1, 2):
        register(store, number)
    store.set_alias("taxi", CHAMPION, 1)
    store.set_alias("taxi", CHALLENGER, 2)
    return path


@pytest.fixture
def store(registry, tmp_path):
    """A registry of its own for each test."""
    shutil.copyfile(registry, tmp_path / "registry.db")
    return open_store(f"sqlite:///{tmp_path}/registry.db")


@pytest.fixture
def endpoint():
    return Endpoint()


def aliases(store: Store) -> dict[str, int | None]:
    found = {name: store.version_of("taxi", name) for name in (CHAMPION, CHALLENGER, PREVIOUS)}
    return {name: version and version.number for name, version in found.items()}


def begin(store, endpoint, first=FIRST, shadow=False):
    return moves.begin(store, endpoint, "taxi", first, shadow, 1, "test")


def decide(store, endpoint, action, weights=None, found=None):
    found = found or read_standing(store, endpoint, "taxi")
    return moves.carry_out(store, endpoint, found, action, weights or {}, ["because"], "test")


def roll_back(store, endpoint):
    return returning.roll_back(store, endpoint, "taxi", 1, "a person", "complaints")

"""The process dies before each of its writes to the registry; the same run, done again, ends well."""

from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.store import Store
from penstock.components.register_model.facts import Data, Facts, read_facts
from penstock.components.register_model.registration import register
from tests.components.register_model.samples import PARAMETERS, write_inputs

pytestmark = pytest.mark.usefixtures("registry_in_place")

WRITES = ("start_run", "put_folders", "log", "create_version", "set_alias", "tag_version", "delete_alias")
N_WRITES = 9  # of registering and promoting a second version


class Killed(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


class DyingStore:
    """A real store whose process dies before its n-th write."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store, self._left = store, writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in WRITES:
            return found

        def write(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return found(*args, **kwargs)

        return write


def facts_of(inputs: dict[str, Path], run_id: str) -> Facts:
    given = {name: PARAMETERS[name] for name in ("model_name", "app_version", "code_version", "verdict")}
    folders = [inputs[name] for name in ("model", "evaluation", "rules", "app")]
    label = PARAMETERS["label_spec"]
    return read_facts(*folders, Data("trips.csv"), **given, run_id=run_id, champion_version="", label=label)


def state(store: Store) -> tuple[int, dict[str, int]]:
    """Return how many versions there are, and the aliases."""
    versions = store.versions("taxi")
    return len(versions), {alias: version.number for version in versions for alias in version.aliases}


@pytest.mark.parametrize("writes", range(N_WRITES + 1))
def test_a_crash_at_any_write_is_mended_by_doing_it_again(tmp_path: Path, writes: int) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'registry.db'}")
    inputs = write_inputs(tmp_path)
    folders = {name: inputs[name] for name in ("model", "statistics", "explanation")}
    register(store, facts_of(inputs, "run-1"), "key-1", folders, promote=True)
    try:
        register(DyingStore(store, writes), facts_of(inputs, "run-2"), "key-2", folders, promote=True)
        died = False
    except Killed:
        died = True
    assert died == (writes < N_WRITES)
    assert state(store)[1]["champion"] in (1, 2)
    again = register(store, facts_of(inputs, "run-2"), "key-2", folders, promote=True)
    assert (again.version.number, again.promoted) == (2, True)
    assert state(store) == (2, {"champion": 2, "previous": 1})
    assert Path(again.version.source, "MLmodel").is_file()


def test_a_folder_that_is_not_there_is_no_empty_model(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'registry.db'}")
    run = store.start_run("penstock/taxi", "register_model", 1, {})
    with pytest.raises(FileNotFoundError):
        store.put_folders(run, {"model": tmp_path / "nothing"})
    assert list(Path(run.artifact_uri).iterdir()) == [] if Path(run.artifact_uri).exists() else True

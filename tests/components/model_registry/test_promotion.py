"""Promotion, with a process that dies at each of its writes."""

from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS, PROMOTED_AT
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.promotion import make_champion, promote, rollback, why_superseded
from penstock.components.model_registry.store import Store, Version
from penstock.components.step_io.errors import StepError

pytestmark = pytest.mark.usefixtures("registry_in_place")

WRITES = ("set_alias", "delete_alias", "tag_version")


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

        def write(*args: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return found(*args)

        return write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'registry.db'}")


def registered(store: Store, versions: int) -> None:
    run = store.start_run("penstock/taxi", "register_model", 1, {})
    for _ in range(versions):
        store.create_version("taxi", "here", run.id, "", {})


def version(store: Store, number: int) -> Version:
    return next(found for found in store.versions("taxi") if found.number == number)


def aliases(store: Store) -> dict[str, int]:
    return {alias: found.number for found in store.versions("taxi") for alias in found.aliases}


def test_the_first_champion_has_no_previous(store: Store) -> None:
    registered(store, 1)
    store.set_alias("taxi", CHALLENGER, 1)
    make_champion(store, version(store, 1))
    assert aliases(store) == {CHAMPION: 1}


def test_the_old_champion_becomes_the_previous(store: Store) -> None:
    registered(store, 2)
    make_champion(store, version(store, 1))
    make_champion(store, version(store, 2))
    assert aliases(store) == {CHAMPION: 2, PREVIOUS: 1}


def test_promoting_the_champion_again_changes_nothing(store: Store) -> None:
    registered(store, 2)
    make_champion(store, version(store, 1))
    make_champion(store, version(store, 2))
    at = version(store, 2).tags[PROMOTED_AT]
    make_champion(store, version(store, 2))
    assert aliases(store) == {CHAMPION: 2, PREVIOUS: 1}
    assert version(store, 2).tags[PROMOTED_AT] == at


@pytest.mark.parametrize("writes", range(5))
def test_a_crash_at_any_write_leaves_a_champion_and_is_mended_by_doing_it_again(
    store: Store, writes: int
) -> None:
    registered(store, 3)
    make_champion(store, version(store, 1))
    make_champion(store, version(store, 2))
    store.set_alias("taxi", CHALLENGER, 3)
    try:
        make_champion(DyingStore(store, writes), version(store, 3))
        died = False
    except Killed:
        died = True
    assert died == (writes < 4)
    assert aliases(store)[CHAMPION] in (2, 3)
    make_champion(store, version(store, 3))
    assert aliases(store) == {CHAMPION: 3, PREVIOUS: 2}
    assert all(PROMOTED_AT in found.tags for found in store.versions("taxi"))


def test_rollback_makes_the_previous_the_champion_and_keeps_the_way_back(store: Store) -> None:
    registered(store, 2)
    make_champion(store, version(store, 1))
    make_champion(store, version(store, 2))
    assert rollback(store, "taxi").number == 1
    assert aliases(store) == {CHAMPION: 1, PREVIOUS: 2}


def test_rollback_without_a_previous_says_so(store: Store) -> None:
    registered(store, 1)
    make_champion(store, version(store, 1))
    with pytest.raises(StepError) as error:
        rollback(store, "taxi")
    assert str(error.value) == (
        "the model 'taxi' has no previous version to go back to: name one with promote instead"
    )


def test_promote_takes_any_version_that_a_person_names(store: Store) -> None:
    registered(store, 3)
    promote(store, "taxi", 3)
    promote(store, "taxi", 1)
    assert aliases(store) == {CHAMPION: 1, PREVIOUS: 3}


def test_promote_of_an_unknown_version_lists_the_known(store: Store) -> None:
    registered(store, 2)
    with pytest.raises(StepError) as error:
        promote(store, "taxi", 7)
    assert str(error.value) == "the model 'taxi' has no version 7 (registered: 2, 1)"


def test_a_pipeline_does_not_bring_back_what_was_rolled_back(store: Store) -> None:
    registered(store, 2)
    promote(store, "taxi", 1)
    promote(store, "taxi", 2)
    rollback(store, "taxi")
    assert why_superseded(version(store, 2), version(store, 1)) == (
        "version 2 was champion before and version 1 has taken its place"
    )


def test_a_pipeline_does_not_promote_what_is_older_than_the_champion(store: Store) -> None:
    registered(store, 2)
    promote(store, "taxi", 2)
    assert why_superseded(version(store, 1), version(store, 2)) == (
        "version 2, the champion, is newer than version 1"
    )


def test_a_pipeline_may_promote_what_is_newer_than_the_champion(store: Store) -> None:
    registered(store, 2)
    promote(store, "taxi", 1)
    assert why_superseded(version(store, 2), version(store, 1)) == ""
    assert why_superseded(version(store, 2), None) == ""

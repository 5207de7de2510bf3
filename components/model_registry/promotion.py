"""Moves the aliases champion, challenger and previous, so that there is a champion at every moment.

Each alias moves in one step of the registry. The order is: previous onto the old champion, then champion onto
the new version. A process that dies in between leaves the old champion in place, and doing it again ends it.
"""

import datetime
import logging

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS, PROMOTED_AT
from penstock.components.model_registry.store import Store, Version
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)


def make_champion(store: Store, version: Version) -> None:
    """Make a version the champion and the old champion the previous one."""
    champion = store.version_of(version.model, CHAMPION)
    if champion is None or champion.number != version.number:
        if champion is not None:
            if PROMOTED_AT not in champion.tags:  # a crash came between its promotion and its tag
                store.tag_version(champion.model, champion.number, {PROMOTED_AT: _now()})
            store.set_alias(version.model, PREVIOUS, champion.number)
        store.set_alias(version.model, CHAMPION, version.number)
        log.info(
            "%s version %d is the champion now%s",
            version.model,
            version.number,
            f", version {champion.number} the previous one" if champion else "",
        )
    if PROMOTED_AT not in version.tags:
        store.tag_version(version.model, version.number, {PROMOTED_AT: _now()})
    candidate = store.version_of(version.model, CHALLENGER)
    if candidate is not None and candidate.number == version.number:
        store.delete_alias(version.model, CHALLENGER)


def why_superseded(version: Version, champion: Version | None) -> str:
    """Return why a pipeline must not promote a version that was registered before; empty when it may.

    A version that has been champion and is so no longer was replaced or rolled back by somebody's decision,
    and one older than the champion lost to it: running the same inputs again (an old window, a repeated
    --force, a schedule) is no reason to undo that. `promote` and `rollback` are.
    """
    if champion is None or champion.number == version.number:
        return ""
    if PROMOTED_AT in version.tags:
        return (
            f"version {version.number} was champion before and version {champion.number} has taken its place"
        )
    if version.number < champion.number:
        return f"version {champion.number}, the champion, is newer than version {version.number}"
    return ""


def promote(store: Store, model: str, number: int) -> Version:
    """Make any registered version the champion, because a person says so.

    Raises:
        StepError: There is no such version.
    """
    with store.lock():
        versions = store.versions(model)
        found = next((version for version in versions if version.number == number), None)
        if found is None:
            known = ", ".join(str(version.number) for version in versions) or "none"
            raise StepError(f"the model {model!r} has no version {number} (registered: {known})")
        make_champion(store, found)
        return found


def rollback(store: Store, model: str) -> Version:
    """Make the previous version the champion again.

    Raises:
        StepError: No version has the alias `previous`.
    """
    with store.lock():
        previous = store.version_of(model, PREVIOUS)
        if previous is None:
            raise StepError(
                f"the model {model!r} has no previous version to go back to: name one with promote instead"
            )
        make_champion(store, previous)
        return previous


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

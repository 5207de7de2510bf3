"""Decides whether there is anything to train, by what the champion was made of."""

from collections.abc import Mapping
from typing import NamedTuple

from penstock.components.model_registry.names import APP_VERSION, CODE_VERSION, FINGERPRINT
from penstock.components.model_registry.store import Version

TRAIN, UNCHANGED = "train", "unchanged"

WHAT = {FINGERPRINT: "the data", APP_VERSION: "the app", CODE_VERSION: "the steps' code"}


class Decision(NamedTuple):
    """Whether to train, and why."""

    decision: str
    reason: str


def decide(champion: Version | None, made_of: Mapping[str, str], force: bool) -> Decision:
    """Compare what a new model would be made of with what the champion was made of.

    Args:
        champion: The live model, if there is one.
        made_of: Fingerprint of the data, version of the app, version of the steps' code, by tag. An empty
            value is unknown and never counts as unchanged.
        force: Train even when nothing has changed.
    """
    if champion is None:
        return Decision(TRAIN, "there is no champion yet")
    name = f"champion version {champion.number}"
    different = [WHAT[tag] for tag, value in made_of.items() if value and champion.tags.get(tag) != value]
    unknown = [WHAT[tag] for tag, value in made_of.items() if not value]
    if different:
        return Decision(TRAIN, f"{_listed(different)} changed since {name}")
    if unknown:
        return Decision(
            TRAIN, f"the version of {_listed(unknown)} is not known, so {name} may be out of date"
        )
    if force:
        return Decision(TRAIN, f"--force: nothing has changed since {name}")
    return Decision(UNCHANGED, f"the data, the app and the steps' code are those of {name}")


def _listed(names: list[str]) -> str:
    """Return names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

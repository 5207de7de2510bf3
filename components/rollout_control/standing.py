"""Where a rollout stands: what the registry's aliases and the endpoint say together.

Nothing else is kept: a rollout that was interrupted anywhere is read anew from the two, and goes on.
"""

from dataclasses import dataclass

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS
from penstock.components.model_registry.store import Store, Version
from penstock.components.rollout_control.decisions import ended, last_decision
from penstock.components.serving_targets.target import EndpointState, Target

WEIGHTS_CHANGE = ("shift", "shadow")


@dataclass(frozen=True)
class Standing:
    """A rollout at one moment.

    Attributes:
        model: Name in the registry.
        champion: The version with the alias; None before the first promotion.
        challenger: The version with the alias; None when nothing is being rolled out.
        previous: The version to go back to; None when there is none.
        endpoint: Versions, weights and revision.
        since: Time (UTC, ISO 8601) of the last change of the weights; empty before the first.
    """

    model: str
    champion: Version | None
    challenger: Version | None
    previous: Version | None
    endpoint: EndpointState
    since: str

    @property
    def began(self) -> str:
        """When the challenger got its first share, UTC, ISO 8601; empty before."""
        return last_decision(self.challenger).get("began", "") if self.challenger else ""

    @property
    def active(self) -> bool:
        """Whether a challenger is to be judged against a champion."""
        if self.champion is None or self.challenger is None:
            return False
        return self.champion.number != self.challenger.number and not ended(self.challenger)


def read_standing(store: Store, target: Target, model: str) -> Standing:
    """Read the aliases and the endpoint."""
    return Standing(
        model,
        store.version_of(model, CHAMPION),
        store.version_of(model, CHALLENGER),
        store.version_of(model, PREVIOUS),
        target.state(),
        last_shift(target),
    )


def last_shift(target: Target) -> str:
    """Return when the weights, or who gets a copy, were last changed: UTC, ISO 8601; empty before."""
    changes = [change for change in target.history() if change.action in WEIGHTS_CHANGE]
    return changes[-1].time if changes else ""

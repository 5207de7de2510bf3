"""Ways back: the challenger loses its traffic, or `previous` is champion again. They win against what moves on."""

from penstock.components.model_registry.promotion import make_champion
from penstock.components.model_registry.store import Store
from penstock.components.rollout_control.changes import end, give_all, stay_champion
from penstock.components.rollout_control.decisions import LEAVING, ROLLBACK, is_leaving, last_decision, record
from penstock.components.rollout_control.standing import Standing, read_standing
from penstock.components.serving_targets.target import Target
from penstock.components.step_io.errors import StepError


def withdraw(
    store: Store, target: Target, found: Standing, action: str, replicas: int, by: str, why: str
) -> str:
    """Take the challenger out of the traffic, whoever else changes it at this moment, and say so.

    Args:
        store: The registry.
        target: Where the model is served.
        found: A standing with champion and challenger.
        action: rollback or stop.
        replicas: Of the champion, if it must be deployed anew.
        by: Who or what decided.
        why: A sentence.
    """
    kept, gone = found.champion, found.challenger
    assert kept is not None and gone is not None  # noqa: PT018 - what the caller has seen to
    record(store, gone, LEAVING[action], [why], by)
    if target.state().weights:
        give_all(store, target, kept, replicas, by, why)
    stay_champion(store, kept)  # a promotion may have come in between
    end(store, target, gone, action, [why], by)
    return f"version {kept.number} has all traffic, version {gone.number} none"


def roll_back(store: Store, target: Target, model: str, replicas: int, by: str, why: str) -> str:
    """Return to what was good, in one call: whatever is being rolled out ends, or `previous` is champion again.

    With a challenger in the traffic, it loses it; else the previous champion comes back. Traffic goes first.
    It does not ask for a revision: of a rollback and an advance at the same moment, the rollback holds.

    Raises:
        StepError: There is nothing to go back to, or it does not become ready.
    """
    found = read_standing(store, target, model)
    kept, gone, before = found.champion, found.challenger, found.previous
    if kept is not None and gone is not None and (found.active or is_leaving(gone)):
        return withdraw(store, target, found, ROLLBACK, replicas, by, why)
    if before is None:
        raise StepError(
            f"the model {model!r} has no previous version to go back to: name one with `penstock promote`"
        )
    if (
        kept is not None and last_decision(before).get("action") == ROLLBACK
    ):  # a call that was killed at its end
        give_all(store, target, kept, replicas, by, why)
        return (
            f"version {kept.number}, the champion, has all traffic; version {before.number}, the previous one, "
            "was rolled back before"
        )
    serves = bool(found.endpoint.weights)
    if serves:
        give_all(store, target, before, replicas, by, why)
    if kept is not None:
        record(store, kept, ROLLBACK, [why], by, target.state().weights)
    with store.lock():
        make_champion(store, before)
    return f"version {before.number} is the champion again" + (" and has all traffic" if serves else "")

"""What a decision does to the endpoint and to the registry, each of it safe to do again.

Order: traffic first, aliases after it, since traffic is what users feel. What a killed process left between the
two is ended by the next call: the intent stands beside the version before anything moves.
"""

import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.components.model_registry.names import CHALLENGER
from penstock.components.model_registry.promotion import make_champion
from penstock.components.model_registry.store import Store, Version
from penstock.components.rollout_control.standing import (
    DECISION,
    Standing,
    last_decision,
    read_standing,
)
from penstock.components.serving_targets.target import WHOLE, Conflict, ModelVersion, Shadow, Target
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

LONGEST_WHY, LONGEST_BY = 200, 60  # characters: a tag of old MLflow servers holds 500
BEGIN, CONTINUE, ADVANCE, PROMOTE, ROLLBACK, STOP = (
    "begin",
    "continue",
    "advance",
    "promote",
    "rollback",
    "stop",
)
PROMOTING = "promoting"  # decided, perhaps not yet done


def serve_champion(store: Store, target: Target, model: str, replicas: int, by: str) -> Standing:
    """See to it that the champion is deployed, and has all traffic where nothing has any yet.

    Raises:
        StepError: The model has no champion, or it does not become ready.
    """
    found = read_standing(store, target, model)
    if found.champion is None:
        raise StepError(
            f"the model {model!r} has no champion to serve: train one, or promote a version that is registered"
        )
    champion = str(found.champion.number)
    target.deploy(ModelVersion(model, champion, found.champion.source, replicas), by=by, why="the champion")
    if not target.state().weights:
        target.shift({champion: WHOLE}, by=by, why="the champion serves")
    return read_standing(store, target, model)


def begin(
    store: Store,
    target: Target,
    model: str,
    first: Mapping[str, int] | None,
    shadow: bool,
    replicas: int,
    by: str,
) -> Standing:
    """Deploy the challenger beside the champion and give it its first share, unless it has one.

    Args:
        store: The registry.
        target: Where the model is served.
        model: Name in the registry.
        first: Percent for `champion` and `challenger`; None with a shadow.
        shadow: Give the challenger a copy of the traffic instead of a share.
        replicas: Of the challenger.
        by: Who or what begins it, for the history.

    Raises:
        StepError: A version does not become ready; the champion goes on as it was.
    """
    found = serve_champion(store, target, model, replicas, by)
    found = finish(store, target, found, by)
    if not found.active:
        return found
    assert found.champion is not None and found.challenger is not None  # noqa: PT018 - what active means
    champion, challenger = str(found.champion.number), str(found.challenger.number)
    target.deploy(
        ModelVersion(model, challenger, found.challenger.source, replicas), by=by, why="the challenger"
    )
    state = target.state()
    why = f"version {challenger} challenges version {champion}"
    if shadow and (state.shadow is None or state.shadow.version != challenger):
        target.mirror(Shadow(challenger), by=by, why=why)
        record(store, found.challenger, BEGIN, [why], by)
    elif first is not None and not state.weights.get(challenger):
        weights = {champion: first["champion"], challenger: first["challenger"]}
        target.shift(weights, revision=state.revision, by=by, why=why)
        record(store, found.challenger, BEGIN, [why], by)
    return read_standing(store, target, model)


def finish(store: Store, target: Target, found: Standing, by: str) -> Standing:
    """End a promotion that was interrupted between traffic and aliases."""
    challenger = found.challenger
    if challenger is None or last_decision(challenger).get("action") != PROMOTING:
        return found
    if found.endpoint.weights != {str(challenger.number): WHOLE}:
        return found
    log.info("version %d has all traffic: its promotion is ended now", challenger.number)
    _crown(store, challenger, [str(last_decision(challenger).get("why", ""))], by)
    return read_standing(store, target, found.model)


def carry_out(
    store: Store,
    target: Target,
    found: Standing,
    action: str,
    weights: Mapping[str, int],
    reasons: Sequence[str],
    by: str,
) -> str:
    """Do what was decided on `found`, and return it as a sentence.

    Args:
        store: The registry.
        target: Where the model is served.
        found: The standing on which it was decided; its revision guards every shift.
        action: continue, advance, promote, rollback or stop.
        weights: Percent by version.
        reasons: Sentences, the decisive one first.
        by: Who or what decided.

    Raises:
        Conflict: The endpoint was changed in between: nothing was done.
        StepError: The target or the registry cannot do it.
    """
    if found.champion is None or found.challenger is None:
        raise StepError(
            f"the model {found.model!r} has no rollout to decide on: no version is its challenger"
        )
    champion, challenger = str(found.champion.number), str(found.challenger.number)
    why = reasons[0] if reasons else action
    revision = found.endpoint.revision
    if action == CONTINUE:
        return f"version {challenger} keeps its share: {why}"
    if action == ADVANCE:
        target.shift(dict(weights), revision=revision, by=by, why=why)
        return f"version {challenger} has {weights.get(challenger, 0)} % of the traffic now: {why}"
    if action == PROMOTE:
        record(store, found.challenger, PROMOTING, reasons, by)
        try:
            target.shift({challenger: WHOLE}, revision=revision, by=by, why=why)
        except Conflict:
            record(store, found.challenger, ADVANCE, ["not promoted: the endpoint had changed"], by)
            raise
        _no_shadow(target, by, why)
        _crown(store, found.challenger, reasons, by)
        return f"version {challenger} is the champion now, version {champion} the previous one: {why}"
    if action in (ROLLBACK, STOP):
        target.shift({champion: WHOLE}, revision=revision, by=by, why=why)
        end(store, target, found.challenger, action, reasons, by)
        return f"version {champion} has all traffic again, version {challenger} none: {why}"
    raise StepError(
        f"{action!r} is no decision; there are {CONTINUE}, {ADVANCE}, {PROMOTE}, {ROLLBACK}, {STOP}"
    )


def end(
    store: Store, target: Target, challenger: Version, action: str, reasons: Sequence[str], by: str
) -> None:
    """Take a challenger out of the rollout, once it has no traffic any more."""
    _no_shadow(target, by, reasons[0] if reasons else action)
    record(store, challenger, action, reasons, by)
    store.delete_alias(challenger.model, CHALLENGER)


def roll_back(store: Store, target: Target, model: str, replicas: int, by: str, why: str) -> str:
    """Return to what was good, in one call: whatever is being rolled out ends, or `previous` is champion again.

    With a challenger in the traffic, it loses it; else the previous champion comes back. Traffic goes first.
    It does not ask for a revision: of a rollback and an advance at the same moment, the rollback holds.

    Raises:
        StepError: There is nothing to go back to, or it does not become ready.
    """
    found = read_standing(store, target, model)
    if found.active and found.champion is not None and found.challenger is not None:
        champion = str(found.champion.number)
        _to(target, model, found.champion, replicas, by, why)
        end(store, target, found.challenger, ROLLBACK, [why], by)
        return f"version {champion} has all traffic, version {found.challenger.number} none"
    if found.previous is None:
        raise StepError(
            f"the model {model!r} has no previous version to go back to: name one with `penstock promote`"
        )
    gone = found.champion
    _to(target, model, found.previous, replicas, by, why)
    with store.lock():
        make_champion(store, found.previous)
    if gone is not None:
        record(store, gone, ROLLBACK, [why], by)
    return f"version {found.previous.number} is the champion again and has all traffic"


def idle(found: Standing) -> list[str]:
    """Return the versions that have neither traffic nor a role; `previous` has one: it is there for a rollback."""
    roles = (found.champion, found.challenger, found.previous)
    kept = {str(version.number) for version in roles if version is not None} | set(found.endpoint.weights)
    if found.endpoint.shadow is not None:
        kept.add(found.endpoint.shadow.version)
    return [version for version in found.endpoint.versions if version not in kept]


def tidy(target: Target, found: Standing, by: str) -> list[str]:
    """Take the idle versions away, and return them."""
    gone = idle(found)
    for version in gone:
        target.undeploy(version, by=by, why="it is neither champion, challenger nor previous")
    return gone


def record(store: Store, version: Version, action: str, reasons: Sequence[str], by: str) -> None:
    """Write beside a version what was decided of it, by whom and why."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    decision: dict[str, Any] = {
        "action": action,
        "time": now,
        "began": now if action == BEGIN else last_decision(version).get("began", ""),
        "by": by[:LONGEST_BY],
        "why": "; ".join(reasons)[:LONGEST_WHY],
    }
    store.tag_version(version.model, version.number, {DECISION: json.dumps(decision, ensure_ascii=False)})


def _to(target: Target, model: str, version: Version, replicas: int, by: str, why: str) -> None:
    number = str(version.number)
    target.deploy(ModelVersion(model, number, version.source, replicas), by=by, why=why)
    target.shift({number: WHOLE}, by=by, why=why)


def _no_shadow(target: Target, by: str, why: str) -> None:
    if target.state().shadow is not None:
        target.mirror(None, by=by, why=why)


def _crown(store: Store, version: Version, reasons: Sequence[str], by: str) -> None:
    with store.lock():
        make_champion(store, version)
    record(store, version, PROMOTE, reasons, by)

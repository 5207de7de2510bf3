"""What a decision does to the endpoint and to the registry, each of it safe to do again.

Order: traffic first, aliases after it, since traffic is what users feel. What a killed process left between the
two is ended by the next call: the intent stands beside the version before anything moves.
"""

import logging
from collections.abc import Mapping, Sequence

from penstock.components.model_registry.promotion import make_champion
from penstock.components.model_registry.store import Store, Version
from penstock.components.rollout_control.changes import (
    deploy_version,
    end,
    intending,
    no_shadow,
    stay_champion,
)
from penstock.components.rollout_control.decisions import (
    ADVANCE,
    BEGIN,
    CONTINUE,
    LEAVING,
    PROMOTE,
    PROMOTING,
    ROLLBACK,
    STOP,
    is_leaving,
    last_decision,
    record,
)
from penstock.components.rollout_control.standing import Standing, last_shift, read_standing
from penstock.components.serving_targets.target import WHOLE, Conflict, Shadow, Target
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)


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
    deploy_version(store, target, found.champion, replicas, by, "the champion")
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
    found = finish(store, target, read_standing(store, target, model), by)
    found = serve_champion(store, target, model, replicas, by)
    if not found.active:
        return found
    assert found.champion is not None and found.challenger is not None  # noqa: PT018 - what active means
    champion, challenger = str(found.champion.number), str(found.challenger.number)
    deploy_version(store, target, found.challenger, replicas, by, "the challenger")
    state = target.state()
    why = f"version {challenger} challenges version {champion}"
    if shadow and (state.shadow is None or state.shadow.version != challenger):
        target.mirror(Shadow(challenger), by=by, why=why)
        record(store, found.challenger, BEGIN, [why], by, state.weights, last_shift(target))
    elif first is not None and not state.weights.get(challenger):
        weights = {champion: first["champion"], challenger: first["challenger"]}
        target.shift(weights, revision=state.revision, by=by, why=why)
        record(store, found.challenger, BEGIN, [why], by, weights, last_shift(target))
    elif not found.began:  # a process was killed between the two above
        record(store, found.challenger, BEGIN, [why], by, state.weights, last_shift(target))
    return read_standing(store, target, model)


def finish(store: Store, target: Target, found: Standing, by: str) -> Standing:
    """End what was decided and interrupted: a promotion between traffic and aliases, or a rollback."""
    challenger, champion = found.challenger, found.champion
    if challenger is None or champion is None or challenger.number == champion.number:
        return found
    decision = last_decision(challenger)
    action, reasons = decision.get("action"), [decision.get("why", "")]
    by = decision.get("by", "") or by
    number = str(challenger.number)
    if action == PROMOTING and found.endpoint.weights == {number: WHOLE}:
        log.info("version %s has all traffic: its promotion is ended now", number)
        _crown(store, target, challenger, champion, reasons, by)
    elif is_leaving(challenger):
        log.info("version %s was to lose its traffic: that is ended now", number)
        back = {str(champion.number): WHOLE}
        if found.endpoint.weights and found.endpoint.weights != back:
            target.shift(back, revision=found.endpoint.revision, by=by, why=reasons[0])
        ends = next(word for word, leaving in LEAVING.items() if leaving == action)
        end(store, target, challenger, ends, reasons, by)
    else:
        return found
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
        record(store, found.challenger, CONTINUE, reasons, by)
        return f"version {challenger} keeps its share: {why}"
    if action == ADVANCE:
        target.shift(dict(weights), revision=revision, by=by, why=why)
        record(store, found.challenger, ADVANCE, reasons, by, weights)
        return f"version {challenger} has {weights.get(challenger, 0)} % of the traffic now: {why}"
    if action == PROMOTE:
        with intending(store, found.challenger, PROMOTING, reasons, by):
            target.shift({challenger: WHOLE}, revision=revision, by=by, why=why)
        no_shadow(target, by, why)
        _crown(store, target, found.challenger, found.champion, reasons, by)
        return f"version {challenger} is the champion now, version {champion} the previous one: {why}"
    if action in (ROLLBACK, STOP):
        with intending(store, found.challenger, LEAVING[action], reasons, by):
            target.shift({champion: WHOLE}, revision=revision, by=by, why=why)
        end(store, target, found.challenger, action, reasons, by)
        return f"version {champion} has all traffic again, version {challenger} none: {why}"
    raise StepError(
        f"{action!r} is no decision; there are {CONTINUE}, {ADVANCE}, {PROMOTE}, {ROLLBACK}, {STOP}"
    )


def _crown(
    store: Store, target: Target, version: Version, before: Version, reasons: Sequence[str], by: str
) -> None:
    """Make a version that has all traffic the champion; not when a rollback came in between.

    Raises:
        Conflict: It did: the champion of before is champion still.
    """
    with store.lock():
        make_champion(store, version)
    weights = target.state().weights
    if weights != {str(version.number): WHOLE}:
        stay_champion(store, before)
        raise Conflict(
            f"version {version.number} lost its traffic while it was promoted: it is not the champion"
        )
    record(store, version, PROMOTE, reasons, by, weights)

"""What people do to a rollout: look, name a challenger, abort, roll back, promote.

    python -m penstock.components.rollout_control.by_hand show|challenge|abort|rollback|promote
        --registry-uri URI --model NAME --target JSON [--endpoint NAME] [--version N] [--by WHO] [--why TEXT]

Prints {"done": sentence, "standing": {…}}. Runs in the control stack, which holds MLflow's client and those of
the targets; the command line has none.
"""

import argparse
import dataclasses
import json
import sys
from typing import Any

from penstock.components.model_registry.names import CHALLENGER, CHAMPION
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.promotion import make_champion
from penstock.components.model_registry.store import Store, Version
from penstock.components.rollout_control.changes import give_all
from penstock.components.rollout_control.decisions import (
    CONTINUE,
    PROMOTE,
    STOP,
    decisions,
    ended,
    is_leaving,
    last_decision,
    record,
)
from penstock.components.rollout_control.places import open_endpoint
from penstock.components.rollout_control.returning import roll_back, withdraw
from penstock.components.rollout_control.standing import Standing, read_standing
from penstock.components.serving_targets.target import Target, shares_text
from penstock.components.step_io.errors import StepError


def challenge(store: Store, target: Target, model: str, wanted: str, by: str) -> str:
    """Make a version the challenger, and say so.

    Args:
        store: The registry.
        target: Where the model is served.
        model: Name in the registry.
        wanted: A version; empty takes the challenger that there is, else the newest that is newer than the champion.
        by: Who asks.

    Raises:
        StepError: There is no champion, no such version, or another one is being rolled out.
    """
    found = read_standing(store, target, model)
    versions = store.versions(model)
    if found.champion is None:
        raise StepError(_no_champion(model, versions))
    champion = found.champion
    chosen = _chosen(found, champion, versions, wanted)
    if chosen.number == champion.number:
        raise StepError(f"version {chosen.number} of {model!r} is the champion already")
    other = found.challenger
    if other is not None and other.number != chosen.number and found.active and _has_traffic(found, other):
        raise StepError(
            f"version {other.number} of {model!r} is being rolled out ({shares_text(found.endpoint.weights)}): "
            "`penstock rollout abort` ends that first"
        )
    if ended(chosen):
        record(store, chosen, CONTINUE, ["it is tried again"], by)
    if other is None or other.number != chosen.number:
        store.set_alias(model, CHALLENGER, chosen.number)
    return f"version {chosen.number} challenges version {champion.number}"


def abort(store: Store, target: Target, model: str, by: str, why: str) -> str:
    """Take the challenger's traffic away, and say so.

    Raises:
        StepError: There is no challenger.
    """
    found = read_standing(store, target, model)
    if (
        found.challenger is None
        or found.champion is None
        or not (found.active or is_leaving(found.challenger))
    ):
        raise StepError(f"there is no rollout of {model!r} to abort: no version is its challenger")
    return withdraw(store, target, found, STOP, 1, by, why)


def promote(store: Store, target: Target, model: str, wanted: str, by: str, why: str) -> str:
    """Make a version the champion because a person says so; traffic first, where the endpoint runs.

    Raises:
        StepError: There is no such version, or it does not become ready.
    """
    chosen = _numbered(model, store.versions(model), wanted)
    serves = bool(_weights(target))
    if serves:
        give_all(store, target, chosen, 1, by, why)
    with store.lock():
        make_champion(store, chosen)
    record(store, chosen, PROMOTE, [why], by, {str(chosen.number): 100} if serves else {})
    return f"version {chosen.number} is the champion now" + (" and has all traffic" if serves else "")


def shown(found: Standing) -> dict[str, Any]:
    """Return a standing as JSON values."""
    return {
        "model": found.model,
        "active": found.active,
        "champion": _version(found.champion),
        "challenger": _version(found.challenger),
        "previous": _version(found.previous),
        "endpoint": dataclasses.asdict(found.endpoint),
        "began": found.began,
        "since": found.since,
    }


def main(arguments: list[str]) -> int:
    """Do it and print what was done; a sentence on stderr and 2 when it cannot be."""
    parser = argparse.ArgumentParser(description="Look at a rollout, or change it.")
    parser.add_argument("action", choices=("show", "challenge", "abort", "rollback", "promote"))
    for option in ("registry-uri", "model", "target"):
        parser.add_argument(f"--{option}", required=True)
    for option in ("endpoint", "version", "by", "why"):
        parser.add_argument(f"--{option}", default="")
    given = parser.parse_args(arguments)
    try:
        store = open_store(given.registry_uri)
        target = open_endpoint(json.loads(given.target), given.endpoint or given.model)
        done = _do(store, target, given)
        standing = shown(read_standing(store, target, given.model))
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps({"done": done, "standing": standing}, ensure_ascii=False))
    return 0


def _do(store: Store, target: Target, given: argparse.Namespace) -> str:
    model, by, why = given.model, given.by, given.why
    if given.action == "challenge":
        return challenge(store, target, model, given.version, by)
    if given.action == "abort":
        return abort(store, target, model, by, why)
    if given.action == "rollback":
        return roll_back(store, target, model, 1, by, why)
    if given.action == "promote":
        return promote(store, target, model, given.version, by, why)
    return ""


def _chosen(found: Standing, champion: Version, versions: list[Version], wanted: str) -> Version:
    if wanted:
        return _numbered(found.model, versions, wanted)
    if found.challenger is not None and not ended(found.challenger):
        return found.challenger
    newer = [version for version in versions if version.number > champion.number]
    if not newer:
        raise StepError(
            f"no version of {found.model!r} is newer than its champion, version {champion.number}: train one "
            "(`penstock run`), or name one with --version"
        )
    newest = max(newer, key=lambda version: version.number)
    if ended(newest):
        decision = last_decision(newest)
        raise StepError(
            f"version {newest.number} of {found.model!r} was tried before ({decision.get('action')} at "
            f"{decision.get('time')}: {decision.get('why')}): name it with --version {newest.number} to try it again"
        )
    return newest


def _numbered(model: str, versions: list[Version], wanted: str) -> Version:
    for version in versions:
        if str(version.number) == wanted:
            return version
    known = ", ".join(str(version.number) for version in versions)
    raise StepError(f"the model {model!r} has no version {wanted!r} (registered: {known or 'none'})")


def _no_champion(model: str, versions: list[Version]) -> str:
    if not versions:
        return f"the model {model!r} has no registered version yet: `penstock run` trains and registers one"
    return f"the model {model!r} has no champion to challenge: name one with `penstock promote --version N`"


def _has_traffic(found: Standing, version: Version) -> bool:
    number, shadow = str(version.number), found.endpoint.shadow
    return bool(found.endpoint.weights.get(number)) or (shadow is not None and shadow.version == number)


def _weights(target: Target) -> dict[str, int]:
    try:
        state = target.state()
    except StepError:  # no such endpoint: the registry can be changed all the same
        return {}
    return dict(state.weights)


def _version(version: Version | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "version": str(version.number),
        "aliases": sorted({*version.aliases} & {CHAMPION, CHALLENGER, "previous"}),
        "decision": dict(last_decision(version)),
        "decisions": decisions(version),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Single changes of a rollout, from which moves and returns are made."""

import contextlib
from collections.abc import Iterator, Sequence

from penstock.components.model_registry.names import CHALLENGER, CHAMPION
from penstock.components.model_registry.promotion import make_champion
from penstock.components.model_registry.store import Store, Version
from penstock.components.rollout_control.decisions import CONTINUE, current, last_decision, record
from penstock.components.rollout_control.places import model_uri
from penstock.components.serving_targets.target import WHOLE, Conflict, ModelVersion, Target

ATTEMPTS = 5  # of a rollback, when somebody else shifts traffic at the same moment


def deploy_version(store: Store, target: Target, version: Version, replicas: int, by: str, why: str) -> None:
    """Bring a version up, with as many replicas as it has where that is more."""
    number = str(version.number)
    deployed = target.state().versions.get(number)
    wanted = max(replicas, deployed.replicas if deployed else 0)
    uri = (deployed.uri if deployed else "") or model_uri(store, target, version)
    target.deploy(ModelVersion(version.model, number, uri, wanted), by=by, why=why)


def give_all(store: Store, target: Target, version: Version, replicas: int, by: str, why: str) -> None:
    """Give a version all traffic, whoever else shifts it at this moment."""
    number = str(version.number)
    deployed = target.state().versions.get(number)
    if deployed is None or deployed.ready < deployed.replicas:
        deploy_version(store, target, version, replicas, by, why)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            target.shift({number: WHOLE}, by=by, why=why)
        except Conflict:
            if attempt == ATTEMPTS:
                raise
        else:
            return


@contextlib.contextmanager
def intending(store: Store, version: Version, intent: str, reasons: Sequence[str], by: str) -> Iterator[None]:
    """Write down what is about to be done; on a conflict it was not, unless somebody decided anew."""
    record(store, version, intent, reasons, by)
    try:
        yield
    except Conflict as error:
        if last_decision(current(store, version)).get("action") == intent:
            record(store, version, CONTINUE, [f"not done: {error}"], by)
        raise


def no_shadow(target: Target, by: str, why: str) -> None:
    """End the copies of the traffic."""
    if target.state().shadow is not None:
        target.mirror(None, by=by, why=why)


def stay_champion(store: Store, version: Version) -> None:
    """Make a version the champion again, should another one have become it."""
    with store.lock():
        found = store.version_of(version.model, CHAMPION)
        if found is None or found.number != version.number:
            make_champion(store, version)


def end(
    store: Store, target: Target, challenger: Version, action: str, reasons: Sequence[str], by: str
) -> None:
    """Take a challenger out of the rollout, once it has no traffic any more."""
    no_shadow(target, by, reasons[0] if reasons else action)
    record(store, challenger, action, reasons, by, target.state().weights)
    found = store.version_of(challenger.model, CHALLENGER)
    if found is not None and found.number == challenger.number:  # a newer one may be waiting
        store.delete_alias(challenger.model, CHALLENGER)

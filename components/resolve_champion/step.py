import json
import logging
from typing import NamedTuple

from penstock.components.model_registry.names import (
    APP_VERSION,
    CHAMPION,
    CODE_VERSION,
    FINGERPRINT,
    METRICS,
    PREVIOUS,
)
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.places import can_be_fetched
from penstock.components.model_registry.store import Store, Version
from penstock.components.resolve_champion.baseline import find_baseline
from penstock.components.resolve_champion.decision import decide
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.resolve_champion.step")  # __name__ is __main__ in the process


class Outputs(NamedTuple):
    """Output parameters."""

    decision: str
    reason: str
    champion_version: str
    champion_uri: str
    champion_metrics: dict
    baseline_name: str
    baseline_uri: str


def run(
    model_name: str,
    fingerprint: str,
    app_version: str,
    code_version: str,
    baseline: str = "champion",
    force: bool = False,
    registry_uri: str = "",
) -> Outputs:
    """Find the live model and decide whether to train at all."""
    store = open_store(registry_uri)
    champion = store.version_of(model_name, CHAMPION)
    if champion is not None:
        check_artifacts(store, champion)
    made_of = {FINGERPRINT: fingerprint, APP_VERSION: app_version, CODE_VERSION: code_version}
    decided = decide(champion, made_of, force)
    compared_with = find_baseline(baseline, store, model_name, champion, fingerprint)
    log.info("%s: %s", decided.decision, decided.reason)
    return Outputs(
        decision=decided.decision,
        reason=decided.reason,
        champion_version=str(champion.number) if champion else "",
        champion_uri=champion.source if champion else "",
        champion_metrics=metrics_of(champion),
        baseline_name=compared_with.name,
        baseline_uri=compared_with.uri,
    )


def check_artifacts(store: Store, champion: Version) -> None:
    """Refuse to go on without the champion: nothing could be compared, and any model would take its place.

    Raises:
        StepError: Its model folder is gone.
    """
    if can_be_fetched(champion.source):
        return
    previous = store.version_of(champion.model, PREVIOUS)
    way_out = (
        f"roll back to version {previous.number}"
        if previous is not None and can_be_fetched(previous.source)
        else "take the alias 'champion' away to begin anew"
    )
    raise StepError(
        f"the artifacts of the champion ({champion.model} version {champion.number}) are gone from {champion.source}: "
        f"restore that folder, or {way_out}"
    )


def metrics_of(champion: Version | None) -> dict[str, float]:
    """Return the champion's metrics on its own test split; none when it was registered without."""
    if champion is None or METRICS not in champion.tags:
        return {}
    try:
        found = json.loads(champion.tags[METRICS])
        return {str(name): float(value) for name, value in found.items()}
    except (ValueError, AttributeError, TypeError):
        log.warning("the tag %s of champion version %d is no JSON: ignored", METRICS, champion.number)
        return {}


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)

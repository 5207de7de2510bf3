import logging
from typing import NamedTuple

from penstock.components.model_registry.opening import open_store
from penstock.components.rollout_control.first_share import first_share
from penstock.components.rollout_control.idle_versions import tidy
from penstock.components.rollout_control.moves import begin
from penstock.components.rollout_control.places import open_endpoint
from penstock.components.rollout_settings.settings import read_rollout
from penstock.components.serving_targets.target import shares_text
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.deploy_model.step")  # __name__ is __main__ in the process


class Outputs(NamedTuple):
    """Output parameters."""

    active: bool
    champion: str
    challenger: str
    weights: dict
    revision: int
    began: str
    since: str
    url: str


def run(
    model_name: str,
    serving_target: dict,
    endpoint: str = "",
    rollout: dict = {},  # noqa: B006 - KFP's defaults, never mutated
    replicas: int = 1,
    registry_uri: str = "",
) -> Outputs:
    """Bring champion and challenger up, and give the challenger its first share."""
    settings = read_rollout(rollout)
    store = open_store(registry_uri)
    target = open_endpoint(serving_target, endpoint or model_name)
    share = first_share(settings)
    found = begin(store, target, model_name, share, share is None, replicas, "deploy_model")
    if gone := tidy(target, found, "deploy_model"):
        log.info("took away version %s, which had no role any more", ", ".join(gone))
    log.info("%s: %s", found.endpoint.endpoint, shares_text(found.endpoint.weights))
    return Outputs(
        active=found.active,
        champion=str(found.champion.number) if found.champion else "",
        challenger=str(found.challenger.number) if found.challenger and found.active else "",
        weights=dict(found.endpoint.weights),
        revision=found.endpoint.revision,
        began=found.began,
        since=found.since,
        url=found.endpoint.url,
    )


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)

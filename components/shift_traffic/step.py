import dataclasses
import logging
from typing import NamedTuple

from penstock.components.model_registry.opening import open_store
from penstock.components.rollout_control.moves import carry_out
from penstock.components.rollout_control.places import open_endpoint
from penstock.components.rollout_control.standing import read_standing
from penstock.components.serving_targets.target import Conflict
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.shift_traffic.step")  # __name__ is __main__ in the process


class Outputs(NamedTuple):
    """Output parameters."""

    done: str
    shares: dict


def run(
    model_name: str,
    serving_target: dict,
    action: str,
    weights: dict,
    reasons: list,
    revision: int,
    endpoint: str = "",
    registry_uri: str = "",
) -> Outputs:
    """Do what was decided, if the endpoint is still as it was."""
    store = open_store(registry_uri)
    target = open_endpoint(serving_target, endpoint or model_name)
    found = read_standing(store, target, model_name)
    decided_on = dataclasses.replace(found, endpoint=dataclasses.replace(found.endpoint, revision=revision))
    try:
        done = carry_out(store, target, decided_on, action, weights, reasons, "shift_traffic")
    except Conflict as error:
        done = f"nothing was done: {error}"  # the next evaluation looks at what there is then
    log.info("%s", done)
    return Outputs(done=done, shares=dict(target.state().weights))


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)

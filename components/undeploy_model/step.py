import logging
from typing import NamedTuple

from penstock.components.model_registry.opening import open_store
from penstock.components.rollout_control.idle_versions import idle
from penstock.components.rollout_control.places import open_endpoint
from penstock.components.rollout_control.standing import read_standing
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.undeploy_model.step")  # __name__ is __main__ in the process


class Outputs(NamedTuple):
    """Output parameters."""

    gone: list


def run(
    model_name: str,
    serving_target: dict,
    versions: list = [],  # noqa: B006 - KFP's defaults, never mutated
    endpoint: str = "",
    registry_uri: str = "",
) -> Outputs:
    """Take away what has neither traffic nor a role."""
    store = open_store(registry_uri)
    target = open_endpoint(serving_target, endpoint or model_name)
    found = read_standing(store, target, model_name)
    free = idle(found)
    wanted = [str(version) for version in versions] or free
    for version in wanted:
        if version in found.endpoint.versions and version not in free:
            raise StepError(
                f"version {version} of {model_name!r} has traffic or a role (champion, challenger or previous): "
                "shift its traffic and promote another version first"
            )
    gone = [version for version in wanted if version in found.endpoint.versions]
    for version in gone:
        target.undeploy(version, by="undeploy_model", why="asked for" if versions else "it has no role")
    log.info("took away %s", ", ".join(gone) or "nothing")
    return Outputs(gone)


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)

"""Versions that serve nothing any more."""

from penstock.components.rollout_control.standing import Standing
from penstock.components.serving_targets.target import Target


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

"""Opens the endpoint that a run's parameter `serving_target` names."""

from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.opening import open_target
from penstock.components.serving_targets.target import Target
from penstock.components.step_io.errors import StepError


def open_endpoint(where: Mapping[str, Any], endpoint: str) -> Target:
    """Return the endpoint of a target.

    Args:
        where: From the environment file's section `serving`: `kind`, and what that kind needs.
        endpoint: Its name.

    Raises:
        StepError: There is no such kind, or it cannot be used as it is described.
    """
    if not where:
        raise StepError(
            "no serving target is given: the parameter serving_target comes from the section `serving` of the "
            "environment's file"
        )
    return open_target(where, endpoint)

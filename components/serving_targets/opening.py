"""Opens the target that an address names."""

from pathlib import Path

from penstock.components.serving_targets.local_target import LocalTarget
from penstock.components.serving_targets.target import Target
from penstock.components.step_io.errors import StepError

LOCAL = "local"


def open_target(address: str) -> Target:
    """Return the target at an address.

    Args:
        address: local:<folder of the endpoint>, whose last name is the endpoint's.

    Raises:
        StepError: The address names no target that there is.
    """
    kind, _, place = address.partition(":")
    if kind == LOCAL and place:
        return LocalTarget(Path(place))
    raise StepError(f"{address!r} names no serving target: expected local:<folder of the endpoint>")

"""Where a run's parameter `serving_target` points, and where the servers there read a registered version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.model_registry.places import local_folder
from penstock.components.model_registry.store import Store, Version
from penstock.components.serving_targets.opening import open_target
from penstock.components.serving_targets.registered_version import bring
from penstock.components.serving_targets.target import Target
from penstock.components.step_io.errors import StepError

MODELS = "models"  # beside the endpoints, as `penstock serve` has it


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


def model_uri(store: Store, target: Target, version: Version) -> str:
    """Return where the target's servers read a version: a folder of this machine, or the registry's own URI.

    Servers of this machine read folders only: what lies elsewhere is fetched once.

    Raises:
        StepError: It is gone, or cannot be fetched.
    """
    folder: Path | None = getattr(target, "folder", None)  # of the local target alone
    if folder is not None:
        return str(bring(store, version, folder.parent.parent / MODELS / version.model))
    here = local_folder(version.source)
    return version.source if here is None else str(here.absolute())

"""Makes a KServe target from the plain values of an environment file or a run's parameter."""

from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.kserve_settings import KserveSettings
from penstock.components.serving_targets.kserve_target import KserveTarget
from penstock.components.serving_targets.plain_settings import read_plain

KIND = "kserve"


def open_kserve(where: Mapping[str, Any], endpoint: str) -> KserveTarget:
    """Return the endpoint of a cluster with KServe.

    Args:
        where: `kind: kserve`, and the fields of KserveSettings.
        endpoint: Its name.

    Raises:
        StepError: A key or a value is wrong, or there is no cluster.
    """
    return KserveTarget(endpoint, read_plain(KIND, where, KserveSettings))

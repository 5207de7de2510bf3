"""What a serving target can do, whatever stands behind it: deploy, shift, undeploy, and tell how things are.

A version is deployed first, which takes no traffic, then traffic is shifted to it, then the old one is
undeployed. Each call is idempotent: one that was interrupted is ended by calling it again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.components.step_io.errors import StepError

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
WHOLE = 100  # percent

# Headers of a request (metadata in gRPC) by which a target chooses the version.
FORCED_HEADER = "x-model-version"  # this version, whatever the weights
KEY_HEADER = "x-routing-key"  # equal keys get the same version


class Conflict(StepError):
    """Somebody else changed the endpoint in between; nothing was changed by this call."""


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model, to be deployed."""

    model: str  # name in the registry and in request paths
    version: str
    uri: str  # the model folder: a path, or a URI that the prediction service can read
    replicas: int = 1


@dataclass(frozen=True)
class Deployed:
    """A version as an endpoint has it."""

    version: str
    model: str
    uri: str
    replicas: int
    ready: int = 0  # replicas that answer
    restarts: int = 0  # of replicas that died
    problem: str = ""  # why a replica is not ready, where that is known


@dataclass(frozen=True)
class Shadow:
    """The version that gets a copy of the traffic; its answers go nowhere."""

    version: str
    percent: int = WHOLE


@dataclass(frozen=True)
class EndpointState:
    """An endpoint at one moment."""

    endpoint: str
    revision: int  # grows by one with each change that somebody asked for
    versions: Mapping[str, Deployed] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)  # percent by version, 100 in sum, or empty
    shadow: Shadow | None = None
    url: str = ""
    running: bool = False


@dataclass(frozen=True)
class Change:
    """One change of an endpoint."""

    revision: int
    time: str  # UTC, ISO 8601
    action: str  # deploy shift shadow undeploy start stop
    by: str  # who or what
    why: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Target(Protocol):
    """Where models are served. Every method raises StepError when it cannot be done."""

    def deploy(self, version: ModelVersion, wait_s: float = ..., by: str = ..., why: str = ...) -> None:
        """Bring a version up beside what is there; it is ready, without traffic, when this returns."""

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = ..., why: str = ...
    ) -> None:
        """Divide the traffic anew, in percent; each version with a share must be ready.

        With `revision` only if the endpoint still has it: what was decided on another state is not done.
        """

    def mirror(self, shadow: Shadow | None, by: str = ..., why: str = ...) -> None:
        """Send a copy of the traffic to a version, or to none."""

    def undeploy(self, version: str, by: str = ..., why: str = ...) -> None:
        """Take a version away; refused while it has traffic."""

    def state(self) -> EndpointState:
        """Return how things are now."""

    def history(self) -> list[Change]:
        """Return the changes, the oldest first."""


def check_weights(weights: Mapping[str, int], deployed: Mapping[str, Any], endpoint: str) -> dict[str, int]:
    """Return the weights without zeros.

    Raises:
        StepError: They are no whole percentages that add up to 100, or name a version that is not deployed.
    """
    for version, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= WHOLE:
            raise StepError(
                f"the weight of version {version!r} is {weight!r}: give a whole number from 0 to 100"
            )
    if (total := sum(weights.values())) != WHOLE:
        raise StepError(f"the weights {shares_text(weights)} add up to {total}: they must add up to 100")
    for version, weight in weights.items():
        if weight and version not in deployed:
            known = ", ".join(deployed) or "none"
            raise StepError(f"{endpoint} has no version {version!r} (deployed: {known}): deploy it first")
    return {version: weight for version, weight in weights.items() if weight}


def check_name(kind: str, name: str) -> str:
    """Return a name that can stand in headers, file names and addresses.

    Raises:
        StepError: It cannot.
    """
    if not NAME.fullmatch(name):
        raise StepError(
            f"{kind} {name!r} cannot be served: 1 to 63 letters, digits, '.', '_' and '-' are allowed, "
            "with a letter or digit at both ends"
        )
    return name


def shares_text(weights: Mapping[str, int]) -> str:
    """Return weights as people read them.

    >>> shares_text({"3": 90, "4": 10})
    '3: 90 %, 4: 10 %'
    """
    return ", ".join(f"{version}: {weight} %" for version, weight in weights.items()) or "none"

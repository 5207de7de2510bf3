"""An endpoint in memory with the rules of every target, which can be made to fail at any call."""

from collections.abc import Mapping

from penstock.components.serving_targets.target import (
    Change,
    Conflict,
    Deployed,
    EndpointState,
    ModelVersion,
    Shadow,
    check_weights,
)
from penstock.components.step_io.errors import StepError


class Killed(BaseException):
    """The process ends here, as with kill -9: nobody handles it."""


class Endpoint:
    """Versions and weights; `die_at` ends the caller before its n-th change, `die_after` right after it."""

    def __init__(self) -> None:
        self.versions: dict[str, Deployed] = {}
        self.weights: dict[str, int] = {}
        self.shadow: Shadow | None = None
        self.changes: list[Change] = []
        self.broken: set[str] = set()
        self.die_at, self.die_after = 0, 0

    def deploy(self, version: ModelVersion, wait_s: float = 0, by: str = "", why: str = "") -> None:
        if version.version in self.broken:
            raise StepError(f"version {version.version} did not become ready")
        deployed = Deployed(version.version, version.model, version.uri, version.replicas, version.replicas)
        if self.versions.get(version.version) != deployed:
            with self._change("deploy", by, why):
                self.versions[version.version] = deployed

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = "", why: str = ""
    ) -> None:
        if revision is not None and revision != len(self.changes):
            raise Conflict(f"the endpoint is at revision {len(self.changes)}, not {revision}")
        wanted = check_weights(weights, self.versions, "the endpoint")
        if wanted != self.weights:
            with self._change("shift", by, why):
                self.weights = wanted

    def mirror(self, shadow: Shadow | None, by: str = "", why: str = "") -> None:
        if shadow != self.shadow:
            with self._change("shadow", by, why):
                self.shadow = shadow

    def undeploy(self, version: str, by: str = "", why: str = "") -> None:
        if self.weights.get(version):
            raise StepError(f"version {version} has traffic")
        with self._change("undeploy", by, why):
            self.versions.pop(version, None)

    def state(self) -> EndpointState:
        return EndpointState(
            "taxi", len(self.changes), dict(self.versions), dict(self.weights), self.shadow, running=True
        )

    def history(self) -> list[Change]:
        return list(self.changes)

    def _change(self, action: str, by: str, why: str) -> "_Changing":
        return _Changing(self, action, by, why)


class _Changing:
    def __init__(self, endpoint: Endpoint, action: str, by: str, why: str) -> None:
        self.endpoint, self.told = endpoint, (action, by, why)

    def __enter__(self) -> None:
        if self.endpoint.die_at == len(self.endpoint.changes) + 1:
            raise Killed

    def __exit__(self, *error: object) -> None:
        number = len(self.endpoint.changes) + 1
        action, by, why = self.told
        self.endpoint.changes.append(
            Change(number, f"2026-01-01T00:00:{number:02}Z", action, by, why, {}, {})
        )
        if self.endpoint.die_after == number:
            raise Killed

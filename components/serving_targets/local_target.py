"""The local target: versions as processes on this machine behind one port, changed from any process.

A call changes what is wanted (state.json) and waits until the supervisor has made it so. A call that is killed
in between leaves a wanted state that the supervisor goes on with; the next call waits for the same.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.components.serving_targets.local_launch import is_running, read_status, start_supervisor
from penstock.components.serving_targets.local_state import State, StateFile
from penstock.components.serving_targets.local_waiting import Failed, NotYet, Reached, wait_for
from penstock.components.serving_targets.target import (
    Change,
    Conflict,
    Deployed,
    EndpointState,
    ModelVersion,
    Shadow,
    check_name,
    check_weights,
    shares_text,
)
from penstock.components.step_io.errors import StepError

READY_S = 180.0
APPLY_S = 20.0
GONE_S = 60.0
POLL_S = 0.05


class LocalTarget:
    """A target (see target.py) with its state in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.name = folder.name
        self.file = StateFile(self.folder)

    def create(self, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Make the endpoint, without versions; one that is there keeps them."""
        check_name("the endpoint", self.name)
        self.file.create(self.name, host, port)

    def deploy(self, version: ModelVersion, wait_s: float = READY_S, by: str = "", why: str = "") -> None:
        """Bring a version up; all its replicas are ready, without traffic, when this returns.

        One that is there gets the wanted number of replicas; while it has traffic it loses none.

        Raises:
            StepError: The version is there with another model folder, does not start (then it is taken away
                again, if it had no traffic), or is not ready within `wait_s` seconds.
        """
        check_name("the version", version.version)
        check_name("the model", version.model)
        if version.replicas < 1:
            raise StepError(f"replicas is {version.replicas}: give 1 or more")

        def add(state: State) -> None:
            found = state["versions"].get(version.version)
            if found and (found["model"], found["uri"]) != (version.model, version.uri):
                raise StepError(
                    f"{self.name} serves version {version.version} from {found['uri']}, not from {version.uri}: "
                    "undeploy it first"
                )
            has_traffic = version.version in state["weights"]
            fewest = found["replicas"] if found and has_traffic else 1
            state["versions"][version.version] = {
                "model": version.model,
                "uri": version.uri,
                "replicas": max(version.replicas, fewest),
            }
            state["stopped"] = False

        self.file.change("deploy", add, by, why)
        self.ensure_running()
        try:
            wait_for(self.file, wait_s, lambda state, status: self._is_up(version, state, status))
        except NotYet:
            problem = f"it was not ready within {wait_s:.0f} s"
        except Failed as failed:
            problem = str(failed)
        else:
            return
        kept = self._withdraw(version.version, problem)
        raise StepError(
            f"version {version.version} of {self.name} was not deployed: {problem.rstrip('.')}; its logs: "
            f"{self.folder / 'logs'}/worker-{version.version}.*.log{kept}"
        )

    def shift(
        self, weights: Mapping[str, int], revision: int | None = None, by: str = "", why: str = ""
    ) -> None:
        """Divide the traffic anew; in use when this returns, and no request is dropped.

        Without `revision` the call is for the weights that it finds when it begins; if they are changed before
        its own change is made, it gives way.

        Raises:
            Conflict: The endpoint was changed in between.
            StepError: The weights are wrong, a version is not ready, or the endpoint does not run.
        """
        begun = self._state()
        wanted = check_weights(weights, begun["versions"], self.name)
        self._check_ready(wanted)

        def divide(state: State) -> None:
            if (state["weights"], state["shadow"]) != (begun["weights"], begun["shadow"]):
                raise Conflict(
                    f"the traffic of {self.name} was shifted in between, to {shares_text(state['weights'])}: look "
                    "at it with `penstock endpoint show`, then decide again"
                )
            check_weights(wanted, state["versions"], self.name)
            state["weights"] = {
                version: wanted[version] for version in state["versions"] if version in wanted
            }

        self._apply("shift", divide, revision, by, why)

    def mirror(self, shadow: Shadow | None, by: str = "", why: str = "") -> None:
        """Send a copy of the traffic to a version, whose answers go nowhere; None ends it.

        Raises:
            StepError: The version is not ready, or the share is none from 1 to 100.
        """
        if shadow is not None:
            if not 1 <= shadow.percent <= 100:
                raise StepError(f"the share of the shadow is {shadow.percent!r}: give 1 to 100 percent")
            check_weights({shadow.version: 100}, self._state()["versions"], self.name)
            self._check_ready([shadow.version])

        def mirror(state: State) -> None:
            if shadow and shadow.version not in state["versions"]:
                raise Conflict(f"{self.name} has no version {shadow.version!r} any more: deploy it first")
            state["shadow"] = vars(shadow) if shadow else None

        self._apply("shadow", mirror, None, by, why)

    def undeploy(self, version: str, by: str = "", why: str = "") -> None:
        """Take a version away once its last requests have ended; nothing happens when it is not there.

        Raises:
            StepError: It has traffic, or is the shadow.
        """

        def remove(state: State) -> None:
            if weight := state["weights"].get(version):
                raise StepError(
                    f"version {version} of {self.name} has {weight} % of the traffic: shift it to another version first"
                )
            if state["shadow"] and state["shadow"]["version"] == version:
                raise StepError(
                    f"version {version} of {self.name} gets a copy of the traffic: end the shadow first"
                )
            state["versions"].pop(version, None)

        self.file.change("undeploy", remove, by, why)
        if is_running(self.folder):
            self._wait_or_say(
                GONE_S,
                lambda state, status: version not in status["versions"] and version not in status["going"],
                f"version {version} still runs",
            )

    def state(self) -> EndpointState:
        """Return how things are now.

        Raises:
            StepError: There is no such endpoint.
        """
        state, status = self._state(), read_status(self.folder)
        versions = {}
        for version, wanted in state["versions"].items():
            found = status.get("versions", {}).get(version, {})
            versions[version] = Deployed(
                version,
                wanted["model"],
                wanted["uri"],
                wanted["replicas"],
                ready=found.get("ready", 0),
                restarts=found.get("restarts", 0),
                problem=found.get("problem", ""),
            )
        return EndpointState(
            endpoint=self.name,
            revision=state["revision"],
            versions=versions,
            weights=dict(state["weights"]),
            shadow=Shadow(**state["shadow"]) if state["shadow"] else None,
            url=f"http://{state['host']}:{state['port']}",
            running=bool(status),
        )

    def history(self) -> list[Change]:
        """Return the changes, the oldest first."""
        self._state()
        return self.file.history()

    def stop(self, by: str = "", why: str = "", wait_s: float = GONE_S) -> bool:
        """End all processes in order; return whether any ran. The next start begins without versions.

        Raises:
            StepError: They do not end in time.
        """
        ran = is_running(self.folder)

        def stop(state: State) -> None:
            state |= {"stopped": True, "versions": {}, "weights": {}, "shadow": None}

        self.file.change("stop", stop, by, why)
        deadline = time.monotonic() + wait_s
        while is_running(self.folder):
            if time.monotonic() > deadline:
                raise StepError(
                    f"the supervisor of {self.name} has not ended within {wait_s:.0f} s: its log is "
                    f"{self.folder / 'logs' / 'supervisor.log'}"
                )
            time.sleep(POLL_S)
        return ran

    def exists(self) -> bool:
        """Tell whether the endpoint was ever made."""
        return self.file.read() is not None

    def start(self) -> None:
        """Let the endpoint run, if it was stopped."""

        def start(state: State) -> None:
            state["stopped"] = False

        self.file.change("start", start, "", "")

    def wait_until_ready(self, wait_s: float = READY_S) -> None:
        """Wait until all versions are ready, as after a start with versions that were there before.

        Raises:
            StepError: They are not, in time.
        """

        def up(state: State, status: Mapping[str, Any]) -> bool:
            return all(
                status["versions"].get(version, {}).get("ready", 0) >= wanted["replicas"]
                for version, wanted in state["versions"].items()
            )

        self._wait_or_say(wait_s, up, "not all versions are ready")

    def ensure_running(self, with_me: bool = False) -> None:
        """Start the supervisor unless it is alive; one that was killed goes on with the state as it was.

        Args:
            with_me: One that is started here ends when this process does.

        Raises:
            StepError: Nobody has said yet what the endpoint is made of.
        """
        if not is_running(self.folder):
            start_supervisor(self.folder, with_me)

    def _is_up(self, version: ModelVersion, state: State, status: Mapping[str, Any]) -> bool:
        if version.version not in state["versions"]:
            raise Failed("somebody undeployed it meanwhile")
        found = status["versions"].get(version.version)
        if found and found["failed"]:
            raise Failed(found["problem"])
        return bool(found and found["ready"] >= version.replicas and status["revision"] == state["revision"])

    def _withdraw(self, version: str, problem: str) -> str:
        """Take a version away that did not start, unless it has traffic; return what is to be said about it."""
        try:
            self.undeploy(version, why=f"it was not deployed: {problem}")
        except StepError:
            return " (it keeps its traffic)"
        return ""

    def _check_ready(self, versions: Mapping[str, int] | list[str]) -> None:
        state = self.state()
        if not state.running:
            raise StepError(f"the endpoint {self.name} does not run: start it with `penstock serve`")
        for version in versions:
            found = state.versions[version]
            if not found.ready:
                problem = f" ({found.problem})" if found.problem else ""
                raise StepError(
                    f"version {version} of {self.name} is not ready{problem}: deploy it, then shift"
                )

    def _apply(
        self, action: str, mutate: Callable[[State], None], expected: int | None, by: str, why: str
    ) -> None:
        """Make a change and wait until the router works by it."""
        changed, _ = self.file.change(action, mutate, by, why, expected)
        if is_running(self.folder):
            self._wait_or_say(
                APPLY_S,
                lambda state, status: status["revision"] >= changed["revision"],
                "the router does not work by the change yet",
            )

    def _wait_or_say(self, wait_s: float, reached: Reached, what: str) -> None:
        try:
            wait_for(self.file, wait_s, reached)
        except (NotYet, Failed) as error:
            raise StepError(
                f"{self.name}: {what} after {wait_s:.0f} s{f' ({error})' if str(error) else ''}; the state is "
                f"kept, the supervisor goes on with it; its log is {self.folder / 'logs' / 'supervisor.log'}"
            ) from error

    def _state(self) -> State:
        state = self.file.read()
        if state is None:
            raise StepError(f"there is no endpoint {self.name!r}: `penstock serve` makes one")
        return state

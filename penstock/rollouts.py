"""What stands behind `penstock rollout`, `penstock rollback` and `penstock promote`.

    place = find_place(project, env="", app="taxi")
    change(place, "challenge", print, version="4")
    look(place, watcher())

A look is a run of the pipeline `rollout`. What people do by hand is done at once, in the control stack.
"""

import getpass
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.control_stack import ask_control
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.project import Project

if TYPE_CHECKING:
    from penstock.local.account import Watcher

PIPELINE = "rollout"
MODULE = "penstock.components.rollout_control.by_hand"
LOCAL = "local"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A model, and where it is served."""

    project: Project
    environment: Environment
    app: str
    model: str
    target: Mapping[str, Any]
    registry_uri: str

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.target["kind"] == LOCAL

    @property
    def endpoint(self) -> Path:
        """The local endpoint's folder."""
        return Path(self.target["folder"]) / self.model


@dataclass(frozen=True)
class Look:
    """What one look at a rollout came to.

    Attributes:
        run: Id of the pipeline's run.
        decision: continue, advance, promote, rollback or stop; empty when there was nothing to judge.
        reasons: Sentences, the decisive one first.
        done: What was done, as a sentence.
        shares: Percent of the traffic by version.
        report: File of the report; empty without one.
        log: Where the step that failed wrote; empty when none did.
        error: Its sentence.
        exit_code: 0, or what the run ended with.
    """

    run: str
    decision: str = ""
    reasons: list[str] = field(default_factory=list)
    done: str = ""
    shares: dict[str, int] = field(default_factory=dict)
    report: str = ""
    log: str = ""
    error: str = ""
    exit_code: int = 0


def find_place(project: Project, env: str, app: str) -> Place:
    """Return where an app's model is served.

    Args:
        project: The project.
        env: Name of an environment; empty is this machine.
        app: Name or path; empty takes the sample, or the only one.

    Raises:
        UserError: There is no such environment or app, or the environment serves nothing.
    """
    from penstock.environments import load_environment
    from penstock.local.local_environment import local_environment
    from penstock.local_serving import model_name_of
    from penstock.run_command import default_app
    from penstock.serving_environment import serving_target

    environment = load_environment(project, env) if env else local_environment(project)
    app = app or default_app(project)
    model = model_name_of(project, app)
    target = serving_target(project, environment)
    return Place(project, environment, app, model, target, _registry_uri(project, environment))


def change(place: Place, action: str, tell: Tell, version: str = "", why: str = "") -> dict[str, Any]:
    """Do what a person asks for, and return {"done": sentence, "standing": {…}}.

    Args:
        place: Whose rollout it is.
        action: show, challenge, abort, rollback or promote.
        tell: Told when an environment must be made first.
        version: With challenge and promote.
        why: A sentence for the record.

    Raises:
        UserError: It cannot be done, with the reason.
    """
    arguments = [action, "--registry-uri", place.registry_uri, "--model", place.model]
    arguments += ["--target", json.dumps(place.target), "--version", version, "--by", _who(), "--why", why]
    return ask_control(place.project, MODULE, arguments, f"{action} of {place.model}", tell)


def check_running(place: Place) -> None:
    """Refuse what needs a local endpoint that runs; others are asked by the steps.

    Raises:
        UserError: It does not run.
    """
    from penstock.components.serving_targets.local_target import LocalTarget
    from penstock.local_serving import clear_errors

    if not place.is_local:
        return
    target = LocalTarget(place.endpoint)
    with clear_errors():
        running = target.exists() and target.state().running
    if not running:
        raise UserError(
            f"the endpoint {place.model} does not run on this machine: `penstock serve --app {place.app}` starts it"
        )


def look(place: Place, watcher: "Watcher", command: str = "") -> Look:
    """Run the pipeline on this machine: one evaluation, and what follows from it.

    Raises:
        UserError: Something is wrong before the first step.
    """
    from penstock.local.request import Request
    from penstock.local.runner import run_pipeline

    request = Request(place.project, PIPELINE, place.app, command=command)
    outcome = run_pipeline(request, watcher)
    run = outcome.run
    judged, shifted, deployed = (
        run.first(name) for name in ("analyze_rollout", "shift_traffic", "deploy_model")
    )
    page = judged.reports.get("report", "") if judged else ""
    stopped = run.stopped_at
    results = judged.results if judged else {}
    moved = shifted.results if shifted else {}
    return Look(
        run=run.id,
        decision=results.get("decision", ""),
        reasons=list(results.get("reasons") or []),
        done=moved.get("done", ""),
        shares=moved.get("shares") or (deployed.results.get("weights") if deployed else {}) or {},
        report=str(outcome.folder / page) if page else "",
        log=str(outcome.folder / stopped.log) if stopped and stopped.log else "",
        error=(stopped.error if stopped else "") or run.error,
        exit_code=outcome.exit_code,
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _registry_uri(project: Project, environment: Environment) -> str:
    """Return the registry as this machine reaches it: MLFLOW_TRACKING_URI wins.

    A cluster's own service (http://mlflow.kubeflow:5000) has no name here: the cluster tells its address.
    """
    found = os.environ.get("MLFLOW_TRACKING_URI") or environment.registry_uri or project.registry_uri
    parts = urlsplit(found)
    name, _, namespace = (parts.hostname or "").partition(".")
    in_cluster = environment.backend == "kfp" and namespace.split(".")[0] == environment.namespace
    if found != environment.registry_uri or not in_cluster:
        return found
    from penstock.store_access import service_host

    return found.replace(str(parts.hostname), service_host(environment, name), 1)

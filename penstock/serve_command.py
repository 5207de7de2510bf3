"""`penstock serve`: a model behind a port of this machine."""

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import UserError

if TYPE_CHECKING:
    from penstock.components.serving_targets.local_target import LocalTarget
    from penstock.components.serving_targets.target import EndpointState
    from penstock.local_serving import Source
    from penstock.project import Project

LOOK_S = 0.5
PORTS_LOCK = ".ports.lock"
LONGEST_ANSWER = 500  # characters of the example's answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", short_help="Serve a model on this machine.")(serve)


def serve(
    app: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Whose model.  [default: taxi, or the only app]")
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            metavar="ALIAS|VERSION|FOLDER",
            help="champion, previous, challenger, a registered version, or a model folder.  [default: champion]",
        ),
    ] = "",
    port: Annotated[
        int,
        typer.Option(
            help="For REST and gRPC.  [default: 8080, or the next that no other endpoint has]",
            show_default=False,
        ),
    ] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.  [default: 127.0.0.1]")
    ] = "",
    replicas: Annotated[int, typer.Option(min=1, help="Processes of the version.")] = 2,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the endpoint.  [default: the model's]")] = "",
    log_sample: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests that are logged with their rows.")
    ] = 1.0,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what was served.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only see whether the port can be had.")] = False,
) -> None:
    """Serve a model over REST and gRPC behind one port, until Ctrl-C.

    What is served already changes to the model without a dropped request. What was killed is taken up; a rollout
    with all its versions and their shares of the traffic.

    \b
    Examples:
      penstock serve
      penstock serve --app churn --model 7 --port 9000
      penstock serve --detach; penstock endpoint show; penstock serve --stop
    \b
    In a request, the header x-model-version names a version; equal x-routing-key get the same one.
    """
    from penstock.local_serving import UNNAMED, clear_errors, model_name_of, open_endpoint
    from penstock.project import find_project
    from penstock.run_command import default_app

    project = find_project()
    if stop:
        _stop(project, name or (model_name_of(project, app) if app else ""))
        return
    of_folder = bool(model) and (Path(model).expanduser() / "model.json").is_file()
    served = UNNAMED if of_folder and not app else model_name_of(project, app or default_app(project))
    target = open_endpoint(project, name or served)
    with clear_errors():
        if check:
            _check_address(project, target, host, port)
            return
        _serve(project, target, served, model, port, host, replicas, log_sample, detach)


def _serve(
    project: "Project",
    target: "LocalTarget",
    served: str,
    model: str,
    port: int,
    host: str,
    replicas: int,
    log_sample: float,
    detach: bool,
) -> None:
    from penstock.components.model_registry.locks import file_lock
    from penstock.components.model_registry.names import CHAMPION
    from penstock.components.serving_targets.target import WHOLE, ModelVersion, shares_text
    from penstock.local_ports import choose_address
    from penstock.local_serving import endpoints_folder, find_model, prepare, replace_all

    before = target.state() if target.exists() else None
    if before is not None and before.running:
        _change(project, target, before, served, model, port, host, replicas)
        return
    source = None
    if before is None or not _goes_on(before) or model:
        source = find_model(project, served, model or CHAMPION, _tell)
        _check_folder(source)
    if before is not None and (source is None or before.weights == {source.version: WHOLE}):
        source = None
        words = f"{before.endpoint} as it was before its end ({shares_text(before.weights)})"
    else:
        assert source is not None
        words = f"{source.words} of {served}" if source.version != source.words else served
    prepare(project, target, log_sample, _tell)
    # Under a lock, so that of two that begin at the same moment each gets a port of its own.
    with file_lock(endpoints_folder(project) / PORTS_LOCK):
        address = choose_address(project, target.name, before, host, port)
        if before is not None and source is not None:
            target.stop(why="another model is served")
        target.create(*address)
        began = time.monotonic()
        _tell(f"starting {words}; logs: {_shown(target.folder / 'logs')}")
        target.start()
        target.ensure_running(with_me=not detach)
    try:
        if source is None:
            target.wait_until_ready()
        else:
            replace_all(target, ModelVersion(served, source.version, source.uri, replicas), "penstock serve")
        _tell(f"ready after {time.monotonic() - began:.0f} s")
        _show(target)
        if detach:
            print("It goes on in the background; `penstock serve --stop` ends it.")
            return
        print("Ctrl-C ends it.", flush=True)
    except BaseException:
        if source is not None or not detach:
            target.stop(why="it did not come up")
        raise
    _watch(target)


def _change(
    project: "Project",
    target: "LocalTarget",
    before: "EndpointState",
    served: str,
    model: str,
    port: int,
    host: str,
    replicas: int,
) -> None:
    """Bring a running endpoint to the model that is asked for; a rollout is left alone unless one is named."""
    from penstock.components.serving_targets.target import ModelVersion, shares_text
    from penstock.local_serving import find_model, replace_all

    _check_same(before, host, port)
    if len(before.weights) > 1 and not model:
        _tell(
            f"{before.endpoint} is served already, by {shares_text(before.weights)}; --model NAME would replace them"
        )
        _show(target)
        return
    source = find_model(project, served, model or "champion", _tell)
    _check_folder(source)
    if before.weights == {source.version: 100}:
        _tell(f"{before.endpoint} is served already")
    else:
        _tell(f"changing {before.endpoint} to {source.words}")
        replace_all(target, ModelVersion(served, source.version, source.uri, replicas), "penstock serve")
    _show(target)


def _goes_on(before: "EndpointState") -> bool:
    """Tell whether what was killed goes on whoever is champion now: a rollout, or a model of no registry."""
    divided = len(before.weights) > 1 or before.shadow is not None
    return divided or any(not version.isdecimal() for version in before.weights)


def _check_address(project: "Project", target: "LocalTarget", host: str, port: int) -> None:
    """See whether an endpoint that runs is at this address, or one that does not could be."""
    from penstock.local_ports import choose_address

    before = target.state() if target.exists() else None
    if before is not None and before.running:
        _check_same(before, host, port)
    else:
        choose_address(project, target.name, before, host, port)


def _check_same(before: "EndpointState", host: str, port: int) -> None:
    if (port and not before.url.endswith(f":{port}")) or (host and f"//{host}:" not in before.url):
        raise UserError(
            f"{before.endpoint} is served at {before.url} already: end it first (`penstock serve --stop`), or "
            "serve under another name (--name)"
        )


def _check_folder(source: "Source") -> None:
    """Refuse a model folder that cannot be read before anything is started for it."""
    from penstock.components.serving_model.folder import ModelFolder

    ModelFolder.read(Path(source.uri))


def _show(target: "LocalTarget") -> None:
    """Print where the endpoint is, and a request that was just answered."""
    from penstock.components.serving_targets.target import shares_text
    from penstock.local_serving import ask
    from penstock.serving_example import curl_line, example_body, predict_url

    state = target.state()
    whole = next((version for version, weight in state.weights.items() if weight == 100), "")
    traffic = f"all traffic to version {whole}" if whole else f"traffic {shares_text(state.weights)}"
    print(f"{state.endpoint} is served at {state.url} (REST and gRPC), {traffic}")
    first = state.versions[next(iter(state.weights))]
    body = example_body(Path(first.uri))
    status, answer = ask(predict_url(state.url, first.model), body)
    if status != 200:
        _tell(f"the example request was answered with {status}: {str(answer)[:LONGEST_ANSWER]}")
    print(f"Try it:\n  {curl_line(state.url, first.model, body, target.folder / 'example.json')}")
    if status == 200:
        import json

        text = json.dumps(answer, ensure_ascii=False)
        print(f"  {text[:LONGEST_ANSWER]}{'…' if len(text) > LONGEST_ANSWER else ''}")
    print(f"Requests are logged in {_shown(target.folder / 'requests')}.", flush=True)


def _watch(target: "LocalTarget") -> None:
    """Tell what changes until Ctrl-C, or until somebody else ends it."""
    from penstock.components.serving_targets.target import shares_text
    from penstock.local.processes import stop_on_signals

    before = target.state()
    try:
        with stop_on_signals(lambda: None):
            while True:
                time.sleep(LOOK_S)
                state = target.state()
                if not state.running:
                    if not state.versions:
                        _tell("it was stopped")
                        return
                    _tell("its supervisor has ended; it is started again")
                    target.ensure_running(with_me=True)
                    target.wait_until_ready()
                for version, found in state.versions.items():
                    known = before.versions.get(version)
                    if known and found.restarts > known.restarts:
                        _tell(
                            f"a process of version {version} {found.problem or 'died and was started again'}"
                        )
                    elif known is None:
                        _tell(f"version {version} is being deployed")
                for version in before.versions.keys() - state.versions.keys():
                    _tell(f"version {version} was undeployed")
                if state.weights != before.weights:
                    _tell(f"traffic: {shares_text(state.weights)}")
                before = state
    except KeyboardInterrupt:
        _tell("stopping; requests in flight end first")
        target.stop(why="Ctrl-C")
        _tell("stopped")


def _stop(project: "Project", name: str) -> None:
    from penstock.local_serving import clear_errors, endpoint_names, known_endpoint, running_endpoints

    if not name:
        running = running_endpoints(project)
        if len(running) > 1:
            raise UserError(f"say which: --stop --name {' or --name '.join(running)}")
        if not running and endpoint_names(project):
            print("nothing is served")
            return
    with clear_errors(), contextlib.suppress(KeyboardInterrupt):
        target = known_endpoint(project, name)
        if target.stop(why="penstock serve --stop"):
            print(f"stopped {target.name}")
        else:
            print(f"{target.name} does not run")


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

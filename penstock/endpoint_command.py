"""The commands `penstock endpoint show|history`."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from penstock.project import Project

LOOK = "penstock.components.serving_targets.look"

app = typer.Typer(help="Look at what is served, here or elsewhere.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="[NAME]", help="An endpoint; default: the only one that runs.")
]
EnvOption = Annotated[
    str,
    typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.  [default: this machine]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("show", short_help="Show versions, traffic and health.")
def show(name: NameArgument = "", env: EnvOption = "", as_json: JsonOption = False) -> None:
    """Show an endpoint: its versions, who has how much of the traffic, and how they are.

    \b
    Examples:
      penstock endpoint show taxi
      penstock endpoint show taxi --env test
    """
    from penstock.local.text_table import table

    state = _look(name, env)["state"]
    if as_json:
        typer.echo(json.dumps(state, ensure_ascii=False, indent=1))
        return
    standing = f"at {state['url']}" if state["running"] else "not running (`penstock serve` starts it)"
    if env and not state["running"]:
        standing = f"not running in the environment {env} (`penstock rollout start --env {env}` deploys)"
    typer.echo(f"{state['endpoint']}: {standing}, revision {state['revision']}")
    if not state["versions"]:
        typer.echo("no version is deployed")
        return
    rows = []
    for version, found in state["versions"].items():
        traffic = f"{state['weights'].get(version, 0)} %"
        if state["shadow"] and state["shadow"]["version"] == version:
            traffic += f", copy of {state['shadow']['percent']} %"
        ready = f"{found['ready']} of {found['replicas']}"
        rows.append([version, traffic, ready, str(found["restarts"]), found["uri"], found["problem"]])
    head = ["version", "traffic", "ready", "restarts", "model", "problem"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    typer.echo(table(head, rows, widest=100))


@app.command("history", short_help="Show who changed what, when and why.")
def history(
    name: NameArgument = "",
    last: Annotated[int, typer.Option("--last", min=1, help="So many changes.")] = 20,
    env: EnvOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show who changed an endpoint, when, why, and what the traffic was after it.

    Example: penstock endpoint history taxi
    """
    from penstock.components.serving_targets.target import shares_text
    from penstock.local.text_table import table

    changes = _look(name, env)["changes"][-last:]
    if as_json:
        typer.echo(json.dumps(changes, ensure_ascii=False, indent=1))
        return
    rows = []
    for change in changes:
        after = change["after"]
        traffic = shares_text(after["weights"])
        if shadow := after["shadow"]:
            traffic += f"; copy of {shadow['percent']} % to {shadow['version']}"
        versions = ", ".join(after["versions"]) or "none"
        time = change["time"][:19].replace("T", " ")
        row = [str(change["revision"]), time, change["action"], versions, traffic, change["by"]]
        rows.append([*row, change["why"]])
    head = ["revision", "time (UTC)", "change", "versions after", "traffic after", "by", "why"]
    typer.echo(table(head, rows))


def _look(name: str, env: str) -> dict[str, Any]:
    """Return {"state": {…}, "changes": […]} of an endpoint, here or elsewhere."""
    from penstock.project import find_project

    project = find_project()
    if env:
        return _look_elsewhere(project, name, env)
    from penstock.local_serving import clear_errors, known_endpoint

    with clear_errors():
        target = known_endpoint(project, name)
        state, changes = target.state(), target.history()
    return {"state": dataclasses.asdict(state), "changes": [dataclasses.asdict(one) for one in changes]}


def _look_elsewhere(project: "Project", name: str, env: str) -> dict[str, Any]:
    from penstock.control_stack import ask_control
    from penstock.environments import load_environment
    from penstock.local_serving import model_name_of
    from penstock.run_command import default_app
    from penstock.serving_environment import serving_target

    target = serving_target(project, load_environment(project, env))
    endpoint = name or model_name_of(project, default_app(project))
    arguments = ["--target", json.dumps(target), "--endpoint", endpoint]

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return ask_control(project, LOOK, arguments, f"looking at the endpoint {endpoint}", tell)

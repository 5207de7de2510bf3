"""The commands `penstock endpoint show|history`."""

import dataclasses
import json
from typing import Annotated

import typer

app = typer.Typer(help="Look at what is served on this machine.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="[NAME]", help="An endpoint; default: the only one that runs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("show", short_help="Show versions, traffic and health.")
def show(name: NameArgument = "", as_json: JsonOption = False) -> None:
    """Show an endpoint: its versions, who has how much of the traffic, and how they are.

    Example: penstock endpoint show taxi
    """
    from penstock.local.text_table import table
    from penstock.local_serving import clear_errors, known_endpoint
    from penstock.project import find_project

    with clear_errors():
        state = known_endpoint(find_project(), name).state()
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(state), ensure_ascii=False, indent=1))
        return
    standing = f"at {state.url}" if state.running else "not running (`penstock serve` starts it)"
    typer.echo(f"{state.endpoint}: {standing}, revision {state.revision}")
    if not state.versions:
        typer.echo("no version is deployed")
        return
    rows = []
    for version, found in state.versions.items():
        traffic = f"{state.weights.get(version, 0)} %"
        if state.shadow and state.shadow.version == version:
            traffic += f", copy of {state.shadow.percent} %"
        ready = f"{found.ready} of {found.replicas}"
        rows.append([version, traffic, ready, str(found.restarts), found.uri, found.problem])
    head = ["version", "traffic", "ready", "restarts", "model", "problem"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    typer.echo(table(head, rows, widest=100))


@app.command("history", short_help="Show who changed what, when and why.")
def history(
    name: NameArgument = "",
    last: Annotated[int, typer.Option("--last", min=1, help="So many changes.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show who changed an endpoint, when, why, and what the traffic was after it.

    Example: penstock endpoint history taxi
    """
    from penstock.components.serving_targets.target import shares_text
    from penstock.local.text_table import table
    from penstock.local_serving import clear_errors, known_endpoint
    from penstock.project import find_project

    with clear_errors():
        changes = known_endpoint(find_project(), name).history()[-last:]
    if as_json:
        typer.echo(
            json.dumps([dataclasses.asdict(change) for change in changes], ensure_ascii=False, indent=1)
        )
        return
    rows = []
    for change in changes:
        traffic = shares_text(change.after["weights"])
        if shadow := change.after["shadow"]:
            traffic += f"; copy of {shadow['percent']} % to {shadow['version']}"
        versions = ", ".join(change.after["versions"]) or "none"
        time = change.time[:19].replace("T", " ")
        rows.append([str(change.revision), time, change.action, versions, traffic, change.by, change.why])
    head = ["revision", "time (UTC)", "change", "versions after", "traffic after", "by", "why"]
    typer.echo(table(head, rows))

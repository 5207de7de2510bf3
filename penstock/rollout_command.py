"""The commands `penstock rollout start|status|advance|abort`, `penstock rollback` and `penstock promote`."""

import dataclasses
import json
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import UserError
from penstock.project import find_project

if TYPE_CHECKING:
    from penstock.rollouts import Look, Place

ABOUT = "Roll a new version out, one look at a time."
commands = typer.Typer(help=ABOUT, no_args_is_help=True)

ROLLED_BACK = 3  # exit code: the challenger was found to do harm

App = Annotated[str, typer.Option(metavar="NAME|PATH", help="Whose model.  [default: taxi, or the only app]")]
Env = Annotated[
    str,
    typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.  [default: this machine]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]
Wait = Annotated[bool, typer.Option("--wait", help="On a cluster: show how the look goes, until it ends.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="rollout", short_help=ABOUT)
    app.command("rollback", short_help="Return to the version that was good, at once.")(rollback)
    app.command("promote", short_help="Make a registered version the champion by hand.")(promote)


@commands.command("start", short_help="Give a version its first share of the traffic.")
def start(
    app: App = "",
    version: Annotated[
        str, typer.Option(metavar="NUMBER", help="Of the registry.  [default: the challenger, or the newest]")
    ] = "",
    env: Env = "",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the challenger, deploy it beside the champion, and give it its first share of the traffic.

    The section `rollout` of app.yaml says how (docs/rollouts.md). What comes then is `penstock rollout advance`,
    again and again, by hand or by a schedule of the pipeline `rollout`.

    \b
    Examples:
      penstock rollout start
      penstock rollout start --app churn --version 7
    """
    from penstock.rollouts import change, check_running, find_place

    place = find_place(find_project(), env, app)
    check_running(place)
    done = change(place, "challenge", _tell, version)["done"]
    _tell(done)
    _advance(place, wait, as_json)


@commands.command("advance", short_help="Look once, and do what follows from it.")
def advance(app: App = "", env: Env = "", wait: Wait = False, as_json: AsJson = False) -> None:
    """Judge the challenger by the request logs so far; then wait, give it more traffic, promote it or roll it back.

    It is one run of the pipeline `rollout`. It can be repeated at any time, also after a kill: each look reads
    anew where the rollout stands. Of a rollback and an advance at the same moment, the rollback holds.

    \b
    Exit codes:
      0    done: the rollout goes on, has ended with a promotion, or there is none
      1    a bug
      2    input or configuration cannot be read, or a version does not start
      3    the challenger does harm and was rolled back
      130  Ctrl-C
    """
    from penstock.rollouts import check_running, find_place

    place = find_place(find_project(), env, app)
    check_running(place)
    _advance(place, wait, as_json)


@commands.command("status", short_help="Show where it stands.")
def status(app: App = "", env: Env = "", as_json: AsJson = False) -> None:
    """Show versions, their shares of the traffic, since when, and what was decided last and why.

    Example: penstock rollout status --app churn
    """
    from penstock.rollouts import change, find_place

    place = find_place(find_project(), env, app)
    standing = change(place, "show", _tell)["standing"]
    if as_json:
        print(json.dumps(standing, indent=1, ensure_ascii=False))
        return
    from penstock.rollout_text import status_lines

    starts = "penstock serve" if place.is_local else f"penstock rollout start --env {env}"
    print("\n".join(status_lines(standing, starts)))


@commands.command("abort", short_help="Take the challenger's traffic away.")
def abort(app: App = "", env: Env = "", why: Why = "aborted by hand", as_json: AsJson = False) -> None:
    """End a rollout: the champion has all traffic again, the version is not rolled out again by itself.

    Example: penstock rollout abort --why 'the campaign is over'
    """
    _at_once("abort", app, env, why, as_json)


def rollback(app: App = "", env: Env = "", why: Why = "rolled back by hand", as_json: AsJson = False) -> None:
    """Return to the version that was good, in seconds: traffic first, then the registry's aliases.

    A challenger in the traffic loses it. Without one, the previous champion gets all traffic and is champion again.

    \b
    Examples:
      penstock rollback
      penstock rollback --app churn --env prod --why 'complaints from the call centre'
    """
    _at_once("rollback", app, env, why, as_json)


def promote(
    version: Annotated[str, typer.Option(metavar="NUMBER", help="Of the registry.")],
    app: App = "",
    env: Env = "",
    why: Why = "promoted by hand",
    as_json: AsJson = False,
) -> None:
    """Make a registered version the champion, whatever was measured; where the model is served, traffic first.

    Example: penstock promote --version 7 --why 'restores the model of last week'
    """
    _at_once("promote", app, env, why, as_json, version)


def _at_once(action: str, app: str, env: str, why: str, as_json: bool, version: str = "") -> None:
    from penstock.rollouts import change, find_place

    found = change(find_place(find_project(), env, app), action, _tell, version, why)
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else found["done"])


def _advance(place: "Place", wait: bool, as_json: bool) -> None:
    """Look once, on this machine or on a cluster; the exit code says how it ended."""
    if place.environment.backend != "local":
        raise typer.Exit(_submit(place, wait))
    from penstock.local.progress import watcher
    from penstock.rollout_text import look_lines
    from penstock.rollouts import look

    found = look(place, watcher(), shlex.join(["penstock", *sys.argv[1:]]))
    if found.exit_code:
        _fail(found)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        print("\n".join(look_lines(found, place.model)))
    raise typer.Exit(ROLLED_BACK if found.decision == "rollback" else 0)


def _fail(found: "Look") -> None:
    """Say why a look came to nothing.

    Raises:
        typer.Exit: Always.
    """
    where = f"; its log: {found.log}" if found.log and found.exit_code != UserError.exit_code else ""
    _tell(f"penstock: {found.error or f'the run {found.run} did not end well'}{where}")
    raise typer.Exit(found.exit_code)


def _submit(place: "Place", wait: bool) -> int:
    from penstock.delivery import check_backend, deliver
    from penstock.kfp_backend.client import connect
    from penstock.kfp_backend.submission import submit
    from penstock.rollouts import PIPELINE

    check_backend(place.environment)
    backend = connect(place.environment)
    delivery = deliver(place.project, place.environment, PIPELINE, place.app, publish=False)
    run: Any = submit(backend, delivery, again=True)
    print(f"look {run.name} is started\n{backend.run_url(run.run_id)}")
    if not wait:
        print(f"follow it with: penstock runs show {run.run_id} --env {place.environment.name} --wait")
        return 0
    from penstock.remote_runs import wait_for_run

    return wait_for_run(place.environment, run.run_id)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

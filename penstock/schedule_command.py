"""`penstock schedule`: the recurring runs of an environment, kept as its file declares them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import UserError
from penstock.project import find_project

if TYPE_CHECKING:
    from penstock.environment_models import Environment
    from penstock.project import Project

ABOUT = "Keep the recurring runs of an environment as its file declares them."
commands = typer.Typer(help=ABOUT, no_args_is_help=True)

Env = Annotated[str, typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Lock = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Digests of the images.  [default: images.lock.json]")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="schedule", short_help=ABOUT)


@commands.command("plan", short_help="Show what apply would do.")
def plan(env: Env, as_json: AsJson = False, lock: Lock = None) -> None:
    """Show how the recurring runs on the cluster differ from those that are declared; change nothing.

    A schedule runs the pipeline, the images and the app as they were when it was applied: those that have changed
    since are shown, too.
    """
    project, environment = _load(env)
    if environment.backend == "vertex":
        from penstock.schedules.vertex import vertex_json, vertex_lines

        print(vertex_json(environment) if as_json else "\n".join(vertex_lines(environment)))
        return
    from penstock.kfp_backend.client import connect
    from penstock.schedules.apply import plan as make_plan
    from penstock.schedules.text import plan_json, plan_lines
    from penstock.schedules.zones import find_zone

    changes = make_plan(project, environment, connect(environment), lock)
    if as_json:
        print(plan_json(environment.name, changes, is_done=False))
        return
    print("\n".join(plan_lines(changes, find_zone(environment.cron_time_zone))))


@commands.command("apply", short_help="Make them so.")
def apply(env: Env, as_json: AsJson = False, lock: Lock = None) -> None:
    """Make the recurring runs on the cluster what is declared: new ones, changed ones, none that is declared no more.

    Doing it again changes nothing. A changed schedule is replaced so that each firing happens once; this may wait a
    minute for a firing that is just beginning. Recurring runs that others made are never touched.
    """
    from penstock.kfp_backend.client import connect
    from penstock.schedules.apply import carry_out
    from penstock.schedules.apply import plan as make_plan
    from penstock.schedules.text import plan_json, plan_lines
    from penstock.schedules.zones import find_zone

    project, environment = _load(env)
    backend = connect(environment)
    changes = make_plan(project, environment, backend, lock)
    for line in plan_lines(changes, find_zone(environment.cron_time_zone)):
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)
    is_done = carry_out(backend, changes, _say)
    if as_json:
        print(plan_json(environment.name, changes, is_done=True))
    elif is_done:
        print(f"done: the recurring runs of {environment.name} are as declared")
    else:
        print("done, but for what waits for its run to end: apply again then")


@commands.command("delete", short_help="Delete recurring runs, after asking.")
def delete(
    env: Env,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Schedules.  [default: all of this environment]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete recurring runs that were made for an environment, after asking. Those that others made stay.

    One whose run has not ended is switched off only, since KFP would end the run along: delete it again later.
    """
    from penstock.kfp_backend.client import connect
    from penstock.nearest import did_you_mean
    from penstock.schedules.changeover import Clock, retire
    from penstock.schedules.recurring_runs import list_ours
    from penstock.schedules.zones import find_zone

    _, environment = _load(env)
    backend = connect(environment)
    ours = list_ours(backend)
    known = {one.name for one in ours}
    for name in names or []:
        if name not in known:
            there = f"there are: {', '.join(sorted(known))}" if known else "there are none"
            raise UserError(
                f"no recurring run on {backend.host} is a schedule {name!r} of {environment.name}"
                f"{did_you_mean(name, known)} ({there})"
            )
    chosen = [one for one in ours if not names or one.name in names]
    if not chosen:
        print("nothing to delete")
        return
    for one in chosen:
        print(f"goes: {one.name} ({one.id})", file=sys.stderr)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("there is nobody to ask: say --yes")
        if not typer.confirm(f"Delete these {len(chosen)} from {backend.host}?", err=True):
            print("nothing was deleted")
            return
    zone = find_zone(environment.cron_time_zone)
    clock = Clock()
    gone = sum(retire(backend, one, zone, _say, clock) for one in chosen)
    print(f"deleted {gone} of {len(chosen)}")
    if gone < len(chosen):
        print("the others fire no more: delete them when their runs have ended")


def _load(env: str) -> tuple["Project", "Environment"]:
    """Return the project and its environment, which is not this machine."""
    from penstock.environments import load_environment

    project = find_project()
    environment = load_environment(project, env)
    if environment.backend == "local":
        raise UserError(
            f"the environment {environment.name} is this machine, where nothing fires schedules: `penstock run` runs now"
        )
    return project, environment


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)

"""`penstock runs`: look at runs, compare them, read their logs; cancel or retry those on a cluster."""

import dataclasses
import itertools
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import find_project

if TYPE_CHECKING:
    from penstock.environment_models import Environment

ABOUT = "Look at runs, read their logs, cancel and retry them."
commands = typer.Typer(help=f"{ABOUT} Without --env: the runs of this machine.", no_args_is_help=True)

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, a unique part of it, or `latest`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Env = Annotated[
    str,
    typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.  [default: this machine]"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="runs", short_help=ABOUT)


@commands.command("list")
def list_runs(
    most: Annotated[int, typer.Option("-n", min=1, help="Show this many, newest first.")] = 20,
    env: Env = "",
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    if environment := _cluster(env):
        from penstock.remote_runs import show_list

        show_list(environment, most, as_json)
        return
    from penstock.components.html_report.numbers import duration
    from penstock.local.runs import read_run, run_folders
    from penstock.local.summary import key_metrics
    from penstock.local.text_table import table

    folders = run_folders(find_project())
    runs = []
    for folder in folders[:most]:
        try:
            runs.append(read_run(folder))
        except UserError as error:
            print(f"penstock: {error}", file=sys.stderr)
    if as_json:
        fields = ("id", "pipeline", "app", "state", "started", "ended", "command")
        print(json.dumps([{name: getattr(run, name) for name in fields} for run in runs], indent=1))
        return
    if not runs:
        print("no runs yet: start one with `penstock run`")
        return
    rows = []
    for run in runs:
        metrics = key_metrics(run, 1)
        stopped = run.stopped_at
        said = str(metrics[0]) if metrics else f"at {stopped.title}" if stopped else ""
        rows.append([run.id, run.pipeline, run.app, run.state, duration(run.seconds), said])
    print(table(["run", "pipeline", "app", "state", "took", ""], rows))
    if len(folders) > most:
        print(f"({len(folders) - most} more: penstock runs list -n {len(folders)})", file=sys.stderr)


@commands.command("show", short_help="Show a run: steps, verdicts, metrics, what stopped it.")
def show(
    run: RunName = "latest",
    env: Env = "",
    as_json: AsJson = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --env: show how it goes, until it ends, with its exit code.")
    ] = False,
) -> None:
    """Show a run: its steps, verdicts and metrics, what stopped it, and where its report is."""
    if environment := _cluster(env):
        from penstock.remote_runs import show_run, wait_for_run

        if wait:
            raise typer.Exit(wait_for_run(environment, run))
        show_run(environment, run, as_json)
        return
    if wait:
        raise UserError(
            "--wait is for runs on a cluster, name one with --env: a local run shows how it goes itself"
        )
    from penstock.components.html_report.numbers import duration
    from penstock.local.progress import SYMBOLS, note
    from penstock.local.runs import find_run, read_run
    from penstock.local.summary import summary
    from penstock.local.text_table import table

    folder = find_run(find_project(), run)
    found = read_run(folder)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
        return
    rows = [
        [
            f"{SYMBOLS[step.state]} {step.title}",
            step.state,
            duration(step.seconds) if step.seconds is not None and step.state != "cached" else "",
            f"{step.peak_mib:,.0f} MiB" if step.peak_mib else "",
            note(step),
        ]
        for step in found.steps
    ]
    print(table(["step", "state", "took", "memory", ""], rows, widest=70))
    print()
    print(summary(found, folder))


@commands.command("compare", short_help="Show what differs between two runs.")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run: id, a unique part of it, or `latest`.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another run.")] = "latest",
    as_json: AsJson = False,
) -> None:
    """Show what differs between two runs: parameters, data, code, verdicts, metrics."""
    from penstock.local.compare import differences
    from penstock.local.runs import find_run, read_run
    from penstock.local.text_table import table

    project = find_project()
    runs = [read_run(find_run(project, name)) for name in (first, second)]
    found = differences(*runs)
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1, ensure_ascii=False))
        return
    if not found:
        print(f"{runs[0].id} and {runs[1].id} do not differ")
        return
    rows = [[one.kind, one.name, one.first, one.second] for one in found]
    for previous, row in reversed(list(itertools.pairwise(rows))):
        if previous[0] == row[0]:
            row[0] = ""
    print(table(["", "", runs[0].id, runs[1].id], rows, widest=40))


@commands.command("logs", short_help="Print the log of a step.")
def logs(
    run: RunName = "latest",
    step: Annotated[str, typer.Argument(help="Task or step; empty takes the one that ended the run.")] = "",
    env: Env = "",
) -> None:
    """Print the log of a step: by default of the step that failed, else of all steps."""
    if environment := _cluster(env):
        from penstock.remote_runs import show_logs

        show_logs(environment, run, step)
        return
    from penstock.local.runs import find_run, read_run

    folder = find_run(find_project(), run)
    found = read_run(folder)
    logged = [one for one in found.steps if one.log]
    if step:
        wanted = [one for one in logged if step in (one.task, one.title, one.step)]
        if not wanted:
            names = [one.task for one in logged]
            raise UserError(
                f"the run {found.id} has no log of a step {step!r}{did_you_mean(step, names)} "
                f"(there are: {', '.join(names)}; a step from the cache has its log in the run that computed it)"
            )
    else:
        wanted = [found.stopped_at] if found.stopped_at and found.stopped_at.log else logged
    for one in wanted:
        if len(wanted) > 1:
            print(f"== {one.title}", flush=True)
        text = (folder / one.log).read_text(encoding="utf-8", errors="replace")
        print(text, end="" if text.endswith("\n") else "\n")


@commands.command("cancel", short_help="End a run on a cluster, and remember why.")
def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id or name of a run, or a unique part of it.")],
    env: Env = "",
    why: Annotated[
        str, typer.Option("--why", metavar="TEXT", help="The reason, for those who look later.")
    ] = "",
) -> None:
    """End a run on a cluster. Who did it and why is kept beside its artifacts; its exit handler still runs.

    Example: penstock runs cancel training-taxi --env test --why "wrong window"
    """
    environment = _cluster(env)
    if environment is None:
        raise UserError(
            "a local run ends with Ctrl-C in its terminal: `penstock runs cancel` is for clusters, name one with --env"
        )
    from penstock.remote_runs import cancel_run

    cancel_run(environment, run, why)


@commands.command("retry", short_help="Let a failed run on a cluster go on.")
def retry(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id or name of a run, or a unique part of it.")],
    env: Env = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show how it goes, until it ends.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Retry a run that a gate blocked, too.")] = False,
) -> None:
    """Let a failed or cancelled run on a cluster go on with the step that failed, with the inputs that it had.

    Its end is told as that of any run, without this machine: a second small run on the cluster waits for it.

    Example: penstock runs retry training-taxi --env test --wait
    """
    environment = _cluster(env)
    if environment is None:
        raise UserError(
            "a local run goes on when its `penstock run` is typed again: `penstock runs retry` is for clusters, "
            "name one with --env"
        )
    from penstock.remote_runs import retry_run

    raise typer.Exit(retry_run(find_project(), environment, run, wait, force))


def _cluster(env: str) -> "Environment | None":
    """Return the environment of that name when it is not this machine."""
    if not env:
        return None
    from penstock.environments import load_environment

    environment = load_environment(find_project(), env)
    return None if environment.backend == "local" else environment

"""`penstock runs`: look at local runs, compare them, read their logs."""

import dataclasses
import itertools
import json
import sys
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import find_project

commands = typer.Typer(help="Look at local runs, compare them, read their logs.", no_args_is_help=True)

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, a unique part of it, or `latest`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="runs", short_help="Look at local runs, compare them, read their logs.")


@commands.command("list")
def list_runs(
    most: Annotated[int, typer.Option("-n", min=1, help="Show this many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List local runs, newest first."""
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


@commands.command("show", short_help="Show a run: steps, verdicts, metrics, report.")
def show(run: RunName = "latest", as_json: AsJson = False) -> None:
    """Show a run: its steps, verdicts, metrics and where its report is."""
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
) -> None:
    """Print the log of a step: by default of the step that failed, else of all steps."""
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

"""`penstock run`: a pipeline on this machine."""

import dataclasses
import json
import shlex
import sys
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import find_project

RUNNERS = ("process",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of a file in pipelines/.")] = "training",
    app: Annotated[
        str, typer.Option(help="Name of a folder in apps/, or the path of an app's folder.")
    ] = "taxi",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of app.yaml; may be given again."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train even when nothing has changed.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step, reuse no outputs.")] = False,
    runner: Annotated[str, typer.Option(help="process: each step a process of its stack.")] = "process",
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json instead of the summary.")] = False,
) -> None:
    """Run a pipeline on this machine; what has not changed is reused.

    Exit codes: 0 done (or unchanged), 3 a gate blocks, 2 wrong input or configuration, 1 a bug, 130 Ctrl-C.
    The same command after a failure goes on with the step that had not finished.
    """
    from penstock.local.progress import watcher
    from penstock.local.runner import Request, run_pipeline
    from penstock.local.summary import summary

    if runner not in RUNNERS:
        raise UserError(f"--runner {runner!r} is unknown{did_you_mean(runner, RUNNERS)} (there is: process)")
    project = find_project()
    request = Request(
        project=project,
        pipeline=pipeline,
        app=app,
        overrides=settings or [],
        force=force,
        read_cache=not no_cache,
        command=shlex.join(["penstock", *sys.argv[1:]]),
    )
    outcome = run_pipeline(request, watcher())
    if as_json:
        print(json.dumps(dataclasses.asdict(outcome.run), indent=1, ensure_ascii=False, default=str))
    else:
        print(summary(outcome.run, outcome.folder))
    raise typer.Exit(outcome.exit_code)

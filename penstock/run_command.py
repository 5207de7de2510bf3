"""`penstock run`: a pipeline on this machine."""

import dataclasses
import json
import shlex
import sys
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project, find_project

SAMPLE = "taxi"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", short_help="Run a pipeline on this machine.")(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of a file in pipelines/.")] = "training",
    app: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help="A folder in apps/, or a path.  [default: taxi, or the only app]"
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of app.yaml; may be given again."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train even when nothing has changed.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step, reuse no outputs.")] = False,
    runner: Annotated[
        str,
        typer.Option(
            metavar="process|docker",
            help="process: each step in its stack. docker: in its image, as on a cluster.",
        ),
    ] = "process",
    memory: Annotated[
        str,
        typer.Option(
            metavar="QUANTITY", help="With docker: limit each step to this (4Gi), not as images.yaml says."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json instead of the summary.")] = False,
) -> None:
    """Run a pipeline on this machine; what has not changed is reused.

    After a failure the same command goes on with the step that had not finished.

    \b
    Examples:
      penstock run
      penstock run --app churn --set seed=1
      penstock run --set until=2016-01-01   a year more of the taxi trips
      penstock run --runner docker   in the images that `penstock images build` makes
    \b
    Exit codes:
      0    done, or nothing to do
      1    a bug (its traceback is in the log)
      2    input or configuration cannot be read
      3    a gate blocks: the data or the model is wrong
      130  Ctrl-C
    """
    from penstock.local.progress import watcher
    from penstock.local.request import DOCKER, RUNNERS, Request
    from penstock.local.runner import run_pipeline
    from penstock.local.summary import summary

    if runner not in RUNNERS:
        raise UserError(
            f"--runner {runner!r} is unknown{did_you_mean(runner, RUNNERS)} (there are: {', '.join(RUNNERS)})"
        )
    if memory and runner != DOCKER:
        raise UserError("--memory limits containers: give it with --runner docker")
    project = find_project()
    request = Request(
        project=project,
        pipeline=pipeline,
        app=app or default_app(project),
        overrides=settings or [],
        force=force,
        read_cache=not no_cache,
        runner=runner,
        memory=memory,
        command=shlex.join(["penstock", *sys.argv[1:]]),
    )
    outcome = run_pipeline(request, watcher())
    if as_json:
        print(json.dumps(dataclasses.asdict(outcome.run), indent=1, ensure_ascii=False, default=str))
    else:
        print(summary(outcome.run, outcome.folder))
    raise typer.Exit(outcome.exit_code)


def default_app(project: Project) -> str:
    """Return the app to run when none is named: the sample, or the only one.

    Raises:
        UserError: There is none, or a choice.
    """
    from penstock.app_config import app_names

    names = app_names(project)
    if SAMPLE in names:
        return SAMPLE
    if len(names) == 1:
        return names[0]
    if names:
        raise UserError(f"say which app to run: --app {' or --app '.join(names)}")
    raise UserError(f"there is no app in {project.apps} yet: `penstock app new --help` tells how to make one")

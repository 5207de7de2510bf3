"""`penstock clean`: remove what local runs left."""

import sys
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.project import find_project


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean", short_help="Remove what local runs left, after asking.")(clean)


def clean(
    runs: Annotated[
        bool, typer.Option("--runs", help="Run folders that neither cache nor registry needs.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="The cache: the next run computes all steps.")
    ] = False,
    envs: Annotated[
        bool, typer.Option("--envs", help="Environments of locks that have changed since.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Runs, cache and old environments.")] = False,
    registry: Annotated[
        bool, typer.Option("--registry", help="The local registry too, with all its models.")
    ] = False,
    keep: Annotated[int, typer.Option(min=0, metavar="N", help="Keep the N newest runs.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what local runs left, after asking. Registered models stay unless --registry is given."""
    from penstock.local.tidy import carry_out, tidy_plan

    if not (runs or cache or envs or everything or registry):
        raise UserError("say what to remove: --runs, --cache, --envs, --all (these three) or --registry")
    project = find_project()
    plan = tidy_plan(project, runs or everything, cache or everything, envs or everything, registry, keep)
    for path, reason in plan.keep.items():
        print(f"stays: {path.relative_to(project.state)}: {reason}", file=sys.stderr)
    if not plan.remove:
        print("nothing to remove")
        return
    for path in plan.remove:
        print(f"goes:  {path.relative_to(project.state)}", file=sys.stderr)
    question = f"Remove these {len(plan.remove)} ({plan.size_bytes / 2**20:,.0f} MiB) from {project.state}?"
    if not yes and not typer.confirm(question, err=True):
        print("nothing was removed")
        return
    carry_out(plan, project)
    print(f"removed {len(plan.remove)} from {project.state}")

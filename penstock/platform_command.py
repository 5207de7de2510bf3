"""`penstock platform`: the Kubernetes objects that an environment's runs need."""

from typing import Annotated

import typer

from penstock.project import find_project

commands = typer.Typer(
    help="Apply the Kubernetes objects that an environment's runs need.", no_args_is_help=True
)
Env = Annotated[str, typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(
        commands, name="platform", short_help="Apply the Kubernetes objects that an environment's runs need."
    )


@commands.command("apply", short_help="Apply the environment's manifests, and wait until they serve.")
def apply(
    env: Env,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the API server check them; change nothing.")
    ] = False,
) -> None:
    """Apply the environment's manifests by server-side apply, and wait until its deployments serve.

    What is there already stays; doing it again changes nothing. Objects that are no longer declared are left.
    """
    from penstock.environments import load_environment
    from penstock.platform import apply_platform

    project = find_project()
    environment = load_environment(project, env)
    if not environment.platform:
        print(f"{env} declares no manifests (`platform`): nothing to apply")
        return
    for line in apply_platform(project, environment, dry_run=dry_run):
        print(line, flush=True)

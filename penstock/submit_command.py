"""`penstock submit`: a pipeline run on a cluster; and `penstock app publish`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.app_command import app_commands
from penstock.project import find_project

if TYPE_CHECKING:
    from penstock.environment_models import Environment
    from penstock.kfp_backend.client import Backend
    from penstock.kfp_backend.submission import Submitted

Env = Annotated[str, typer.Option("--env", metavar="NAME", help="A file in manifests/environments/.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("submit", short_help="Run a pipeline on a cluster.")(submit)
    app_commands.command("publish", short_help="Upload an app to the pipeline root.")(publish)


def submit(
    env: Env,
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
    wait: Annotated[bool, typer.Option("--wait", help="Show how it goes, until it ends.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step, reuse no outputs.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="A new run, which trains even when nothing has changed.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="A new run even where one of the same name succeeded.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")
    ] = False,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="With --dry-run: the uploaded copy on stdout.")
    ] = False,
    lock: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Digests of the images.  [default: images.lock.json]")
    ] = None,
) -> None:
    """Run a pipeline on the cluster of an environment.

    The run is named by all that it is made of: code, images, app, data of this machine, settings. A run of that
    name that is active or has succeeded is shown instead of a second one; after one that failed comes a new one.
    Data at a URI are not looked at here: use --again when only they have changed.

    \b
    Examples:
      penstock submit --env test --wait
      penstock submit training --app churn --env test --set seed=1
      penstock submit --env test --dry-run --yaml > uploaded.yaml
    \b
    Exit codes, of the run with --wait:
      0    started; with --wait: succeeded, or nothing to do
      1    a bug, or the cluster ended a step
      2    input or configuration cannot be read
      3    a gate blocks: the data or the model is wrong
      130  Ctrl-C: the run goes on
    """
    from penstock.delivery import check_backend, deliver
    from penstock.environments import load_environment
    from penstock.run_command import default_app

    project = find_project()
    environment = load_environment(project, env)
    check_backend(environment)
    backend = None if dry_run else _connect(environment)
    delivery = deliver(
        project,
        environment,
        pipeline,
        app or default_app(project),
        settings or [],
        cache=not no_cache,
        lock_path=lock,
        force=force,
        publish=False,
    )
    if backend is None:
        from penstock.delivery_summary import summary

        print(summary(delivery, environment), file=sys.stderr if as_yaml else sys.stdout)
        if as_yaml:
            print(delivery.text, end="")
        return
    from penstock.kfp_backend.submission import submit as submit_delivery

    found = submit_delivery(backend, delivery, again=again or force)
    _tell(found, backend, env, wait)
    if wait:
        from penstock.kfp_backend.watch import follow

        raise typer.Exit(follow(backend, found.run_id))


def publish(
    env: Env,
    app: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|PATH]", help="A folder in apps/, or a path.  [default: taxi, or the only app]"
        ),
    ] = "",
) -> None:
    """Upload an app to the pipeline root, where it is not there yet, and print where its parts are.

    `penstock submit` does it by itself. Each part lies under the hash of its content and never changes.

    Example: penstock app publish taxi --env test
    """
    from penstock.app_config import load_app
    from penstock.app_files import plan_publication
    from penstock.app_files import publish as publish_here
    from penstock.environments import load_environment
    from penstock.pipeline_root import PipelineRoot
    from penstock.run_command import default_app

    project = find_project()
    environment = load_environment(project, env)
    found = load_app(project, app or default_app(project))
    if environment.backend == "local":
        published = publish_here(found.folder, project.state, found.name, found.config.schema_file)
    else:
        root = PipelineRoot(environment)
        published, folders = plan_publication(found.folder, root, found.name, found.config.schema_file)
        new = sum(folder.upload() for folder in folders)
        print(f"{new} of {len(folders)} parts uploaded, the others were there", file=sys.stderr)
    for name in ("app_uri", "schema_uri", "code_uri"):
        print(f"{name}={getattr(published, name)}")


def _connect(environment: "Environment") -> "Backend":
    from penstock.kfp_backend.client import connect

    return connect(environment)


def _tell(found: "Submitted", backend: "Backend", env: str, wait: bool) -> None:
    """Say which run it is and where to see it."""
    if found.is_new:
        print(f"run {found.name} is started")
    else:
        print(f"run {found.name} is there already ({found.state.lower()}): --again makes a new one")
    print(backend.run_url(found.run_id))
    if not wait:
        print(f"follow it with: penstock runs show {found.run_id} --env {env} --wait")

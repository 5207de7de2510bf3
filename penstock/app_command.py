"""Commands about what a team brings, and about compiled pipelines: app new, validate-app, compile."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.project import Project, find_project

app_commands = typer.Typer(help="Make an app from a team's own data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(app_commands, name="app")
    app.command("validate-app")(validate_app)
    app.command("compile")(compile_pipelines)


@app_commands.command("new")
def new_app(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="A name (letters, digits, _ and -), or a folder's path."),
    ],
    source: Annotated[
        str, typer.Option(help="File, glob, directory or URI of CSV, JSON Lines or Parquet files.")
    ],
    label: Annotated[str, typer.Option(help="Column that the model learns to predict.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the source file into the app's folder data/.")
    ] = False,
) -> None:
    """Write apps/NAME/app.yaml, commented, for a source with a label column.

    Example: penstock app new churn --source ~/customers.csv --label churned
    """
    from penstock.app_template import write_app

    path = write_app(find_project(), name, source, label, copy)
    typer.echo(f"wrote {_relative(path)}")
    typer.echo("Next, draft the schema and review it, then check everything:")
    typer.echo(f"  penstock schema infer --app {name}")
    typer.echo(f"  penstock validate-app {name}")


def validate_app(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="Folders under apps/, or paths; default: all."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A pipeline parameter, as `penstock run` takes it."),
    ] = None,
) -> None:
    """Check app.yaml and the schema: all faults at once, or what a run would do.

    Example: penstock validate-app taxi --set until=2016-01-01
    """
    from penstock.app_config import app_names, load_app
    from penstock.app_summary import summary
    from penstock.app_yaml import AppError

    project = find_project()
    faults = []
    for name in names or app_names(project):
        try:
            app = load_app(project, name).with_overrides(set_ or [])
            typer.echo(summary(app, app.arguments()))
        except AppError as error:
            faults += error.faults
    if faults:
        raise AppError(faults)


def compile_pipelines(
    pipelines: Annotated[
        list[str] | None, typer.Argument(help="Names under pipelines/; default: all.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is stale.")
    ] = False,
    lock: Annotated[
        Path | None,
        typer.Option(
            "--lock",
            metavar="FILE",
            help="Write delivered/*.yaml instead, with the digests of images.lock.json.",
        ),
    ] = None,
) -> None:
    """Compile pipelines/*.py to pipelines/compiled/*.yaml, the same bytes on every machine.

    Example: penstock compile training --check
    """
    from penstock.compile_pipeline import compile_to_text, compiled_path, pipeline_names
    from penstock.written_files import write_or_compare

    project = find_project()
    if lock:
        if check:
            raise UserError(
                "--check compares the reviewed files, --lock writes delivered ones: give one of them"
            )
        _deliver(project, pipelines or pipeline_names(project), lock)
        return
    texts = {
        compiled_path(name, project): compile_to_text(name, project)
        for name in pipelines or pipeline_names(project)
    }
    if not pipelines:  # a pipeline that is gone leaves no compiled file
        folder = project.root / "pipelines" / "compiled"
        left = set(folder.glob("*.yaml")) - set(texts)
        if left and check:
            names = ", ".join(sorted(path.name for path in left))
            raise UserError(f"pipelines/compiled/ holds {names}, of which there is no pipeline: delete it")
        for path in left:
            path.unlink()
    if not write_or_compare(texts, project.root, check, make_target="compile"):
        raise typer.Exit(1)


def _deliver(project: Project, names: list[str], lock_file: Path) -> None:
    """Write the IR of each pipeline with digests for images; the reviewed files stay as they are."""
    from penstock.images.delivered import delivered_path, delivered_text
    from penstock.images.lock import read_lock
    from penstock.versions import Images
    from penstock.written_files import write_or_compare

    lock, images = read_lock(lock_file), Images(project)
    texts = {delivered_path(name, project): delivered_text(name, project, lock, images) for name in names}
    write_or_compare(texts, project.root, check=False, make_target="compile")


def _relative(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path

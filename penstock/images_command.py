"""`penstock images build|push|lock|sbom|sizes`: the images of the steps, by content."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import UserError
from penstock.project import Project, find_project

if TYPE_CHECKING:
    from penstock.images.engine import Engine
    from penstock.images.targets import Target
    from penstock.versions import Images

images_commands = typer.Typer(
    help="Build, push and lock the images of the steps; a tag is the hash of what an image is made of.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STEP]...", help="Steps and services of images/images.yaml; default: all."),
]
EnvironmentName = Annotated[
    str | None,
    typer.Option("--env", metavar="ENV", help="Take the registry of manifests/environments/ENV.yaml."),
]
RegistryName = Annotated[
    str | None, typer.Option("--registry", metavar="R", help="The registry, such as localhost:5000/penstock.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(images_commands, name="images")


@images_commands.command("build")
def build_images(
    names: Names = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Builds beside each other; default: the cores.")
    ] = None,
    env: EnvironmentName = None,
    registry: RegistryName = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Another name of the same base image, as on a mirror.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Build also what is there, from nothing.")] = False,
) -> None:
    """Build the images whose content changed; what is there, is left.

    With --env or --registry, what that registry holds counts as being there: a machine that begins with
    nothing builds only what changed.

    Example: penstock images build train_model gate
    """
    from penstock.images.build import build
    from penstock.images.engine import Engine
    from penstock.images.push import held_by

    project, _, targets = _targets(names)
    if env or registry:
        held = held_by(_registry(project, env, registry), targets)
        for target in targets:
            if target.name in held and not again:
                typer.echo(f"{target.reference} is in the registry")
        targets = [target for target in targets if again or target.name not in held]
    engine = Engine()
    with _ends_on_signals(engine):
        build(project, targets, engine, typer.echo, jobs, base, again)


@images_commands.command("push")
def push_images(names: Names = None, env: EnvironmentName = None, registry: RegistryName = None) -> None:
    """Push the images that the registry does not hold.

    Example: penstock images push --env test
    """
    from penstock.images.engine import Engine
    from penstock.images.push import push

    project, _, targets = _targets(names)
    engine = Engine()
    with _ends_on_signals(engine):
        push(project, targets, engine, _registry(project, env, registry), typer.echo)


@images_commands.command("lock")
def lock_images(
    env: EnvironmentName = None,
    registry: RegistryName = None,
    out: Annotated[Path | None, typer.Option("--out", help="Default: images.lock.json.")] = None,
) -> None:
    """Write the digest of each image, as the registry holds it, to images.lock.json.

    Example: penstock images lock --env test
    """
    from penstock.images.lock import lock_path, write_lock
    from penstock.images.push import locked
    from penstock.images.sizes import sizes_over_base

    project, _, targets = _targets(None)
    found = locked(targets, _registry(project, env, registry), sizes_over_base(project, targets))
    path = out or lock_path(project)
    changed = write_lock(path, found)
    typer.echo(f"{'wrote' if changed else 'unchanged:'} {path} ({len(found.images)} images)")


@images_commands.command("sbom")
def sbom_images(
    names: Names = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; default: delivered/sbom.")] = None,
) -> None:
    """Write what is in each image, Python and Debian packages, as <out>/<step>.cdx.json (CycloneDX 1.6).

    Example: penstock images sbom train_model
    """
    from penstock.images.engine import Engine
    from penstock.images.sbom import write_sboms

    project, _, targets = _targets(names)
    folder = out or project.root / "delivered" / "sbom"
    write_sboms(targets, Engine(), folder, typer.echo)


@images_commands.command("sizes")
def show_sizes(
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when an image is over its budget.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write benchmarks/results/image_sizes.json, for the README.")
    ] = False,
) -> None:
    """Show the size of each image over the base, uncompressed, against the budget of its stack.

    Example: penstock images sizes --check
    """
    from penstock.images.sizes import measure, over_budget, table, write_results

    project, _, targets = _targets(None)
    measured = measure(project, targets)
    typer.echo(table(measured))
    if write:
        typer.echo(f"wrote {write_results(project, measured).relative_to(project.root)}")
    if check and (faults := over_budget(measured)):
        for fault in faults:
            typer.echo(f"penstock: {fault}", err=True)
        raise typer.Exit(1)


@contextlib.contextmanager
def _ends_on_signals(engine: "Engine") -> Iterator[None]:
    """End what runs on Ctrl-C and the like, and say so."""
    from penstock.local.processes import stop_on_signals

    try:
        with stop_on_signals(engine.stop):
            yield
    except KeyboardInterrupt:
        typer.echo("penstock: interrupted", err=True)
        raise typer.Exit(130) from None


def _targets(names: list[str] | None) -> tuple[Project, "Images", list["Target"]]:
    from penstock.images.targets import all_targets
    from penstock.versions import Images

    project = find_project()
    images = Images(project)
    return project, images, all_targets(project, images, names)


def _registry(project: Project, env: str | None, registry: str | None) -> str:
    """Return the registry's prefix, from one of the two options."""
    if bool(env) == bool(registry):
        raise UserError("say which registry: --env <environment> or --registry <host/path>")
    if registry:
        return registry.rstrip("/")
    from penstock.environments import load_environment

    assert env is not None
    prefix = load_environment(project, env).images
    if not prefix:
        raise UserError(f"manifests/environments/{env}.yaml names no registry: set `images`")
    return prefix.rstrip("/")

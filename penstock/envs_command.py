"""`penstock envs`: the virtual environments of the stacks."""

import sys
from typing import Annotated

import typer

from penstock.project import find_project

commands = typer.Typer(help="Make the stacks' virtual environments ahead of a run.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="envs")


@commands.command("create")
def create(
    stacks: Annotated[
        list[str] | None, typer.Argument(metavar="[STACK]...", help="Folders under images/; none means all.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="With what the tests need.")] = False,
) -> None:
    """Make environments that are not there yet; a run does this by itself when it needs them."""
    from penstock.local.envs import ensure_stacks, stack_names
    from penstock.local.text_table import table

    project = find_project()
    pythons = ensure_stacks(
        project,
        stacks or stack_names(project),
        test,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(table(["stack", "python"], [[stack, str(python)] for stack, python in pythons.items()], widest=200))

"""The command `penstock`."""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import UserError

app = typer.Typer(
    name="penstock",
    help="Gated pipelines that take a model from data to production.\n\n"
    "Begin with `penstock run`: it trains on the sample app and shows where its report is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Modules that add their commands to `app`, in the order of the help.
COMMANDS = (
    "run_command",
    "predict_command",
    "runs_command",
    "serve_command",
    "rollout_command",
    "app_command",
    "images_command",
    "submit_command",
    "schedule_command",
    "platform_command",
    "clean_command",
    "envs_command",
)
GROUPS = {"schema": "schema_command", "endpoint": "endpoint_command"}  # modules with a typer app of their own


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version.", is_eager=True, callback=lambda wanted: _version(wanted)
        ),
    ] = False,
) -> None:
    """Take what is no command."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("penstock"))
        raise typer.Exit


def mount() -> None:
    """Add all commands; each imports what it needs only when it is called."""
    for name in COMMANDS:
        importlib.import_module(f"penstock.{name}").register(app)
    for group, name in GROUPS.items():
        app.add_typer(importlib.import_module(f"penstock.{name}").app, name=group)


def main() -> None:
    """Run the command line; what the user can put right is one sentence on stderr and exit code 2."""
    if os.environ.get("PENSTOCK_HOME"):  # steps have other working directories
        os.environ["PENSTOCK_HOME"] = str(Path(os.environ["PENSTOCK_HOME"]).expanduser().absolute())
    mount()
    try:
        app()
    except UserError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        sentence = _disk_sentence(error)
        if sentence is None:
            raise
        _say(sentence)
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)


def _disk_sentence(error: OSError) -> str | None:
    """Return what to do about a disk that takes no more, or None when it is something else."""
    where = error.filename or "the state folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk of {where}: free some (`penstock clean`), then run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = os.strerror(error.errno).lower()
        return f"{where} cannot be written ({reason}): mend its permissions or set PENSTOCK_HOME to another folder"
    return None


def _say(sentence: str) -> None:
    print(f"penstock: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    main()

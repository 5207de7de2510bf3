"""Finds a registered version of a model, and a folder of this machine that holds it.

    python -m penstock.components.serving_targets.registered_version
        --registry-uri URI --model NAME --version champion|previous|challenger|NUMBER --into FOLDER

Prints {"version": "3", "uri": "/…/model", "aliases": ["champion"]}. Runs in the control stack, which holds
MLflow's client; the command line has none.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.places import local_folder
from penstock.components.model_registry.store import Store, Version
from penstock.components.step_io.errors import StepError

ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)


def find(store: Store, model: str, wanted: str) -> Version:
    """Return the version that an alias or a number stands for.

    Raises:
        StepError: There is none.
    """
    if wanted in ALIASES:
        if (found := store.version_of(model, wanted)) is not None:
            return found
        versions = store.versions(model)
    else:
        versions = store.versions(model)
        if match := [version for version in versions if str(version.number) == wanted]:
            return match[0]
    if not versions:
        raise StepError(
            f"the model {model!r} has no registered version yet: `penstock run` trains and registers one"
        )
    known = ", ".join(str(version.number) for version in versions)
    kind = "version with the alias" if wanted in ALIASES else "version"
    raise StepError(f"the model {model!r} has no {kind} {wanted!r} (registered: {known})")


def bring(store: Store, version: Version, into: Path) -> Path:
    """Return the version's folder, after copying it below `into` if it lies where only MLflow reaches it.

    Raises:
        StepError: It cannot be read.
    """
    here = local_folder(version.source)
    if here is not None:
        if not here.is_dir():
            raise StepError(
                f"{here}, the folder of version {version.number} of {version.model!r}, is gone: restore it, or "
                "serve another version"
            )
        return here.absolute()
    target = into / str(version.number)
    if not target.is_dir():
        partial = into / f".{version.number}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        into.mkdir(parents=True, exist_ok=True)
        store.fetch_folder(version.source, partial)
        partial.rename(target)
    return target.absolute()


def main(arguments: list[str]) -> int:
    """Print what was found; a sentence on stderr and 2 when nothing was."""
    parser = argparse.ArgumentParser(description="Find a registered version of a model.")
    for option in ("registry-uri", "model", "version", "into"):
        parser.add_argument(f"--{option}", required=True)
    given = parser.parse_args(arguments)
    try:
        store = open_store(given.registry_uri)
        version = find(store, given.model, given.version)
        folder = bring(store, version, Path(given.into))
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(
        json.dumps({"version": str(version.number), "uri": str(folder), "aliases": sorted(version.aliases)})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

import json
import logging
import shutil
from pathlib import Path

from penstock.components.model_registry.opening import open_store
from penstock.components.step_io.artifacts import OutputArtifact, local_path
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.fetch_champion.step")  # __name__ is __main__ in the process

MLMODEL = "MLmodel"  # register_model added it for MLflow's tools


def run(
    champion_version: str,
    champion_uri: str,
    baseline_uri: str,
    model: OutputArtifact,
    statistics: OutputArtifact,
    registry_uri: str = "",
) -> None:
    """Bring the champion's model and the baseline statistics into the run."""
    fetch("model", champion_uri if champion_version else "", model.path, registry_uri)
    fetch("statistics", baseline_uri, statistics.path, registry_uri)
    (model.path / MLMODEL).unlink(missing_ok=True)


def fetch(what: str, uri: str, target: Path, registry_uri: str) -> None:
    """Copy the folder at `uri` to `target`; without a URI leave a folder that says that there is none.

    Raises:
        StepError: The folder cannot be read.
    """
    if not uri:
        target.mkdir(parents=True)
        (target / "none.json").write_text(json.dumps({"none": what}) + "\n", encoding="utf-8")
        log.info("there is no %s", what)
        return
    try:
        copy_folder(uri, target, registry_uri)
    except StepError as error:
        raise StepError(f"the champion's {what} cannot be fetched: {error}") from error
    files = [path for path in target.rglob("*") if path.is_file()]
    log.info("fetched %s: %d files, %d bytes", what, len(files), sum(path.stat().st_size for path in files))


def copy_folder(uri: str, target: Path, registry_uri: str) -> None:
    """Copy from where this process sees the folder, else through MLflow."""
    here = local_path(uri)
    if here.is_dir():
        shutil.copytree(here, target)
    else:
        open_store(registry_uri).fetch_folder(uri, target)


if __name__ == "__main__":
    main(run)

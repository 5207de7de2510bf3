import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from penstock.components.serving_model.folder import ModelFolder
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.validate_serving.checks import reasons_of, verdict_of
from penstock.components.validate_serving.pods import server_pod
from penstock.components.validate_serving.recorded import read_recorded
from penstock.components.validate_serving.report import write_report
from penstock.components.validate_serving.servers import Server, server_process
from penstock.components.validate_serving.settings import Settings, read_settings
from penstock.components.validate_serving.validation import Served, to_json, validate

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    verdict: str
    reasons: list


def run(
    model: InputArtifact,
    test_data: InputArtifact,
    predictions: InputArtifact,
    model_name: str,
    evidence: OutputArtifact,
    report: OutputArtifact,
    serving: dict = {},  # noqa: B006 - KFP's defaults, never mutated
    trial: dict = {},  # noqa: B006
) -> Outputs:
    """Start the prediction service with the model and try it: parity, malformed requests, load, budgets."""
    settings = read_settings(serving)
    folder = ModelFolder.read(model.path)
    inputs = {found.name: found.dtype for found in folder.inputs}
    recorded = read_recorded(test_data.path, predictions.path, inputs, settings.replayed_rows)
    served = Served(model_name, inputs, list(folder.classes), folder.versions)
    with started(model, model_name, evidence.uri, trial, settings) as server:
        proof = validate(server, served, recorded, settings)
        said, facts = server.log(), server.facts()
    evidence.path.mkdir()
    (evidence.path / "checks.json").write_text(to_json(proof, settings, facts), encoding="utf-8")
    (evidence.path / "server.log").write_text(said, encoding="utf-8")
    write_report(report.path, model_name, proof, settings, facts, said)
    for check in proof.checks:
        log.info("%s: %s", check.name, check.sentence)
    return Outputs(verdict_of(proof.checks), reasons_of(proof.checks))


@contextlib.contextmanager
def started(
    model: InputArtifact, name: str, identity: str, trial: dict, settings: Settings
) -> Iterator[Server]:
    """Start the server: as a pod of the target where `trial` tells how, else as a process of this container."""
    if trial:
        with server_pod(trial, model.uri, name, identity, settings) as pod:
            yield pod
        return
    with (
        tempfile.TemporaryDirectory() as scratch,
        server_process(model.path, name, Path(scratch) / "server.log") as process,
    ):
        yield process


if __name__ == "__main__":
    main(run)

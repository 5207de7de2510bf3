import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from penstock.components.serving_model.folder import ModelFolder
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.validate_serving.checks import reasons_of, verdict_of
from penstock.components.validate_serving.recorded import read_recorded
from penstock.components.validate_serving.report import write_report
from penstock.components.validate_serving.servers import server_process
from penstock.components.validate_serving.settings import read_settings
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
) -> Outputs:
    """Start the prediction service with the model and try it: parity, malformed requests, load, budgets."""
    settings = read_settings(serving)
    folder = ModelFolder.read(model.path)
    inputs = {found.name: found.dtype for found in folder.inputs}
    recorded = read_recorded(test_data.path, predictions.path, inputs, settings.replayed_rows)
    served = Served(model_name, inputs, list(folder.classes), folder.versions)
    with tempfile.TemporaryDirectory() as scratch:
        server_log = Path(scratch) / "server.log"
        with server_process(model.path, model_name, "candidate", server_log) as server:
            proof = validate(server, served, recorded, settings, version("tensorflow-cpu"))
            said = server.log()
    evidence.path.mkdir()
    (evidence.path / "checks.json").write_text(to_json(proof, settings), encoding="utf-8")
    (evidence.path / "server.log").write_text(said, encoding="utf-8")
    write_report(report.path, model_name, proof, settings, said)
    for check in proof.checks:
        log.info("%s: %s", check.name, check.sentence)
    return Outputs(verdict_of(proof.checks), reasons_of(proof.checks))


if __name__ == "__main__":
    main(run)

import logging
import time

from penstock.components.explain_model.baselines import attribution_baseline
from penstock.components.explain_model.report import write_report
from penstock.components.explain_model.results import metrics_metadata, write_attributions, write_json
from penstock.components.explain_model.sample import Data, instances, model_columns
from penstock.components.explain_model.settings import Settings
from penstock.components.explain_model.summary import Explained, summarize
from penstock.components.explain_model.vertex import explanation_spec
from penstock.components.explanations.explainer import BACKGROUND_FILE, Explainer
from penstock.components.row_slices.slices import make_slicings, read_slices
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor, import_tensorflow
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main

log = logging.getLogger(__name__)


def run(
    model: InputArtifact,
    data: InputArtifact,
    explanation: OutputArtifact,
    metrics: OutputArtifact,
    report: OutputArtifact,
    slices: list = [],  # noqa: B006 - KFP's defaults, never mutated
    rows: int = 500,
    background: int = 64,
    pairs: int = 1,
    examples: int = 4,
    confidence: float = 0.95,
    seed: int = 0,
) -> None:
    """Tell what moves a model's output: Shapley values of its raw inputs, overall, by slice and row by row."""
    settings = Settings(rows, background, pairs, examples, confidence, seed)
    folder = ModelFolder.read(model.path)
    source = Data(data.path)
    source.check_fit(folder.inputs)
    wanted = read_slices(slices, source.schema.names)
    names = [*(found.name for found in folder.inputs), *(name for names in wanted for name in names)]
    sample, base = source.draw(names, settings)
    import_tensorflow().config.experimental.enable_op_determinism()
    compared = model_columns(base.table, folder.inputs)
    explainer = Explainer(Predictor(folder), compared, pairs, seed)
    columns = model_columns(sample.table, folder.inputs)
    started = time.monotonic()
    found = explainer.attribute(columns, keys=range(len(sample.places)))
    log.info(
        "explained %d rows with %d rows of the model in %.1f s",
        len(sample.places),
        found.model_rows,
        time.monotonic() - started,
    )
    explained = Explained(explainer, columns, found)
    slicings = make_slicings(wanted, {name: sample.table.column(name) for name in names})
    summary = summarize(explained, sample, slicings, settings, source.rows)

    explanation.path.mkdir()
    write_json(explanation.path / "explanation.json", summary)
    write_json(explanation.path / "attribution_baseline.json", attribution_baseline(explained))
    write_json(explanation.path / BACKGROUND_FILE, {"instances": instances(compared)})
    spec = explanation_spec(folder, compared, 2 * pairs * len(base.places))
    write_json(explanation.path / "vertex_explanation_spec.json", spec)
    write_attributions(explanation.path / "attributions.parquet", explained, sample)
    metrics.metadata.update(metrics_metadata(summary))
    write_json(metrics.path, metrics.metadata)
    write_report(summary, explained, report.path)


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    import_tensorflow()


if __name__ == "__main__":
    main(run)

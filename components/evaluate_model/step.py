from penstock.components.evaluate_model.evaluation import (
    classification_metadata,
    evaluate,
    metrics_metadata,
    write_json,
    write_predictions,
)
from penstock.components.evaluate_model.predictions import import_tensorflow, score_both
from penstock.components.evaluate_model.report import write_report
from penstock.components.evaluate_model.settings import Settings
from penstock.components.evaluate_model.split import Split
from penstock.components.row_slices.slices import make_slicings, read_slices
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main


def run(
    model: InputArtifact,
    champion: InputArtifact,
    test_data: InputArtifact,
    label_spec: dict,
    evaluation: OutputArtifact,
    predictions: OutputArtifact,
    metrics: OutputArtifact,
    classification: OutputArtifact,
    report: OutputArtifact,
    champion_version: str = "",
    slices: list = [],  # noqa: B006 - KFP's defaults, never mutated
    resamples: int = 1000,
    confidence: float = 0.95,
    weight: str = "",
    seed: int = 0,
) -> None:
    """Score challenger and champion on the same rows, with confidence intervals and slices."""
    settings = Settings(label_spec.get("name", ""), champion_version, weight, resamples, confidence, seed)
    split = Split(test_data.path)
    outcome = split.outcome(label_spec, weight)
    wanted = read_slices(slices, list(split.types))
    slicings = make_slicings(wanted, split.columns([name for names in wanted for name in names]))
    models, note = score_both(model.path, champion.path, split, outcome, settings)
    found = evaluate(outcome, models, slicings, settings, note)

    evaluation.path.mkdir()
    write_json(evaluation.path / "evaluation.json", found)
    write_predictions(predictions.path, outcome, models)
    metrics.metadata.update(metrics_metadata(found))
    write_json(metrics.path, metrics.metadata)
    classification.metadata.update(classification_metadata(found))
    write_json(classification.path, classification.metadata)
    write_report(found, report.path)


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    import_tensorflow()


if __name__ == "__main__":
    main(run)

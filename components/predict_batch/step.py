import json
import logging
from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.predict_batch.step")  # __name__ is __main__ in the process


class Outputs(NamedTuple):
    rows: int
    unscored: int
    verdict: str
    reasons: list


def run(
    dataset: InputArtifact,
    model: InputArtifact,
    predictions: OutputArtifact,
    metrics: OutputArtifact,
    report: OutputArtifact,
    key: list = [],  # noqa: B006 - the spec's default; never changed
    max_unscored: float = 0.0,
    model_name: str = "",
    model_version: str = "",
    resume_uri: str = "",
) -> Outputs:
    """Predict every row once, then judge whether the batch may be used."""
    from penstock.components.predict_batch.distribution import describe
    from penstock.components.predict_batch.judgement import judge
    from penstock.components.predict_batch.report import write_report
    from penstock.components.predict_batch.scoring import MANIFEST, Batch, predict_shards, write_manifest
    from penstock.components.serving_model.folder import ModelFolder

    if not 0 <= max_unscored <= 1:
        raise StepError(f"max_unscored is {max_unscored}: expected a share from 0 to 1")
    if (model.path / "none.json").is_file():
        raise StepError(
            f"there is no champion of {model_name or 'this model'} to predict with: "
            "run the training pipeline first, and promote its model"
        )
    folder = ModelFolder.read(model.path)
    batch = Batch.read(dataset.path, folder, key)
    scored = predict_shards(batch, predictions.path, resume_uri)
    write_manifest(predictions.path / MANIFEST, batch, scored, model_name, model_version)
    found = describe(predictions.path, folder)
    judgement = judge(batch, scored, max_unscored)
    for reason in judgement.reasons:
        log.warning("%s", reason)
    summary = {"rows": scored.rows, "unscored": scored.without, "shards": len(scored.shards)}
    distribution = {**summary, "unscored_because": scored.unscored, "distribution": found.as_dict()}
    metrics.path.write_text(json.dumps(distribution, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    means = {
        f"mean_{name}": value for name, value in found.means.items() if not name.startswith("probability_")
    }
    metrics.metadata |= {**summary, **means}
    predictions.metadata |= {"rows": scored.rows}
    write_report(report.path, batch, scored, found, judgement, f"{model_name} {model_version}".strip())
    return Outputs(scored.rows, scored.without, judgement.verdict, judgement.reasons)


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    import penstock.components.predict_batch.scoring  # noqa: F401
    from penstock.components.serving_model.predictor import import_tensorflow

    import_tensorflow()


if __name__ == "__main__":
    main(run)

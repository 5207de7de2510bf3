import logging
from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.tabular_model.quiet import import_tensorflow

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    epochs: int


def run(
    train_data: InputArtifact,
    validation_data: InputArtifact,
    schema: InputArtifact,
    code: InputArtifact,
    label_spec: dict,
    model: OutputArtifact,
    metrics: OutputArtifact,
    report: OutputArtifact,
    features: dict = {},  # noqa: B006 - the spec's defaults; never changed
    model_settings: dict = {},  # noqa: B006
    best_parameters: dict = {},  # noqa: B006
    weight: str = "",
    seed: int = 0,
    checkpoint_uri: str = "",
) -> Outputs:
    """Train a model, export it with its preprocessing, and tell how the training went."""
    import_tensorflow()
    from penstock.components.tabular_model.job import Job
    from penstock.components.train_model.result import train_and_write

    job = Job.read(
        train_data.path,
        validation_data.path,
        schema.path,
        code.path,
        label_spec,
        features,
        weight,
        seed,
        {"model_settings": model_settings, "best_parameters": best_parameters},
    )
    result = train_and_write(job, checkpoint_uri, model.path, metrics.path, report.path)
    metrics.metadata.update(result.metrics)
    return Outputs(epochs=result.epochs)


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    import_tensorflow()
    import penstock.components.tabular_model.job
    import penstock.components.train_model.result  # noqa: F401


if __name__ == "__main__":
    main(run)

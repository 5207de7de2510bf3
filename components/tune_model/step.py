import logging
from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.tabular_model.settings import resolve_tuning
from penstock.components.tune_model.report import write_report
from penstock.components.tune_model.trials import Search, write_trials

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    best_parameters: dict


def run(
    train_data: InputArtifact,
    validation_data: InputArtifact,
    schema: InputArtifact,
    code: InputArtifact,
    label_spec: dict,
    trials_table: OutputArtifact,
    report: OutputArtifact,
    trials: int = 0,
    tuning: dict = {},  # noqa: B006 - the spec's defaults; never changed
    features: dict = {},  # noqa: B006
    model_settings: dict = {},  # noqa: B006
    weight: str = "",
    seed: int = 0,
    checkpoint_uri: str = "",
) -> Outputs:
    """Search hyperparameters; with 0 trials do nothing, without importing TensorFlow."""
    timeout_s = resolve_tuning(tuning)["timeout_s"]
    if trials <= 0:
        log.info("tuning is off (0 trials)")
        found = Search()
    else:
        from penstock.components.tabular_model.quiet import import_tensorflow

        import_tensorflow()
        from penstock.components.tabular_model.job import Job
        from penstock.components.tune_model.study import search

        job = Job.read(
            train_data.path,
            validation_data.path,
            schema.path,
            code.path,
            label_spec,
            features,
            weight,
            seed,
            {"model_settings": model_settings},
        )
        found = search(job, trials, timeout_s, checkpoint_uri)
    write_trials(trials_table.path, found)
    write_report(report.path, found)
    return Outputs(best_parameters=found.best.parameters if found.best else {})


if __name__ == "__main__":
    main(run)

from kfp import dsl


@dsl.container_component
def evaluate_model(
    model: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    test_data: dsl.Input[dsl.Dataset],
    label_spec: dict,
    evaluation: dsl.Output[dsl.Artifact],
    predictions: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    champion_version: str = "",
    slices: list = [],
    resamples: int = 1000,
    confidence: float = 0.95,
    weight: str = "",
    seed: int = 0,
):
    """Score challenger and champion on the same rows, with confidence intervals and slices.

    Args:
        model: The challenger, from train_model.
        champion: The champion, from fetch_champion; ignored when champion_version is empty.
        test_data: Folder of Parquet shards.
        label_spec: From prepare_data.
        evaluation: Folder with evaluation.json: metrics and intervals, overall and by
            slice, of both models and of their difference.
        predictions: Folder of Parquet shards: label and outputs of both models, a row for
            each test row.
        metrics: The challenger's metrics, overall.
        classification: ROC curve and confusion matrix; empty for regression.
        report: Metrics with intervals, slices, ROC, PR, calibration, confusion or
            residuals.
        champion_version: Version of the champion; empty when there is none.
        slices: Columns, or lists of columns (crosses), by whose values the metrics are
            computed as well.
        resamples: Bootstrap resamples.
        confidence: Level of the confidence intervals.
        weight: Column with the weight of each row; empty weighs all alike.
        seed: Seed of everything random.
    """
    return dsl.ContainerSpec(
        image="penstock/evaluate_model:unpinned",
        command=["python", "-m", "penstock.components.evaluate_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

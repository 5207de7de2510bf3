from kfp import dsl


@dsl.container_component
def predict_batch(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    predictions: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    rows: dsl.OutputPath(int),
    unscored: dsl.OutputPath(int),
    verdict: dsl.OutputPath(str),
    reasons: dsl.OutputPath(list),
    key: list = [],
    max_unscored: float = 0.0,
    model_name: str = "",
    model_version: str = "",
    resume_uri: str = "",
):
    """Predict every row of a dataset once, in bounded memory, and write the predictions beside their keys.

    Args:
        dataset: Folder of Parquet shards, from extract_data.
        model: Folder that train_model wrote, from fetch_champion.
        predictions: Folder: a Parquet shard for each shard of the dataset, with its rows in their order, and
            manifest.json (rows, bytes and hash of each).
        metrics: Rows, rows without a prediction, and what the predictions are like.
        report: Distribution of the predictions, what the inputs held, why rows have none.
        rows: Number of rows written: as many as were read.
        unscored: Number of them without a prediction; their column `unscored` says why.
        verdict: pass, warn or block.
        reasons: A sentence for each finding, worst first.
        key: Columns that stand beside the predictions; [] takes all that are no inputs of the model,
            or, where there are none, the row's number.
        max_unscored: Share of the rows that may have no prediction; more block.
        model_name: Name of the registered model, for people.
        model_version: Its version, for people and the manifest.
        resume_uri: Folder for finished shards, keyed by the inputs; empty keeps none.
    """
    return dsl.ContainerSpec(
        image="penstock/predict_batch:unpinned",
        command=["python", "-m", "penstock.components.predict_batch.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

from kfp import dsl


@dsl.container_component
def tune_model(
    train_data: dsl.Input[dsl.Dataset],
    validation_data: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    code: dsl.Input[dsl.Artifact],
    label_spec: dict,
    trials_table: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    best_parameters: dsl.OutputPath(dict),
    trials: int = 0,
    tuning: dict = {},
    features: dict = {},
    model_settings: dict = {},
    weight: str = "",
    seed: int = 0,
    checkpoint_uri: str = "",
):
    """Search hyperparameters with Optuna. With 0 trials it passes on nothing.

    Args:
        train_data: Folder of Parquet shards.
        validation_data: Folder of Parquet shards.
        schema: Folder with schema.pbtxt, a TFDV schema (text proto).
        code: Folder with the app's features.py and model.py, if it has any.
        label_spec: From prepare_data.
        trials_table: Folder with trials.json: each trial's parameters, value and state.
        report: History of the search and importance of the parameters.
        best_parameters: Hyperparameters of the best trial; empty when trials is 0.
        trials: Number of trials; 0 turns tuning off.
        tuning: The section `tuning` of app.yaml.
        features: The section `features` of app.yaml: columns that are no inputs of the
            model.
        model_settings: The section `model` of app.yaml: hyperparameters.
        weight: Column with the weight of each row; empty weighs all alike.
        seed: Seed of everything random.
        checkpoint_uri: Folder for checkpoints, keyed by the inputs; empty keeps none.
    """
    return dsl.ContainerSpec(
        image="penstock/tune_model:unpinned",
        command=["python", "-m", "penstock.components.tune_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

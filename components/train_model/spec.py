from kfp import dsl


@dsl.container_component
def train_model(
    train_data: dsl.Input[dsl.Dataset],
    validation_data: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    code: dsl.Input[dsl.Artifact],
    label_spec: dict,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    epochs: dsl.OutputPath(int),
    features: dict = {},
    model_settings: dict = {},
    best_parameters: dict = {},
    weight: str = "",
    seed: int = 0,
    checkpoint_uri: str = "",
):
    """Train a Keras model and export it as a SavedModel that takes raw features by name.

    Args:
        train_data: Folder of Parquet shards.
        validation_data: Folder of Parquet shards.
        schema: Folder with schema.pbtxt, a TFDV schema (text proto).
        code: Folder with the app's features.py and model.py, if it has any.
        label_spec: From prepare_data.
        model: Folder: saved_model/ (SavedModel), model.json (inputs, outputs, label,
            versions) and examples.json (some rows and the model's answers).
        metrics: Metrics on train and validation, as train_<metric> and validation_<metric>.
        report: Learning curves and settings.
        epochs: Epochs trained.
        features: The section `features` of app.yaml: columns that are no inputs of the
            model.
        model_settings: The section `model` of app.yaml: hyperparameters.
        best_parameters: Hyperparameters from tune_model; they override model_settings.
        weight: Column with the weight of each row; empty weighs all alike.
        seed: Seed of everything random.
        checkpoint_uri: Folder for checkpoints, keyed by the inputs; empty keeps none.
    """
    return dsl.ContainerSpec(
        image="penstock/train_model:unpinned",
        command=["python", "-m", "penstock.components.train_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

from kfp import dsl


@dsl.container_component
def register_model(
    model: dsl.Input[dsl.Model],
    statistics: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    rules: dsl.Input[dsl.Artifact],
    explanation: dsl.Input[dsl.Artifact],
    app: dsl.Input[dsl.Artifact],
    model_name: str,
    run_id: str,
    app_version: str,
    code_version: str,
    fingerprint: str,
    source: str,
    query: str,
    since: str,
    until: str,
    data_fingerprint: str,
    watermark: str,
    rows: int,
    split_rows: dict,
    label_spec: dict,
    verdict: str,
    drift: str,
    champion_version: str,
    card: dsl.Output[dsl.HTML],
    card_markdown: dsl.Output[dsl.Markdown],
    version: dsl.OutputPath(str),
    model_uri: dsl.OutputPath(str),
    promoted: dsl.OutputPath(bool),
    promote: bool = True,
    challenge: bool = False,
    registry_uri: str = "",
):
    """Register a model that passed, with lineage and a model card, and promote it. Never cached.

    The same model is never registered twice.

    Args:
        model: From train_model.
        statistics: Statistics of the training data, from compute_statistics.
        evaluation: From evaluate_model.
        rules: From validate_model.
        explanation: From explain_model; its background.json goes into the model folder, for the service's :explain.
        app: The published app folder.
        model_name: Name of the registered model.
        run_id: Id of the pipeline run.
        app_version: Hash of the app's files and of the run's settings.
        code_version: Hash of the steps' code.
        fingerprint: From inspect_source.
        source: Where the data came from.
        query: SQL over the source.
        since: Start of the window of event time.
        until: End of the window of event time.
        data_fingerprint: From extract_data.
        watermark: From extract_data.
        rows: From extract_data.
        split_rows: From prepare_data.
        label_spec: From prepare_data.
        verdict: Of validate_model.
        drift: Of validate_data.
        champion_version: The champion that was compared with; empty when there was none.
        card: Model card.
        card_markdown: Model card.
        version: Registered version.
        model_uri: URI of its artifacts.
        promoted: Whether the version is now the champion.
        promote: Move the alias champion to the new version, and previous to the last
            champion.
        challenge: Where there is a champion, leave it: the version is the challenger, and a
            rollout promotes it.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/register_model:unpinned",
        command=["python", "-m", "penstock.components.register_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

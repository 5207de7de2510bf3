from kfp import dsl


@dsl.container_component
def resolve_champion(
    model_name: str,
    fingerprint: str,
    app_version: str,
    code_version: str,
    decision: dsl.OutputPath(str),
    reason: dsl.OutputPath(str),
    champion_version: dsl.OutputPath(str),
    champion_uri: dsl.OutputPath(str),
    champion_metrics: dsl.OutputPath(dict),
    baseline_name: dsl.OutputPath(str),
    baseline_uri: dsl.OutputPath(str),
    baseline: str = "champion",
    force: bool = False,
    registry_uri: str = "",
):
    """Find the live model in the registry and decide whether to train at all. Never cached.

    Args:
        model_name: Name of the registered model.
        fingerprint: From inspect_source.
        app_version: Hash of the app's files and of the run's settings.
        code_version: Hash of the steps' code; empty never counts as unchanged.
        decision: train or unchanged.
        reason: Why, in a sentence.
        champion_version: Version of the champion; empty when there is none.
        champion_uri: URI of its artifacts; empty when there is none.
        champion_metrics: Its metrics on its own test split.
        baseline_name: What the baseline statistics are, for people; empty when there are
            none.
        baseline_uri: URI of the baseline statistics; empty when there are none.
        baseline: champion (its training data) or previous_span (the last run on other
            data).
        force: Train even when nothing has changed.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/resolve_champion:unpinned",
        command=["python", "-m", "penstock.components.resolve_champion.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

from kfp import dsl


@dsl.container_component
def fetch_champion(
    champion_version: str,
    champion_uri: str,
    baseline_uri: str,
    model: dsl.Output[dsl.Model],
    statistics: dsl.Output[dsl.Artifact],
    registry_uri: str = "",
):
    """Bring the champion's model and the baseline statistics into the run as artifacts.

    Args:
        champion_version: From resolve_champion; empty when there is none.
        champion_uri: From resolve_champion.
        baseline_uri: From resolve_champion; empty when there is none.
        model: The champion, as train_model wrote it; a folder with only none.json when
            there is none.
        statistics: The baseline, as compute_statistics wrote it; a folder with only
            none.json when there is none.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/fetch_champion:unpinned",
        command=["python", "-m", "penstock.components.fetch_champion.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

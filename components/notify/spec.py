from kfp import dsl


@dsl.container_component
def notify(
    pipeline: str,
    app: str,
    run_id: str,
    registry_uri: str = "",
    wait_s: int = 0,
):
    """Tell people and MLflow how a run ended. The exit handler: never cached, never fails a run.

    Args:
        pipeline: Name of the pipeline.
        app: Name of the app.
        run_id: Id of the pipeline run.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
        wait_s: Seconds to wait for the end of a run on KFP whose exit handler this is not; 0 tells at once.
    """
    return dsl.ContainerSpec(
        image="penstock/notify:unpinned",
        command=["python", "-m", "penstock.components.notify.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

from kfp import dsl


@dsl.container_component
def notify(
    status: dsl.PipelineTaskFinalStatus,
    pipeline: str,
    app: str,
    run_id: str,
    registry_uri: str = "",
):
    """Tell people and MLflow how the run ended. The exit handler: never cached, never fails a run.

    Args:
        status: Filled in by the backend; not relied on.
        pipeline: Name of the pipeline.
        app: Name of the app.
        run_id: Id of the pipeline run.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/notify:unpinned",
        command=["python", "-m", "penstock.components.notify.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

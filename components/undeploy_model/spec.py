from kfp import dsl


@dsl.container_component
def undeploy_model(
    model_name: str,
    serving_target: dict,
    gone: dsl.OutputPath(list),
    versions: list = [],
    endpoint: str = "",
    registry_uri: str = "",
):
    """Take versions away that serve nothing any more. Never cached.

    A version that has traffic, or is champion, challenger or previous, stays: to name one is an error.

    Args:
        model_name: Name of the registered model.
        serving_target: Where models are served: the section `serving` of the environment's file.
        gone: The versions that were taken away.
        versions: Which; empty takes all that have neither traffic nor a role.
        endpoint: Name of the endpoint; empty takes the model's.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/undeploy_model:unpinned",
        command=["python", "-m", "penstock.components.undeploy_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

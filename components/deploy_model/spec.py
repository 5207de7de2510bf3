from kfp import dsl


@dsl.container_component
def deploy_model(
    model_name: str,
    serving_target: dict,
    active: dsl.OutputPath(bool),
    champion: dsl.OutputPath(str),
    challenger: dsl.OutputPath(str),
    weights: dsl.OutputPath(dict),
    revision: dsl.OutputPath(int),
    began: dsl.OutputPath(str),
    since: dsl.OutputPath(str),
    url: dsl.OutputPath(str),
    endpoint: str = "",
    rollout: dict = {},
    replicas: int = 1,
    registry_uri: str = "",
):
    """Deploy the champion and, beside it, the challenger with its first share of the traffic. Never cached.

    Doing it again changes nothing; after an interruption it goes on.

    Args:
        model_name: Name of the registered model; the aliases champion and challenger say which versions.
        serving_target: Where models are served: the section `serving` of the environment's file.
        active: Whether a challenger is to be judged.
        champion: Version with the alias champion.
        challenger: Version with the alias challenger; empty when there is none.
        weights: Percent of the traffic by version.
        revision: Of the endpoint; what is decided on it counts only as long as it holds.
        began: When the challenger got its first share, UTC, ISO 8601.
        since: When the weights were last changed, UTC, ISO 8601.
        url: Where the endpoint answers.
        endpoint: Name of the endpoint; empty takes the model's.
        rollout: The section `rollout` of app.yaml.
        replicas: Servers of each version.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/deploy_model:unpinned",
        command=["python", "-m", "penstock.components.deploy_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

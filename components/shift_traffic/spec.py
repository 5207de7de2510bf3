from kfp import dsl


@dsl.container_component
def shift_traffic(
    model_name: str,
    serving_target: dict,
    action: str,
    weights: dict,
    reasons: list,
    revision: int,
    done: dsl.OutputPath(str),
    shares: dsl.OutputPath(dict),
    endpoint: str = "",
    registry_uri: str = "",
):
    """Do what analyze_rollout decided: shift the traffic, promote, or roll back. Never cached.

    Nothing is done when the endpoint was changed after the analysis: of a rollback and an advance, one wins.

    Args:
        model_name: Name of the registered model.
        serving_target: Where models are served: the section `serving` of the environment's file.
        action: continue, advance, promote, rollback or stop.
        weights: Percent of the traffic by version.
        reasons: Sentences, the decisive one first.
        revision: Of the endpoint, when it was decided.
        done: What was done, as a sentence.
        shares: Percent of the traffic by version, as it is now.
        endpoint: Name of the endpoint; empty takes the model's.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    return dsl.ContainerSpec(
        image="penstock/shift_traffic:unpinned",
        command=["python", "-m", "penstock.components.shift_traffic.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )

"""The rollout pipeline: one look at a challenger in the traffic, and what follows from it.

A schedule runs it again and again, so that no pod waits for days. Every run reads anew where the rollout
stands, from the registry's aliases and the endpoint; a run that was interrupted is ended by the next.
"""

from kfp import dsl

from penstock.components.analyze_rollout.spec import analyze_rollout
from penstock.components.deploy_model.spec import deploy_model
from penstock.components.notify.spec import notify
from penstock.components.shift_traffic.spec import shift_traffic


@dsl.pipeline(name="rollout", description="Roll a challenger out, one look at a time.")
def rollout(
    app: str,
    model_name: str,
    serving_target: dict,
    logs: str,
    rollout: dict = {},
    outcomes: str = "",
    endpoint: str = "",
    replicas: int = 1,
    state_uri: str = "",
    registry_uri: str = "",
):
    """Roll a challenger out, one look at a time. `penstock rollout advance` fills the parameters.

    Args:
        app: Name of the app.
        model_name: Name of the registered model; its alias challenger says which version.
        serving_target: Where models are served: the section `serving` of the environment's file.
        logs: URI of the request logs.
        rollout: The section `rollout` of app.yaml.
        outcomes: URI of the outcomes; empty when there are none.
        endpoint: Name of the endpoint; empty takes the model's.
        replicas: Servers of each version.
        state_uri: File that keeps what has been read of the logs; empty reads all anew.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
    """
    told = notify(
        pipeline="rollout",
        app=app,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        registry_uri=registry_uri,
        wait_s=0,
    ).set_caching_options(False)

    with dsl.ExitHandler(told, name="guarded"):
        place = {
            "model_name": model_name,
            "serving_target": serving_target,
            "endpoint": endpoint,
            "registry_uri": registry_uri,
        }
        deployed = deploy_model(**place, rollout=rollout, replicas=replicas).set_caching_options(False)
        with dsl.If(deployed.outputs["active"] == True, name="judge"):  # noqa: E712 - a KFP condition
            analyzed = analyze_rollout(
                logs=logs,
                champion=deployed.outputs["champion"],
                challenger=deployed.outputs["challenger"],
                current_weights=deployed.outputs["weights"],
                rollout=rollout,
                outcomes=outcomes,
                model_name=model_name,
                started=deployed.outputs["began"],
                since=deployed.outputs["since"],
                now="",
                state_uri=state_uri,
            ).set_caching_options(False)
            shift_traffic(
                **place,
                action=analyzed.outputs["decision"],
                weights=analyzed.outputs["weights"],
                reasons=analyzed.outputs["reasons"],
                revision=deployed.outputs["revision"],
            ).set_caching_options(False)

"""Tells how another run ended: what `penstock runs retry` starts, as KFP runs no exit handler twice."""

from kfp import dsl

from penstock.components.notify.spec import notify


@dsl.pipeline(name="notify-run", description="Wait for the end of a retried run, and tell how it ended.")
def notify_run(pipeline: str, app: str, run_id: str, registry_uri: str = "", wait_s: int = 86_400):
    """Wait for the end of a retried run, and tell how it ended.

    Args:
        pipeline: Name of the retried run's pipeline.
        app: Name of its app.
        run_id: Its id.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
        wait_s: Seconds after which waiting ends.
    """
    notify(
        pipeline=pipeline, app=app, run_id=run_id, registry_uri=registry_uri, wait_s=wait_s
    ).set_caching_options(False).set_retry(3, backoff_duration="10s")

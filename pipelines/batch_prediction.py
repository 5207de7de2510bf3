"""The batch prediction pipeline: the champion's predictions for every row of a window, and a gate behind them."""

from kfp import dsl

from penstock.components.extract_data.spec import extract_data
from penstock.components.fetch_champion.spec import fetch_champion
from penstock.components.gate.spec import gate
from penstock.components.inspect_source.spec import inspect_source
from penstock.components.notify.spec import notify
from penstock.components.predict_batch.spec import predict_batch
from penstock.components.resolve_champion.spec import resolve_champion


@dsl.pipeline(name="batch-prediction", description="Predict every row of a window with the champion.")
def batch_prediction(
    app: str,
    model_name: str,
    source: str,
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
    rows_per_shard: int = 250_000,
    key: list = [],
    max_unscored: float = 0.0,
    registry_uri: str = "",
    checkpoint_uri: str = "",
):
    """Predict every row of a window with the champion. `penstock run` fills the parameters from app.yaml.

    Args:
        app: Name of the app.
        model_name: Name of the registered model.
        source: File, glob or directory of CSV, JSON Lines or Parquet files, at any fsspec URI.
        format: auto (by file name), csv, jsonl or parquet.
        query: SQL (DuckDB) over the table `source`; empty reads all columns and rows.
        event_time: Column with the time of the event; empty when there is no window.
        event_time_unit: Unit of a numeric event time: s, ms, us or ns.
        since: Start of the window of event time (included): a date or time, or a duration before `until`
            such as P1D, ISO 8601; empty is open.
        until: End of the window of event time (excluded): a date or time in ISO 8601, or @ and seconds since
            1970; empty is open.
        rows_per_shard: Rows in each Parquet shard, of the data and of the predictions.
        key: Columns that stand beside the predictions; [] takes all that are no inputs.
        max_unscored: Share of the rows that may have no prediction.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
        checkpoint_uri: Folder for finished shards; empty keeps none.
    """
    told = notify(
        pipeline="batch_prediction",
        app=app,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        registry_uri=registry_uri,
        wait_s=0,
    ).set_caching_options(False)

    with dsl.ExitHandler(told, name="guarded"):
        selection = {
            "source": source,
            "format": format,
            "query": query,
            "event_time": event_time,
            "event_time_unit": event_time_unit,
        }
        inspected = inspect_source(**selection, since=since, until=until).set_caching_options(False)
        # Without the versions of app and code it only finds the champion: its decision is for training.
        resolved = resolve_champion(
            model_name=model_name,
            fingerprint=inspected.outputs["fingerprint"],
            app_version="",
            code_version="",
            baseline="champion",
            force=False,
            registry_uri=registry_uri,
        ).set_caching_options(False)
        champion = fetch_champion(
            champion_version=resolved.outputs["champion_version"],
            champion_uri=resolved.outputs["champion_uri"],
            baseline_uri="",
            registry_uri=registry_uri,
        )
        extracted = extract_data(
            **selection,
            since=inspected.outputs["window_start"],
            until=inspected.outputs["window_end"],
            fingerprint=inspected.outputs["fingerprint"],
            snapshot=inspected.outputs["snapshot"],
            rows_per_shard=rows_per_shard,
            allow_empty=True,
        ).set_retry(1)
        predicted = predict_batch(
            dataset=extracted.outputs["dataset"],
            model=champion.outputs["model"],
            key=key,
            max_unscored=max_unscored,
            model_name=model_name,
            model_version=resolved.outputs["champion_version"],
            resume_uri=checkpoint_uri,
        ).set_retry(1)  # after a lost pod it goes on with the shard that had not been finished
        gate(
            verdict=predicted.outputs["verdict"],
            reasons=predicted.outputs["reasons"],
            evidence=predicted.outputs["report"],
            subject="batch prediction",
        ).set_display_name("gate: batch prediction")

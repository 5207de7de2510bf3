"""The training pipeline: from a data source to a registered, promoted model, with gates that really stop it."""

from kfp import dsl

from penstock.components.compute_statistics.spec import compute_statistics
from penstock.components.evaluate_model.spec import evaluate_model
from penstock.components.explain_model.spec import explain_model
from penstock.components.extract_data.spec import extract_data
from penstock.components.fetch_champion.spec import fetch_champion
from penstock.components.gate.spec import gate
from penstock.components.inspect_source.spec import inspect_source
from penstock.components.notify.spec import notify
from penstock.components.prepare_data.spec import prepare_data
from penstock.components.register_model.spec import register_model
from penstock.components.resolve_champion.spec import resolve_champion
from penstock.components.train_model.spec import train_model
from penstock.components.tune_model.spec import tune_model
from penstock.components.validate_data.spec import validate_data
from penstock.components.validate_model.spec import validate_model
from penstock.components.validate_serving.spec import validate_serving


def import_folder(uri, name: str):
    """Bring a published folder into the run; the same URI is the same artifact to every cache."""
    task = dsl.importer(artifact_uri=uri, artifact_class=dsl.Artifact, reimport=False)
    return task.set_display_name(name)


def stop_unless_passed(judged, subject: str):
    """Add the gate that fails the run when the verdict of `judged` is `block`."""
    task = gate(
        verdict=judged.outputs["verdict"],
        reasons=judged.outputs["reasons"],
        evidence=judged.outputs["report"],
        subject=subject,
    )
    return task.set_display_name(f"gate: {subject}")


def outlives_its_pod(task):
    """Let a step that works long begin once more: nodes are drained, spot machines are taken away.

    KFP cannot tell a lost pod from a wrong input, so short steps, whose pods are rarely lost, fail at once.
    Training goes on from its last checkpoint. Argo tries only those pods again that it has seen fail: not those
    of a node that died, and of a drained one only if it looked before the pod had gone. `penstock runs retry`
    is for the others.
    """
    return task.set_retry(1)


@dsl.pipeline(name="training", description="Train, validate and register a model.")
def training(
    app: str,
    app_uri: str,
    schema_uri: str,
    code_uri: str,
    app_version: str,
    code_version: str,
    model_name: str,
    source: str,
    label: dict,
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
    rows_per_shard: int = 250_000,
    statistics_slices: list = [],
    weight: str = "",
    schema_skew: str = "block",
    value_skew: str = "warn",
    baseline: str = "champion",
    min_rows: int = 100,
    drift_thresholds: dict = {},
    cleaning: list = [],
    split: dict = {},
    features: dict = {},
    model_settings: dict = {},
    tuning_trials: int = 0,
    tuning: dict = {},
    slices: list = [],
    resamples: int = 1000,
    confidence: float = 0.95,
    thresholds: dict = {},
    explained_rows: int = 500,
    explanation_background: int = 64,
    explanation_examples: int = 4,
    serving: dict = {},
    serving_trial: dict = {},
    seed: int = 0,
    promote: bool = True,
    challenge: bool = False,
    force: bool = False,
    registry_uri: str = "",
    checkpoint_uri: str = "",
):
    """Train, validate and register a model. `penstock run` fills the parameters from app.yaml.

    Args:
        app: Name of the app.
        app_uri: The published app folder, under its content hash.
        schema_uri: Its schema alone, under its content hash.
        code_uri: Its Python files alone, under their content hash.
        app_version: Hash of the app's files and of the run's settings.
        code_version: Hash of the steps' code; empty never counts as unchanged.
        model_name: Name of the registered model.
        source: File, glob or directory of CSV, JSON Lines or Parquet files, at any fsspec URI.
        label: The section `label` of app.yaml.
        format: auto (by file name), csv, jsonl or parquet.
        query: SQL (DuckDB) over the table `source`; empty reads all columns and rows.
        event_time: Column with the time of the event; empty when the data has none.
        event_time_unit: Unit of a numeric event time: s, ms, us or ns.
        since: Start of the window of event time (included): a date or time, or a duration before `until`
            such as P30D, ISO 8601; empty is open.
        until: End of the window of event time (excluded): a date or time in ISO 8601, or @ and seconds since
            1970; empty is open.
        rows_per_shard: Rows in each Parquet shard.
        statistics_slices: Columns by whose values data statistics are computed as well.
        weight: Column with the weight of each row; empty weighs all alike.
        schema_skew: off, warn or block: what schema skew leads to.
        value_skew: off or warn: whether value skew is measured; it never blocks training.
        baseline: What value skew is measured against: champion or previous_span.
        min_rows: Fewer rows than this are schema skew.
        drift_thresholds: When a feature counts as drifted, by kind and by name.
        cleaning: The section `cleaning` of app.yaml.
        split: The section `split` of app.yaml.
        features: The section `features` of app.yaml.
        model_settings: The section `model` of app.yaml.
        tuning_trials: Trials of the hyperparameter search; 0 turns it off.
        tuning: The section `tuning` of app.yaml.
        slices: Columns, or lists of columns, by whose values the model is evaluated as well.
        resamples: Bootstrap resamples.
        confidence: Level of the confidence intervals.
        thresholds: The section `thresholds` of app.yaml.
        explained_rows: Rows of the test split whose predictions are explained.
        explanation_background: Rows that they are compared with.
        explanation_examples: Single explained rows in the report, with their values; 0 shows none.
        serving: The section `serving` of app.yaml: what a model must prove before it is registered.
        serving_trial: Where and how the environment tries the server as a pod; empty: as a process of its step.
        seed: Seed of everything random.
        promote: Make a model that passes the champion at once.
        challenge: Where there is a champion, make it the challenger instead: a rollout promotes it.
        force: Train even when nothing has changed.
        registry_uri: MLflow tracking and registry URI; empty takes MLFLOW_TRACKING_URI.
        checkpoint_uri: Folder for training checkpoints; empty keeps none.
    """
    told = notify(
        pipeline="training",
        app=app,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        registry_uri=registry_uri,
        wait_s=0,
    ).set_caching_options(False)

    with dsl.ExitHandler(told, name="guarded"):
        app_files = import_folder(app_uri, "app")
        schema = import_folder(schema_uri, "schema")
        code = import_folder(code_uri, "code")

        selection = {
            "source": source,
            "format": format,
            "query": query,
            "event_time": event_time,
            "event_time_unit": event_time_unit,
        }
        inspected = inspect_source(**selection, since=since, until=until).set_caching_options(False)
        # The window as fixed times: the steps after it are cached by them, not by "a year before".
        window = {"since": inspected.outputs["window_start"], "until": inspected.outputs["window_end"]}
        resolved = resolve_champion(
            model_name=model_name,
            fingerprint=inspected.outputs["fingerprint"],
            app_version=app_version,
            code_version=code_version,
            baseline=baseline,
            force=force,
            registry_uri=registry_uri,
        ).set_caching_options(False)

        with dsl.If(resolved.outputs["decision"] == "train", name="train"):
            champion = fetch_champion(
                champion_version=resolved.outputs["champion_version"],
                champion_uri=resolved.outputs["champion_uri"],
                baseline_uri=resolved.outputs["baseline_uri"],
                registry_uri=registry_uri,
            )

            # Data: extract, measure, judge.
            extracted = extract_data(
                **selection,
                **window,
                fingerprint=inspected.outputs["fingerprint"],
                snapshot=inspected.outputs["snapshot"],
                rows_per_shard=rows_per_shard,
                allow_empty=False,
            )
            outlives_its_pod(extracted)
            described = compute_statistics(
                dataset=extracted.outputs["dataset"],
                slices=statistics_slices,
                weight=weight,
            )
            outlives_its_pod(described)
            judged_data = validate_data(
                dataset=extracted.outputs["dataset"],
                statistics=described.outputs["statistics"],
                schema=schema.output,
                baseline=champion.outputs["statistics"],
                baseline_name=resolved.outputs["baseline_name"],
                schema_skew=schema_skew,
                value_skew=value_skew,
                min_rows=min_rows,
                drift_thresholds=drift_thresholds,
            )
            data_gate = stop_unless_passed(judged_data, "data")
            prepared = prepare_data(
                dataset=extracted.outputs["dataset"],
                label=label,
                cleaning=cleaning,
                split=split,
                event_time=event_time,
                weight=weight,
            ).after(data_gate)
            outlives_its_pod(prepared)
            prepared_gate = stop_unless_passed(prepared, "prepared data")

            # Model: tune, train, evaluate, judge.
            learning = {
                "train_data": prepared.outputs["train_data"],
                "validation_data": prepared.outputs["validation_data"],
                "schema": schema.output,
                "code": code.output,
                "label_spec": prepared.outputs["label_spec"],
                "features": features,
                "model_settings": model_settings,
                "weight": weight,
                "seed": seed,
                "checkpoint_uri": checkpoint_uri,
            }
            tuned = tune_model(**learning, trials=tuning_trials, tuning=tuning).after(prepared_gate)
            outlives_its_pod(tuned)
            trained = train_model(**learning, best_parameters=tuned.outputs["best_parameters"])
            outlives_its_pod(trained)
            evaluated = evaluate_model(
                model=trained.outputs["model"],
                champion=champion.outputs["model"],
                champion_version=resolved.outputs["champion_version"],
                test_data=prepared.outputs["test_data"],
                label_spec=prepared.outputs["label_spec"],
                slices=slices,
                resamples=resamples,
                confidence=confidence,
                weight=weight,
                seed=seed,
            )
            outlives_its_pod(evaluated)
            judged_model = validate_model(
                evaluation=evaluated.outputs["evaluation"],
                thresholds=thresholds,
            )
            model_gate = stop_unless_passed(judged_model, "model")

            explained = explain_model(
                model=trained.outputs["model"],
                data=prepared.outputs["test_data"],
                slices=slices,
                rows=explained_rows,
                background=explanation_background,
                pairs=1,
                examples=explanation_examples,
                confidence=confidence,
                seed=seed,
            ).after(model_gate)
            outlives_its_pod(explained)
            proven = validate_serving(
                model=trained.outputs["model"],
                test_data=prepared.outputs["test_data"],
                predictions=evaluated.outputs["predictions"],
                model_name=model_name,
                serving=serving,
                trial=serving_trial,
            ).after(model_gate)
            serving_gate = stop_unless_passed(proven, "serving")

            register_model(
                model=trained.outputs["model"],
                statistics=described.outputs["statistics"],
                evaluation=evaluated.outputs["evaluation"],
                rules=judged_model.outputs["rules"],
                explanation=explained.outputs["explanation"],
                app=app_files.output,
                model_name=model_name,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                app_version=app_version,
                code_version=code_version,
                fingerprint=inspected.outputs["fingerprint"],
                source=source,
                query=query,
                **window,
                data_fingerprint=extracted.outputs["data_fingerprint"],
                watermark=extracted.outputs["watermark"],
                rows=extracted.outputs["rows"],
                split_rows=prepared.outputs["split_rows"],
                label_spec=prepared.outputs["label_spec"],
                verdict=judged_model.outputs["verdict"],
                drift=judged_data.outputs["drift"],
                champion_version=resolved.outputs["champion_version"],
                promote=promote,
                challenge=challenge,
                registry_uri=registry_uri,
            ).set_caching_options(False).after(serving_gate)

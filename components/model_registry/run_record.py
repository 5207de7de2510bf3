"""The record of a pipeline run in MLflow: a run for the whole, a nested run for each step.

Publishing again finds what is there by its tags and completes it, so a run is never there twice.
"""

import json
from collections.abc import Mapping
from typing import Any

from penstock.components.model_registry import mlflow_limits as limits
from penstock.components.model_registry import names
from penstock.components.model_registry.run_account import (
    ENDED_WELL,
    RunAccount,
    StepAccount,
    milliseconds,
)
from penstock.components.model_registry.store import Store, StoredRun

MOST_STEPS = 1_000
NEVER_RAN = ("pending", "skipped")
WELL = ("succeeded", "cached")


def publish_run(store: Store, run: RunAccount) -> StoredRun:
    """Write a run and its steps to MLflow; return the run for the whole."""
    experiment = names.experiment_name(run.argument("model_name") or run.app)
    whole = _whole(store, experiment, run)
    known = {
        found.tags.get(names.TASK, ""): found
        for found in store.runs(experiment, {names.PARENT: whole.id}, MOST_STEPS)
    }
    for step in run.steps:
        if step.state not in NEVER_RAN:
            _publish_step(store, experiment, run, step, whole, known.get(step.task))
    store.log(
        whole.id,
        parameters=_texts(run.arguments),
        metrics=limits.names(_run_metrics(run)),
        tags=_run_tags(run),
        at_ms=milliseconds(run.ended),
    )
    status = "FINISHED" if run.state in ENDED_WELL else "FAILED"
    store.end_run(whole.id, status, milliseconds(run.ended))
    return whole


def _whole(store: Store, experiment: str, run: RunAccount) -> StoredRun:
    tags = {names.RUN_ID: run.id, names.KIND: "run"}
    found = store.runs(experiment, tags)
    return found[0] if found else store.start_run(experiment, run.id, milliseconds(run.started), tags)


def _publish_step(
    store: Store,
    experiment: str,
    run: RunAccount,
    step: StepAccount,
    whole: StoredRun,
    known: StoredRun | None,
) -> None:
    nested = known or _registration(store, experiment, run, step)
    if nested is None:
        nested = store.start_run(
            experiment, step.title, milliseconds(step.started or run.started), {}, parent=whole.id
        )
    ended = milliseconds(step.ended or run.ended)
    store.log(
        nested.id,
        parameters=_texts(step.record.get("parameters") or {}),
        metrics=limits.names(_step_metrics(step)),
        tags={names.PARENT: whole.id, **_step_tags(run, step)},
        at_ms=ended,
    )
    store.end_run(nested.id, "FINISHED" if step.state in WELL else "FAILED", ended)


def _registration(store: Store, experiment: str, run: RunAccount, step: StepAccount) -> StoredRun | None:
    """Return the MLflow run that register_model made for itself, to hold the model."""
    if step.step != "register_model":
        return None
    found = store.runs(experiment, {names.RUN_ID: run.id, names.STEP: step.step})
    return found[0] if found else None


def _run_tags(run: RunAccount) -> dict[str, str]:
    stopped = run.stopped_at
    trained = _succeeded(run, "train_model")
    statistics = run.first("compute_statistics")
    tags = {
        names.PIPELINE: run.pipeline,
        names.APP: run.app,
        names.MODEL: run.argument("model_name"),
        names.STATE: run.state,
        names.APP_VERSION: run.app_version or run.argument("app_version"),
        names.CODE_VERSION: run.code_version or run.argument("code_version"),
        names.FINGERPRINT: str(run.result("inspect_source", "fingerprint") or ""),
        names.WATERMARK: str(run.result("extract_data", "watermark") or ""),
        names.UNTIL: run.argument("until"),
        names.TRAINED: "true" if trained else "",
        names.STATISTICS_URI: _output(statistics, "statistics") if trained else "",
        "penstock.executor": run.executor,
        "penstock.decision": str(run.result("resolve_champion", "reason") or ""),
        "penstock.version": str(run.result("register_model", "version") or ""),
        "penstock.stopped_at": stopped.title if stopped else "",
        "penstock.error": (stopped.error if stopped else "") or run.error,
        "penstock.report": run.report,
    }
    return {name: value for name, value in tags.items() if value}


def _run_metrics(run: RunAccount) -> dict[str, float]:
    evaluated = run.first("evaluate_model")
    metrics = dict(evaluated.metrics) if evaluated else {}
    if run.seconds is not None:
        metrics["seconds"] = run.seconds
    return metrics


def _step_tags(run: RunAccount, step: StepAccount) -> dict[str, str]:
    record, version = step.record, step.record.get("version") or {}
    tags = {
        names.STEP: step.step,
        names.TASK: step.task,
        names.STATE: step.state,
        "penstock.executor": run.executor,
        "penstock.image": str(step.image or version.get("image") or ""),
        names.CODE_VERSION: str(version.get("code") or ""),
        "penstock.reused_from": step.reused_from,
        "penstock.verdict": str(record.get("verdict") or ""),
        "penstock.reasons": json.dumps(step.reasons, ensure_ascii=False) if step.reasons else "",
        "penstock.error": step.error,
        "penstock.exit_code": str(record.get("exit_code", "")),
        "penstock.log": step.log,
        **{f"penstock.input.{name}": uri for name, uri in (record.get("inputs") or {}).items()},
        **{f"penstock.output.{name}": uri for name, uri in _outputs(step).items()},
        **{f"penstock.result.{name}": text for name, text in _texts(step.results).items()},
    }
    return {limits.name(name): value for name, value in tags.items() if value}


def _step_metrics(step: StepAccount) -> dict[str, float]:
    metrics = dict(step.metrics)
    if step.started and step.ended:
        metrics["seconds"] = (milliseconds(step.ended) - milliseconds(step.started)) / 1000
    if step.peak_mib is not None:
        metrics["peak_mib"] = step.peak_mib
    return metrics


def _outputs(step: StepAccount) -> Mapping[str, str]:
    return step.outputs or step.record.get("outputs") or {}


def _output(step: StepAccount | None, name: str) -> str:
    return str(_outputs(step).get(name, "")) if step else ""


def _succeeded(run: RunAccount, step: str) -> bool:
    found = run.first(step)
    return found is not None and found.state in WELL


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as MLflow keeps them: texts, the longest shortened."""
    return {
        limits.name(name): limits.shorten(
            value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False),
            limits.LONGEST_PARAMETER,
        )
        for name, value in values.items()
    }

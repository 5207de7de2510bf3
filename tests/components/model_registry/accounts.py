"""Runs as notify knows them."""

from typing import Any

from penstock.components.model_registry.run_account import RunAccount, StepAccount

AT = "2026-11-21T10:00:{:02d}.000+00:00"


def step(name: str, state: str = "succeeded", at: int = 1, **fields: Any) -> StepAccount:
    """Return a step that took two seconds; fields of its record are given by name."""
    outputs = fields.pop("outputs", {})
    record = {
        "step": name,
        "state": state,
        "version": {"image": f"penstock/{name}:1", "code": "c1"},
        **fields,
    }
    return StepAccount(
        task=name.replace("_", "-"),
        title=name.replace("_", " "),
        step=name,
        state=state,
        started=AT.format(at),
        ended=AT.format(at + 2),
        record=record,
        outputs=outputs,
    )


def trained_run(run_id: str = "run-1", **fields: Any) -> RunAccount:
    """Return a run that registered version 1."""
    given: dict[str, Any] = {
        "id": run_id,
        "pipeline": "training",
        "app": "taxi",
        "state": "succeeded",
        "executor": "local",
        "started": AT.format(0),
        "ended": AT.format(40),
        "arguments": {"model_name": "taxi", "until": "2015-01-01", "label": {"name": "big_tip"}},
        "app_version": "a1",
        "code_version": "c1",
        "steps": [
            step("inspect_source", results={"fingerprint": "f1"}),
            step("compute_statistics", at=3, outputs={"statistics": "/runs/run-1/statistics"}),
            step("validate_data", at=5, results={"verdict": "pass", "drift": "none"}),
            step("train_model", at=7, parameters={"seed": 7}),
            step("evaluate_model", at=10, metrics={"auc": 0.75, "auc_low": 0.7, "auc_high": 0.8}),
            step("register_model", at=20, results={"version": "1", "promoted": True}),
        ],
    }
    return RunAccount(**{**given, **fields})

"""Reads the account of a local run from its folder."""

import json
from pathlib import Path
from typing import Any

from penstock.components.model_registry.run_account import RunAccount, StepAccount, settled_state
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.record import now

RUNNING = "running"


def read_local_run(folder: Path) -> RunAccount:
    """Return the run whose folder this is; it ends now, but for this very step.

    Raises:
        StepError: run.json is missing or is none.
    """
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        steps = [_step(folder, found, content["steps"]) for found in content["steps"] if not _is_exit(found)]
        state = content["state"]
        return RunAccount(
            id=content["id"],
            pipeline=content["pipeline"],
            app=content["app"],
            state=settled_state(steps) if state == RUNNING else state,
            steps=steps,
            executor="local",
            started=content.get("started", ""),
            ended=content.get("ended") or now(),
            arguments=content.get("arguments") or {},
            app_version=content.get("app_version", ""),
            code_version=content.get("code_version", ""),
            error=content.get("error", ""),
            report=str(folder / "index.html"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError(
            f"{path} does not tell how the run went ({type(error).__name__}: {error}): look into {folder / 'logs'}"
        ) from error


def _step(folder: Path, found: dict[str, Any], steps: list[dict[str, Any]]) -> StepAccount:
    return StepAccount(
        task=found["task"],
        title=found.get("title") or found["task"],
        step=found["step"],
        state=found["state"],
        started=found.get("started") or "",
        ended=found.get("ended") or "",
        record=found.get("record") or {},
        image=found.get("image") or "",
        reused_from=found.get("reused_from") or "",
        peak_mib=found.get("peak_mib"),
        outputs=found.get("outputs") or {},
        evidence=_evidence(folder, found, steps),
        log=str(folder / found["log"]) if found.get("log") else "",
    )


def _evidence(folder: Path, found: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    """Return the report of the step that a gate judged; empty when there is none."""
    if found["state"] != "blocked":
        return ""
    by_task = {step["task"]: step for step in steps}
    for task in found.get("upstream") or []:
        reports = by_task.get(task, {}).get("reports") or {}
        if reports:
            return str(folder / (reports.get("report") or next(iter(reports.values()))))
    return str(((found.get("record") or {}).get("inputs") or {}).get("evidence") or "")


def _is_exit(found: dict[str, Any]) -> bool:
    return bool(found.get("is_exit")) or found["step"] == "notify"

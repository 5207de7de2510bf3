"""What the command line says at the end of a run, and what the run page begins with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.html_report.numbers import duration, number
from penstock.errors import UserError
from penstock.local.request import PROCESS
from penstock.local.runs import Run, Step, read_run

MOST_METRICS = 4
WIDTH = 12  # of the labels
LOOK_BACK = 20  # runs


@dataclass(frozen=True)
class Metric:
    """A metric of the challenger on the test split, with its confidence interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    primary: bool = False

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.name} {number(self.value, 3)}"
        return f"{self.name} {number(self.value, 3)} [{number(self.low, 3)}, {number(self.high, 3)}]"


def evaluation_of(run: Run) -> dict[str, Any] | None:
    """Return what evaluate_model found; none when nothing was evaluated."""
    step = run.first("evaluate_model")
    folder = (step.outputs if step else {}).get("evaluation")
    if not folder:
        return None
    try:
        found = json.loads((Path(folder) / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "overall" in found else None


def key_metrics(run: Run, most: int = MOST_METRICS) -> list[Metric]:
    """Return the challenger's first metrics, the primary one first; none when nothing was evaluated."""
    evaluation = evaluation_of(run)
    if evaluation is None:
        return []
    values, primary = evaluation["overall"]["challenger"], evaluation.get("primary_metric", "")
    names = sorted(values, key=lambda name: name != primary)
    return [_metric(name, values[name], name == primary) for name in names[:most]]


def against_champion(run: Run) -> str:
    """Return how the challenger's primary metric differs from the champion's; empty without a champion."""
    evaluation = evaluation_of(run)
    if evaluation is None or not evaluation.get("champion_version"):
        return ""
    version, primary = evaluation["champion_version"], evaluation["primary_metric"]
    difference = (evaluation["overall"].get("difference") or {}).get(primary)
    if difference is None or difference.get("value") is None:
        return f"not comparable: version {version} cannot be scored on these rows"
    change = _metric(primary, difference, primary=True)
    if not _excludes_zero(difference):
        return f"no clear difference from version {version} on the same rows: {change}"
    better = (difference["value"] > 0) == evaluation["metrics"][primary]["higher_is_better"]
    return f"{'better' if better else 'worse'} than version {version} on the same rows: {change}"


def _metric(name: str, value: dict[str, Any], primary: bool) -> Metric:
    return Metric(name, value.get("value"), value.get("low"), value.get("high"), primary)


def _excludes_zero(value: dict[str, Any]) -> bool:
    low, high = value.get("low"), value.get("high")
    return low is not None and high is not None and (low > 0 or high < 0)


def verdicts(run: Run) -> Iterator[tuple[str, Step, dict[str, Any]]]:
    """Yield each step that judged: what it judged, the step, its results."""
    names = {
        "validate_data": "data",
        "prepare_data": "prepared",
        "validate_model": "model",
        "validate_serving": "serving",
        "predict_batch": "batch",
    }
    for step in run.steps:
        if step.results.get("verdict"):
            yield names.get(step.step, step.title), step, step.results


def headline(run: Run) -> str:
    """Return how the run ended, in a sentence."""
    took = duration(run.seconds)
    if run.state == "unchanged":
        reason = next((step.results["reason"] for step in run.steps if step.results.get("reason")), "")
        return f"unchanged after {took}: {reason or 'nothing to train'}"
    if run.state == "succeeded":
        done = sum(step.state == "cached" for step in run.steps)
        ran = sum(step.state == "succeeded" and bool(step.image) for step in run.steps)
        return f"succeeded in {took}: {ran} steps ran, {done} reused"
    if run.state == "running":
        return f"running for {took}"
    stopped = run.stopped_at
    at = f" at {stopped.title}" if stopped else ""
    return f"{run.state} after {took}{at}"


def summary(run: Run, folder: Path) -> str:
    """Return the last words about a run, for stdout."""
    where = f" ({run.executor})" if run.executor != PROCESS else ""
    lines = [f"{run.pipeline}, app {run.app}, run {run.id}{where}: {headline(run)}", ""]
    metrics = key_metrics(run)
    for name, step, results in verdicts(run):
        lines.append(_line(name, _verdict_text(step, results, metrics)))
    if compared := against_champion(run):
        lines.append(_line("champion", compared))
    registered = run.first("register_model")
    if registered is not None and registered.results.get("version"):
        promoted = "promoted to champion" if registered.results.get("promoted") else "not promoted"
        name = run.arguments.get("model_name", run.app)
        lines.append(_line("registered", f"{name} version {registered.results['version']}, {promoted}"))
    lines.append(_line("report", shown(folder / "index.html")))
    told = next((step for step in run.steps if step.is_exit and step.state == "failed"), None)
    if told is not None:
        lines.append(_line("warning", f"{told.title} failed: {told.error} (log: {shown(folder / told.log)})"))
    lines.append("")
    lines.extend(last_lines(run, folder))
    return "\n".join(lines)


def last_lines(run: Run, folder: Path) -> list[str]:
    """Return what to do next; after a failure in three lines: what broke, where its log is, what to type."""
    command = run.command or "penstock run"
    if run.state == "unchanged":
        return [_line("next", f"{command} --force  trains all the same")]
    if run.state == "succeeded":
        other = previous_run(run, folder)
        return [
            _line("next", f"penstock runs compare {other} latest  shows what differs")
            if other
            else _line("next", "open the report in a browser; penstock runs show latest  shows the steps")
        ]
    if run.state == "interrupted":
        return [_line("next", f"{command}  goes on with the step that had not finished")]
    stopped = run.stopped_at
    if run.error or stopped is None:
        log = shown(folder / "logs" / "runner.log")
        return [
            _line("error", run.error or "the run ended without a reason"),
            _line("log", log),
            _line("next", f"report it with this log; then {command}"),
        ]
    log = shown(folder / stopped.log) if stopped.log else "none"
    if stopped.state == "blocked":
        evidence = evidence_of(run, stopped)
        where = f"{log}; evidence: {shown(folder / evidence)}" if evidence else log
        return [
            _line("blocked", stopped.error),
            _line("log", where),
            _line("next", f"mend what it names, then {command}"),
        ]
    next_ = (
        "it goes on with this step"
        if (stopped.record or {}).get("exit_code") != 1
        else "a bug: its traceback is in the log"
    )
    return [
        _line("error", f"{stopped.title}: {stopped.error}"),
        _line("log", log),
        _line("next", f"mend it, then {command}  ({next_})"),
    ]


def evidence_of(run: Run, gate: Step) -> str:
    """Return the report that a gate judged by, relative to the run folder; empty when there is none."""
    for name in gate.upstream:
        reports = run.step_of(name).reports
        if reports:
            return reports.get("report", next(iter(reports.values())))
    return ""


def previous_run(run: Run, folder: Path) -> str:
    """Return the id of the last run before this one that judged a model of the same app; empty when there is none."""
    earlier = sorted((path for path in folder.parent.glob("[0-9]*") if path.name < folder.name), reverse=True)
    for path in earlier[:LOOK_BACK]:
        try:
            other = read_run(path)
        except UserError:
            continue
        if (other.pipeline, other.app) == (run.pipeline, run.app) and other.state in ("succeeded", "blocked"):
            return other.id
    return ""


def shown(path: Path) -> str:
    """Return a path the shorter way: from the working directory, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _verdict_text(step: Step, results: dict[str, Any], metrics: list[Metric]) -> str:
    parts = [str(results["verdict"])]
    if results.get("drift"):
        parts.append(f"drift: {results['drift']}")
    if step.step == "validate_model" and metrics:
        parts.append(", ".join(map(str, metrics)))
    if results["verdict"] != "pass" and results.get("reasons"):
        first, *others = results["reasons"]
        parts.append(f"{first}{f' (and {len(others)} more)' if others else ''}")
    return "; ".join(parts)


def _line(label: str, text: str) -> str:
    return f"{label:<{WIDTH}}{text}"

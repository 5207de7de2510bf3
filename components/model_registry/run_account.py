"""The account of a pipeline run, wherever it ran: what notify tells and MLflow keeps."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDED_WELL = ("succeeded", "unchanged")


@dataclass(frozen=True)
class StepAccount:
    """One step of a run; `record` is its step record, empty when it left none."""

    task: str
    title: str
    step: str
    state: str  # pending running succeeded cached failed blocked skipped interrupted
    started: str = ""  # ISO 8601
    ended: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""
    reused_from: str = ""
    peak_mib: float | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)  # URI of each output artifact
    evidence: str = ""  # where to look: a report
    log: str = ""
    message: str = ""  # what the platform says of a step that left no record: OOMKilled
    attempts: int = 1  # how often its container ran

    @property
    def results(self) -> Mapping[str, Any]:
        """Its output parameters."""
        return self.record.get("results") or {}

    @property
    def error(self) -> str:
        """What went wrong, in its own words or the platform's."""
        return str(self.record.get("error") or self.message)

    @property
    def reasons(self) -> list[str]:
        """Why it was blocked, worst first."""
        return list(self.record.get("reasons") or [])

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers that it measured."""
        found = self.record.get("metrics") or {}
        return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}


@dataclass(frozen=True)
class RunAccount:
    """A run and its steps, in the order of the pipeline; the exit handler is not among them."""

    id: str
    pipeline: str
    app: str
    state: str  # running cancelling; succeeded unchanged blocked failed interrupted cancelled
    steps: list[StepAccount]
    executor: str  # where it ran: local or kfp
    started: str = ""
    ended: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    app_version: str = ""
    code_version: str = ""
    error: str = ""  # of the runner itself
    report: str = ""
    name: str = ""  # what people call it, where that is not its id
    pipeline_version: str = ""
    handler: StepAccount | None = None  # the exit handler, where the platform tells of it

    def first(self, step: str) -> StepAccount | None:
        """Return the first step made of a component folder that has run or come from the cache."""
        done = ("succeeded", "cached", "failed", "blocked")
        return next((found for found in self.steps if found.step == step and found.state in done), None)

    def result(self, step: str, name: str) -> Any:
        """Return an output parameter of a step; None when there is none."""
        found = self.first(step)
        return found.results.get(name) if found else None

    def argument(self, name: str) -> str:
        """Return a parameter of the run, or that of the first step that was given it."""
        if name in self.arguments:
            return str(self.arguments[name] or "")
        for step in self.steps:
            parameters = step.record.get("parameters") or {}
            if name in parameters:
                return str(parameters[name] or "")
        return ""

    @property
    def stopped_at(self) -> StepAccount | None:
        """The step that ended the run: the first that failed or blocked."""
        return stopped_at(self.steps)

    @property
    def seconds(self) -> float | None:
        """Wall time until `ended`."""
        if not (self.started and self.ended):
            return None
        return (milliseconds(self.ended) - milliseconds(self.started)) / 1000


def stopped_at(steps: list[StepAccount]) -> StepAccount | None:
    """Return the first step that failed, blocked or was interrupted."""
    ended = [step for step in steps if step.state in ("failed", "blocked", "interrupted")]
    return min(ended, key=lambda step: milliseconds(step.started), default=None)


def settled_state(steps: list[StepAccount]) -> str:
    """Return how a run with these steps ended, where nothing else says so."""
    stopped = stopped_at(steps)
    if stopped is not None:
        return stopped.state
    unchanged = any(step.results.get("decision") == "unchanged" for step in steps)
    return "unchanged" if unchanged else "succeeded"


def milliseconds(iso: str) -> int:
    """Return a time as milliseconds since the epoch; 0 when there is none."""
    return int(datetime.datetime.fromisoformat(iso).timestamp() * 1000) if iso else 0

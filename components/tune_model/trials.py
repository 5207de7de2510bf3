"""The trials of a search, as plain data. Standard library only."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class TrialResult:
    """One set of hyperparameters and how far it came.

    Attributes:
        number: From 0.
        state: complete, pruned (stopped early, for it fell behind the others) or failed.
        value: Validation loss of the best epoch; None when it failed.
        parameters: What train_model would be given.
        losses: Validation loss after each epoch.
        error: Why it failed.
        params: Optuna's own values, by their names in the search space.
        distributions: Optuna's description of the space, JSON text by name.
    """

    number: int
    state: str
    value: float | None
    parameters: dict[str, Any]
    losses: list[float]
    error: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """All trials of a search, in the order in which they ran."""

    trials: list[TrialResult] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)  # share of the variance, by parameter
    asked: int = 0  # trials that were wanted
    label: str = ""
    seed: int = 0

    @property
    def best(self) -> TrialResult | None:
        """The complete trial with the lowest validation loss; the first of equals."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return min(complete, key=lambda trial: (trial.value, trial.number), default=None)


def write_trials(folder: Path, search: Search) -> None:
    """Write trials.json."""
    best = search.best
    text = {
        "format": FORMAT,
        "objective": "validation_loss",
        "direction": "minimize",
        "seed": search.seed,
        "best": None if best is None else best.number,
        "importance": search.importance,
        "trials": [plain(trial) for trial in search.trials],
    }
    folder.mkdir(parents=True)
    (folder / "trials.json").write_text(json.dumps(text, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def plain(trial: TrialResult, whole: bool = False) -> dict[str, Any]:
    """Return a trial as a dict; `whole` keeps what only Optuna needs."""
    found = asdict(trial)
    if not whole:
        del found["params"], found["distributions"]
    return found

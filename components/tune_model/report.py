"""The page of a search: its history, which parameters mattered, all trials. Standard library only."""

import math
from pathlib import Path
from typing import Any

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number
from penstock.components.html_report.page import Column, Page
from penstock.components.tune_model.trials import Search, TrialResult

MOST_TRIALS_LISTED = 200


def write_report(path: Path, search: Search) -> None:
    """Write the page."""
    if not search.trials or search.best is None:
        page = Page("Tuning")
        page.verdict("info", "Tuning is off: the model is trained with the settings of app.yaml.")
        page.text("Set tuning.trials in app.yaml to the number of trials to search hyperparameters.")
        page.write(path)
        return
    best, counts = search.best, {s: _count(search, s) for s in ("complete", "pruned", "failed")}
    page = Page("Tuning", subtitle=f"{search.label}, {len(search.trials)} trials, seed {search.seed}")
    page.verdict(
        "info",
        f"Trial {best.number} is the best of {len(search.trials)}: validation loss {number(best.value)} "
        f"after epoch {best.losses.index(min(best.losses)) + 1}.",
    )
    page.facts(
        {
            "Best validation loss": best.value,
            "Trials": f"{len(search.trials)} of {search.asked}",
            "Complete": counts["complete"],
            "Pruned": counts["pruned"],
            "Failed": counts["failed"],
        }
    )
    page.heading("Best parameters")
    page.table(["Parameter", "Value"], [[n, show(v)] for n, v in sorted(best.parameters.items())])
    page.heading("History")
    page.figure(_history(search), "Complete trials only; lower is better.")
    if search.importance:
        names = list(search.importance)
        shares = [search.importance[name] for name in names]
        page.figure(
            charts.bars(names, shares, "Importance of the parameters"),
            "Share of the loss's variance that a parameter explains (fANOVA).",
        )
    page.heading("Trials")
    _table(page, search)
    page.write(path)


def _history(search: Search) -> str:
    complete = [trial for trial in search.trials if trial.value is not None and trial.state == "complete"]
    x = [float(trial.number) for trial in complete]
    values = [float(trial.value or 0.0) for trial in complete]
    lowest, so_far = math.inf, []
    for value in values:
        lowest = min(lowest, value)
        so_far.append(lowest)
    series = [charts.Series("trial", x, values), charts.Series("best so far", x, so_far, dashed=True)]
    return charts.line(series, "trial", "validation loss", "Validation loss of each trial")


def _table(page: Page, search: Search) -> None:
    names = sorted({name for trial in search.trials for name in trial.parameters})
    order = {"complete": 0, "pruned": 1, "failed": 2}
    ranked = sorted(search.trials, key=lambda t: (order[t.state], math.inf if t.value is None else t.value))

    def row(trial: TrialResult) -> list[Any]:
        own = [show(trial.parameters.get(name)) for name in names]
        return [trial.number, trial.state, trial.value, len(trial.losses), *own]

    columns: list[Column | str] = [
        Column("Trial"),
        "State",
        Column("Validation loss", True),
        Column("Epochs", True),
        *names,
    ]
    page.table(columns, [row(trial) for trial in ranked[:MOST_TRIALS_LISTED]], caption="Best first")
    if len(ranked) > MOST_TRIALS_LISTED:
        page.note(f"The first {MOST_TRIALS_LISTED} of {len(ranked)}; trials.json has all.")
    for trial in ranked:
        if trial.error:
            page.note(f"Trial {trial.number} failed: {trial.error}")


def show(value: Any) -> str:
    """Return a hyperparameter as text."""
    if isinstance(value, list):
        return ", ".join(show(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _count(search: Search, state: str) -> int:
    return sum(trial.state == state for trial in search.trials)

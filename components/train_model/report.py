"""The page of a training: how it went, with what settings, from which features."""

import math
from collections.abc import Sequence
from pathlib import Path

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number
from penstock.components.html_report.page import Column, Page
from penstock.components.tabular_model.examples import Examples
from penstock.components.tabular_model.job import Job
from penstock.components.tabular_model.metrics import HIGHER_IS_BETTER, PRIMARY
from penstock.components.tabular_model.settings import DEFAULTS, SETTINGS
from penstock.components.tabular_model.training import Trained

LOSS = {
    "binary": "log loss",
    "multiclass": "log loss",
    "regression": "squared error (label's variance = 1)",
}
MOST_FEATURES_LISTED = 300


def write_report(
    path: Path, job: Job, examples: Examples, trained: Trained, measured: dict[str, float]
) -> None:
    """Write the page."""
    primary, best, last = PRIMARY[job.label.task], trained.best, len(trained.history)
    rows = f"{examples.train.rows:,} training and {examples.validation.rows:,} validation rows"
    page = Page("Training", subtitle=f"{job.label.name} ({job.label.task}), {rows}")
    judged = best.validation_primary if examples.validation.rows else best.train_primary
    where = "validation" if examples.validation.rows else "training"
    page.verdict("info", _sentence(job, trained, f"{where} {primary} {number(judged)}"))
    page.facts(
        {
            f"Validation {primary}": measured.get(f"validation_{primary}"),
            f"Training {primary}": measured.get(f"train_{primary}"),
            "Best epoch": f"{trained.best_epoch} of {last}",
            "Training rows": examples.train.rows,
            "Validation rows": examples.validation.rows,
            "Features": len(examples.plan.describe()),
        }
    )
    page.heading("Learning curves")
    _curves(page, trained, job.label.task, primary)
    page.heading("Metrics")
    names = sorted({name.split("_", 1)[1] for name in measured})
    page.table(
        [Column("Metric"), Column("Training", numeric=True), Column("Validation", numeric=True)],
        [[n, measured.get(f"train_{n}"), measured.get(f"validation_{n}")] for n in names],
        caption=f"Of the weights after epoch {trained.best_epoch}",
    )
    _features(page, examples)
    weights = sum(math.prod(v.shape) for v in trained.network.trainable_variables)
    page.heading("Settings")
    page.table(
        ["Setting", "Value", "Default", "Meaning"],
        [[n, _plain(v), _plain(DEFAULTS[n]), SETTINGS[n].doc] for n, v in job.settings.items()],
        caption=f"Seed {job.seed}; {weights:,} weights in the network"
        + (f"; each row counts by its {job.weight}" if job.weight else ""),
    )
    page.write(path)


def _sentence(job: Job, trained: Trained, judged: str) -> str:
    epochs = len(trained.history)
    if epochs < job.settings["epochs"]:
        end = f"stopped early after {epochs} epochs, when the validation loss had stopped falling"
    else:
        end = f"trained all {epochs} epochs"
    text = f"{judged[0].upper()}{judged[1:]} after epoch {trained.best_epoch}; {end}."
    if epochs == job.settings["epochs"] == trained.best_epoch and epochs > 1:
        text += " The last epoch was the best: more epochs may help."
    return text


def _curves(page: Page, trained: Trained, task: str, primary: str) -> None:
    mark = (float(trained.best_epoch), "best")
    epochs = [float(epoch.number) for epoch in trained.history]

    def draw(pairs: Sequence[tuple[str, list[float]]], y_label: str, title: str) -> str:
        series = [charts.Series(n, epochs, y) for n, y in pairs if any(math.isfinite(v) for v in y)]
        return charts.line(series, "epoch", y_label, title, mark_x=mark)

    loss = [
        ("training", [epoch.train_loss for epoch in trained.history]),
        ("validation", [epoch.validation_loss for epoch in trained.history]),
    ]
    metric = [
        ("training", [epoch.train_primary for epoch in trained.history]),
        ("validation", [epoch.validation_primary for epoch in trained.history]),
    ]
    better = "higher" if HIGHER_IS_BETTER[primary] else "lower"
    page.figure(draw(loss, LOSS[task], "Loss"), "Training: mean over the epoch, while the weights changed.")
    page.figure(draw(metric, primary, primary), f"After each epoch; {better} is better.")


def _features(page: Page, examples: Examples) -> None:
    page.heading("Features")
    plan, made = examples.plan, {f.name for f in examples.row_features.features if f.made}
    used = plan.describe()
    present = {feature.name for feature in examples.row_features.features}
    dropped = list(plan.dropped.items())
    dropped += [(i.name, "features.py took it away") for i in examples.inputs if i.name not in present]
    if dropped:
        page.table(
            ["Not used", "Why"], dropped[:MOST_FEATURES_LISTED], caption=_counted(len(dropped), "not used")
        )
    rows = [[n, how, "features.py" if n in made else "data"] for n, how in used[:MOST_FEATURES_LISTED]]
    with page.details(_counted(len(used), "used"), open_=len(used) <= 40):
        page.table(["Feature", "Enters as", "From"], rows)
        if len(used) > MOST_FEATURES_LISTED:
            page.note(f"The first {MOST_FEATURES_LISTED} of {len(used)}.")


def _counted(count: int, what: str) -> str:
    return f"{count} feature{'' if count == 1 else 's'} {what}"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {item}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)

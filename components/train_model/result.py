"""One training from data to files: model, metrics, report."""

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock.components.tabular_model import metrics
from penstock.components.tabular_model.checkpoints import TrainingCheckpoints, open_store
from penstock.components.tabular_model.example_answers import write_example_answers
from penstock.components.tabular_model.examples import Examples, Split
from penstock.components.tabular_model.export import save_model, write_model_json
from penstock.components.tabular_model.job import Job
from penstock.components.tabular_model.network import Network
from penstock.components.tabular_model.training import Epoch, predict, train
from penstock.components.train_model.report import write_report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What the step tells about a training."""

    epochs: int
    metrics: dict[str, float]


def train_and_write(job: Job, checkpoint_uri: str, model: Path, metrics_file: Path, report: Path) -> Result:
    """Train, export the best epoch's model, measure it on training and validation rows, write the report."""
    began = time.monotonic()
    examples = job.examples()
    log.info(
        "read %d training and %d validation rows, %d features used, in %.1f s",
        examples.train.rows,
        examples.validation.rows,
        len(examples.plan.describe()),
        time.monotonic() - began,
    )
    name = metrics.PRIMARY[job.label.task]
    store = open_store(checkpoint_uri, job.key("train")) if checkpoint_uri else None
    with TrainingCheckpoints(store) as checkpoints:
        began = time.monotonic()
        trained = train(
            examples, job.settings, job.seed, job.own, checkpoints, lambda epoch: _log_epoch(epoch, name)
        )
        log.info(
            "trained %d epochs in %.1f s; epoch %d is the best",
            len(trained.history),
            time.monotonic() - began,
            trained.best_epoch,
        )
        measured = {
            **measure_split(trained.network, examples, examples.train, "train"),
            **measure_split(trained.network, examples, examples.validation, "validation"),
        }
        model.mkdir(parents=True)
        predict_saved = save_model(examples, trained.network, model / "saved_model")
        write_example_answers(model / "examples.json", examples, predict_saved)
        write_model_json(model / "model.json", examples, job.settings, job.seed)
        metrics_file.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
        write_report(report, job, examples, trained, measured)
    return Result(len(trained.history), measured)


def measure_split(network: Network, examples: Examples, split: Split, prefix: str) -> dict[str, float]:
    """Return all metrics of a split's rows, as <prefix>_<metric>."""
    predicted, targets, weights = [], [], []
    for rows in split.blocks():
        predicted.append(predict(network, examples, [rows]))
        targets.append(rows.target.numpy())
        weights.append(rows.weight.numpy())
    if not targets:
        return {}
    target = np.concatenate(targets)
    if examples.label.task == "regression":
        target = target.astype(np.float64) * examples.scale.deviation + examples.scale.mean
    found = metrics.measure(examples.label, target, np.concatenate(predicted), np.concatenate(weights))
    return {f"{prefix}_{name}": value for name, value in found.items()}


def _log_epoch(epoch: Epoch, primary: str) -> None:
    log.info(
        "epoch %d: loss %.4f, validation loss %.4f, validation %s %.4f",
        epoch.number,
        epoch.train_loss,
        epoch.validation_loss,
        primary,
        epoch.validation_primary,
    )

"""The search: Optuna proposes, the training function of train_model judges.

Each trial's sampler is seeded by the search's seed and the trial's number, and sees all trials before
it: a search that was killed and goes on ends where an uninterrupted one would.
"""

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import optuna

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.checkpoints import Store, open_store
from penstock.components.tabular_model.examples import Examples
from penstock.components.tabular_model.job import Job
from penstock.components.tabular_model.search_space import search_space
from penstock.components.tabular_model.training import Diverged, Epoch, train
from penstock.components.tune_model.trials import Search, TrialResult, plain

log = logging.getLogger(__name__)

FILE = "trials.json"
STARTUP_TRIALS = 5  # trials that are never pruned: the median of fewer says little
WARMUP_EPOCHS = 1
IMPORTANCE_TRIALS = 4  # complete trials needed for importances
ENCODING = ("max_vocabulary", "min_count", "numeric_bins", "hash_buckets", "kinds", "max_rows_in_memory")
STATES = {
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}


def search(job: Job, trials: int, timeout_s: float, checkpoint_uri: str) -> Search:
    """Run trials until there are enough or the time is up.

    The same inputs and seed give the same trials, unless a timeout ends the search early.

    Args:
        job: What is trained; its settings hold where the search space is silent.
        trials: Trials in all, those of an interrupted search included.
        timeout_s: No trial starts after this many seconds; 0 is no limit.
        checkpoint_uri: Where finished trials are kept, so that a killed search goes on; empty keeps none.

    Raises:
        StepError: No trial was completed, or the app's code raises.
    """
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = search_space(job.code)
    store = open_store(checkpoint_uri, job.key("tune")) if checkpoint_uri else None
    try:
        found = _run(job, space, trials, timeout_s, store)
        if not any(trial.state == "complete" for trial in found):
            reason = next((trial.error for trial in reversed(found) if trial.error), "all were pruned")
            raise StepError(f"none of {len(found)} trials was completed: {reason}")
        if store is not None:
            store.remove([FILE])
    finally:
        if store is not None:
            store.close()
    return Search(found, _importance(found, job.seed), trials, job.label.name, job.seed)


def _run(job: Job, space: Any, trials: int, timeout_s: float, store: Store | None) -> list[TrialResult]:
    found = _finished(store)[:trials]
    if found:
        log.info("going on after %d finished trials", len(found))
    encoded = _Encoded()
    began = time.monotonic()
    study = _study(found)
    while len(found) < trials:
        if timeout_s and time.monotonic() - began >= timeout_s and found:
            log.warning("the search ends after %d of %d trials: timeout_s is over", len(found), trials)
            break
        number = len(found)
        study.sampler = optuna.samplers.TPESampler(seed=(job.seed * 1_000_003 + number) % 2**32)
        done = _try(study, study.ask(), job, space, encoded)
        found.append(done)
        log.info("trial %d: %s, validation loss %s", number, done.state, done.value)
        if store is not None and not _keep(store, found):
            store = None
    return found


def _try(study: optuna.Study, trial: optuna.Trial, job: Job, space: Any, encoded: "_Encoded") -> TrialResult:
    parameters = space(trial)
    tried = job.with_parameters(parameters)
    losses: list[float] = []
    state, error = "complete", ""

    def watch(epoch: Epoch) -> None:
        losses.append(epoch.validation_loss)
        trial.report(epoch.validation_loss, epoch.number)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        train(encoded.examples(tried), tried.settings, job.seed, job.own, on_epoch=watch)
        study.tell(trial, min(losses))
    except optuna.TrialPruned:
        state = "pruned"
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Diverged as diverged:
        state, error = "failed", str(diverged)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return TrialResult(
        trial.number,
        state,
        min(losses) if losses and state != "failed" else None,
        parameters,
        losses,
        error,
        dict(trial.params),
        {name: optuna.distributions.distribution_to_json(d) for name, d in trial.distributions.items()},
    )


class _Encoded:
    """The encoded rows, made again only when a trial changes the encoding."""

    def __init__(self) -> None:
        self._of: list[Any] = []
        self._examples: Examples | None = None

    def examples(self, job: Job) -> Examples:
        wanted = [job.settings[name] for name in ENCODING]
        if self._examples is None or wanted != self._of:
            self._examples = job.examples()
            self._of = wanted
            if not self._examples.validation.rows:
                raise StepError(
                    "tuning needs validation rows, and there are none: set split.validation above 0"
                )
        return self._examples


def _study(found: Sequence[TrialResult]) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    for trial in found:
        study.add_trial(_frozen(trial))
    return study


def _frozen(trial: TrialResult) -> optuna.trial.FrozenTrial:
    read = optuna.distributions.json_to_distribution
    return optuna.trial.create_trial(
        state=STATES[trial.state],
        value=trial.value if trial.state == "complete" else None,
        params=trial.params,
        distributions={name: read(text) for name, text in trial.distributions.items()},
        intermediate_values={i + 1: loss for i, loss in enumerate(trial.losses)},
    )


def _keep(store: Store, found: Sequence[TrialResult]) -> bool:
    """Write the finished trials; a store that fails is told once."""
    try:
        store.write(FILE, json.dumps([plain(trial, whole=True) for trial in found]).encode())
    except Exception as error:  # noqa: BLE001 - a full disk or a cloud error must not end the search
        log.warning("the finished trials are not kept: %s cannot be written (%s)", store.folder, error)
        return False
    return True


def _finished(store: Store | None) -> list[TrialResult]:
    """Return the trials of an interrupted search with the same inputs."""
    content = store.read(FILE) if store is not None else None
    if content is None:
        return []
    try:
        return [TrialResult(**trial) for trial in json.loads(content)]
    except (ValueError, TypeError) as error:
        log.warning("the finished trials cannot be read (%s): starting anew", error)
        return []


def _importance(found: Sequence[TrialResult], seed: int) -> dict[str, float]:
    """Return how much of the loss's variance each parameter explains (fANOVA); empty with too few trials."""
    complete = [trial for trial in found if trial.state == "complete"]
    if len(complete) < IMPORTANCE_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    try:
        shares = optuna.importance.get_param_importances(_study(complete), evaluator=evaluator)
    except (ValueError, RuntimeError) as error:  # a space whose parameters differ from trial to trial
        log.warning("no importances: %s", error)
        return {}
    return {name: round(float(share), 6) for name, share in shares.items()}

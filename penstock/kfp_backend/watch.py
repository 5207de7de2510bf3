"""Shows how a run on KFP goes, step by step as locally, until it ends.

The API pushes nothing: it is asked every few seconds. A lost connection is not the end of a run, so it is
tried again for a while.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.components.html_report.numbers import duration
from penstock.components.model_registry.run_account import RunAccount, StepAccount, milliseconds
from penstock.components.notify.kfp_run import Known
from penstock.components.notify.kfp_spec import IMPORTER
from penstock.errors import UserError
from penstock.kfp_backend import cancellations
from penstock.kfp_backend.client import ApiError, Backend
from penstock.kfp_backend.runs import failed_sentence, is_over, read_run
from penstock.local.account import Watcher
from penstock.local.progress import watcher as fitting_watcher
from penstock.local.runs import Run, Step

INTERVAL_S = 3.0
PATIENCE_S = 120.0  # without an answer
UNPULLABLE = "cannot be pulled"
UNPULLABLE_S = 90.0  # Kubernetes tries for ever; some of its first tries fail by chance
BEFORE = "an earlier run"


class Watch:
    """What has been shown of a run."""

    def __init__(self, backend: Backend, run_id: str, watcher: Watcher | None = None) -> None:
        self.backend, self.run_id = backend, run_id
        self.watcher = watcher or fitting_watcher()
        self.known: Known = {}
        self.run = Run(run_id, "", "")
        self._told: dict[str, str] = {}
        self._silent_since: float | None = None
        self._stuck: dict[str, float] = {}

    def until_the_end(self, sleep: Callable[[float], None] = time.sleep) -> tuple[RunAccount, int]:
        """Return the account of the run when it has ended, and the exit code that stands for it.

        Raises:
            UserError: The API does not answer any more, or the run waits for an image that cannot be pulled.
        """
        try:
            while True:
                account = self._read()
                if account is not None:
                    self._show(account)
                    if is_over(account):
                        return account, failed_sentence(account)[1]
                    self._give_up_on_images(account)
                sleep(INTERVAL_S)
        finally:
            if self.run.pipeline:
                self.watcher.ended(self.run)

    def _read(self) -> RunAccount | None:
        """Return how the run stands; None while the API does not answer."""
        try:
            account = read_run(self.backend, self.run_id, self.known)
        except UserError as error:
            refused = isinstance(error, ApiError) and 400 <= error.status < 500 and error.status != 429
            now = time.monotonic()
            if refused or (self._silent_since is not None and now - self._silent_since > PATIENCE_S):
                raise UserError(
                    f"{error} (the run goes on; `penstock runs show {self.run_id} --env "
                    f"{self.backend.environment.name}` shows it)"
                ) from error
            if self._silent_since is None:
                self._silent_since = now
                if self.run.pipeline:
                    self.watcher.said(f"{error} (trying again for {PATIENCE_S:.0f} s)")
            return None
        self._silent_since = None
        return account

    def _show(self, account: RunAccount) -> None:
        begins = not self.run.pipeline
        self.run.pipeline, self.run.app, self.run.started = account.pipeline, account.app, account.started
        before = {step.task: step.state for step in self.run.steps}
        self.run.steps[:] = [_as_local(step) for step in account.steps]
        if begins:
            self.watcher.started(self.run, Path())
        for step in self.run.steps:
            if step.state != before.get(step.task, "pending"):
                self.watcher.changed(step)
        for told in account.steps:  # why it waits: no node takes it, no image
            waits = told.message if told.state in ("pending", "running") else ""
            reason = UNPULLABLE if UNPULLABLE in waits else waits  # its words alternate
            if waits and self._told.get(told.task) != reason:
                self.watcher.said(f"{told.title}: {waits}")
                self._told[told.task] = reason

    def _give_up_on_images(self, account: RunAccount) -> None:
        """Stop waiting for an image that does not come."""
        now = time.monotonic()
        waiting = {
            step.task: step
            for step in account.steps
            if step.state in ("pending", "running") and UNPULLABLE in step.message
        }
        self._stuck = {task: self._stuck.get(task, now) for task in waiting}
        for task, since in self._stuck.items():
            if now - since > UNPULLABLE_S:
                step = waiting[task]
                raise UserError(
                    f"{step.title}: {step.message}; the run waits for ever: end it with `penstock runs cancel "
                    f"{self.run_id} --env {self.backend.environment.name}`"
                )


def follow(backend: Backend, run_id: str, sleep: Callable[[float], None] = time.sleep) -> int:
    """Show how a run goes until it ends, and how it ended; return the exit code that its steps' records say.

    Ctrl-C leaves it going, and returns 130.

    Raises:
        UserError: As `Watch.until_the_end` does.
    """
    try:
        account, code = Watch(backend, run_id).until_the_end(sleep)
    except KeyboardInterrupt:
        env = backend.environment.name
        print(
            f"\nthe run goes on: penstock runs show {run_id} --env {env} --wait follows it, "
            f"penstock runs cancel {run_id} --env {env} ends it",
            file=sys.stderr,
        )
        return 130
    for line in outcome_lines(cancellations.told(backend.environment, account)):
        print(line)
    return code


def outcome_lines(account: RunAccount) -> Iterator[str]:
    """Yield what is said of a run that has ended: its state, and what stopped it in the step's own words."""
    steps = [step for step in account.steps if step.step != IMPORTER]
    ran = sum(step.state in ("succeeded", "failed", "blocked") for step in steps)
    reused = sum(step.state == "cached" for step in steps)
    yield (
        f"{account.pipeline}, app {account.app}, run {account.name}: {account.state} in {duration(account.seconds)}: "
        f"{ran} steps ran, {reused} reused"
    )
    sentence, _ = failed_sentence(account)
    if sentence:
        yield sentence
        stopped = account.stopped_at
        if stopped is not None and stopped.evidence:
            yield f"evidence: {stopped.evidence}"
    elif account.state == "unchanged":
        yield "nothing has changed since the champion was trained: --force trains anyway"
    yield account.report


def _as_local(step: StepAccount) -> Step:
    """Return a step as the local progress shows it."""
    seconds = None
    if step.started and step.ended:
        seconds = (milliseconds(step.ended) - milliseconds(step.started)) / 1000
    record = dict(step.record)
    if step.error:
        record["error"] = step.error
    return Step(
        task=step.task,
        title=step.title,
        step=step.step,
        state=step.state,
        started=step.started,
        ended=step.ended,
        seconds=seconds,
        reused_from=BEFORE if step.state == "cached" else "",
        record=record,
    )

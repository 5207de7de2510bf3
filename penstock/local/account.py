"""Keeps the account of a run: which step is in which state, since when, with what record."""

import datetime
import os
import signal
import threading
import traceback
from pathlib import Path
from typing import Any, Protocol

from penstock.components.step_io import record as records
from penstock.errors import UserError
from penstock.local import page
from penstock.local.cache import Entry
from penstock.local.plan import IMPORTER, Task
from penstock.local.runs import Run, RunFolder, Step

EXIT_CODES = {"succeeded": 0, "unchanged": 0, "blocked": 3, "interrupted": 130}


class Watcher(Protocol):
    """Is told how a run goes."""

    def started(self, run: Run, folder: Path) -> None:
        """The run has begun."""

    def changed(self, step: Step) -> None:
        """A step has another state."""

    def said(self, text: str) -> None:
        """Something else happened that takes time."""

    def ended(self, run: Run) -> None:
        """The run is over."""


def exit_code(run: Run) -> int:
    """Return the exit code that stands for how a run ended."""
    if run.state in EXIT_CODES:
        return EXIT_CODES[run.state]
    stopped = run.stopped_at
    return 2 if stopped is not None and (stopped.record or {}).get("exit_code") == 2 else 1


class Account:
    """The account of one run, in its folder, told to a watcher as it goes."""

    def __init__(self, folder: RunFolder, watcher: Watcher) -> None:
        self.folder, self.watcher, self.run = folder, watcher, folder.run
        self._lock = threading.Lock()

    def begin(self, name: str) -> Step:
        """Return the step of a task that begins; a task that runs more than once has a step each time."""
        with self._lock:
            step = self.run.step_of(name)
            if step.state != "pending":
                times = sum(1 for other in self.run.steps if other.task.startswith(f"{name}-again-"))
                step = Step(
                    f"{name}-again-{times + 2}",
                    f"{step.title} ({times + 2})",
                    step.step,
                    image=step.image,
                    upstream=step.upstream,
                    is_exit=step.is_exit,
                )
                self.run.steps.append(step)
            if step.step != IMPORTER:
                step.log = f"logs/{step.task}.log"
                (self.folder.path / step.log).touch()
            if step.is_exit:
                self.settle(everything=False)
            step.state, step.started = "running", records.now()
            self.folder.save()
            return step

    def end(self, step: Step, outputs: dict[str, Any], succeeded: bool, hit: Entry | None) -> None:
        """Write down how a step ended; `hit` is the cache entry that stood in for it."""
        if not succeeded:
            blocked = (step.record or {}).get("state") == "blocked"
            self.change(step, state="blocked" if blocked else "failed", ended=records.now())
            return
        step.outputs = {name: value.uri for name, value in outputs.items() if hasattr(value, "uri")}
        step.reports = self._publish_reports(step, outputs)
        if hit is not None:
            step.record, step.reused_from, step.log = hit.record, hit.run, ""
            (self.folder.path / "logs" / f"{step.task}.log").unlink(missing_ok=True)
            self.change(step, state="cached", ended=records.now())
        else:
            self.change(step, state="succeeded", ended=records.now())

    def fail(self, step: Step, error: Exception) -> None:
        """Write down that the runner could not run a step."""
        code = 2 if isinstance(error, UserError) else 1
        text = str(error) if code == 2 else f"{type(error).__name__}: {error}"
        if step.log:
            with self.log(Path(step.log).name).open("a", encoding="utf-8") as output:
                output.write(f"{text}\n" if code == 2 else traceback.format_exc())
        step.record = {**(step.record or {}), "state": "failed", "exit_code": code, "error": text}
        self.change(step, state="failed", ended=records.now())

    def change(self, step: Step, **fields: Any) -> None:
        """Set fields of a step, and tell."""
        for name, value in fields.items():
            setattr(step, name, value)
        if step.ended:
            step.seconds = round(_seconds(step.started, step.ended), 3)
        self.folder.save()
        self.watcher.changed(step)

    def settle(self, everything: bool) -> None:
        """Say how the run ended, and that steps that never began were skipped.

        Args:
            everything: The exit handler has had its turn as well; without it, it is about to begin
                and reads this.
        """
        run = self.run
        for step in run.steps:
            if step.state == "pending" and (everything or not step.is_exit):
                step.state = "skipped"
                self.watcher.changed(step)
        body = [step for step in run.steps if not step.is_exit]
        stopped = min(
            (step for step in body if step.state in ("failed", "blocked")),
            key=lambda step: step.started,
            default=None,
        )
        if run.error or (stopped is not None and stopped.state == "failed"):
            run.state = "failed"
        elif stopped is not None:
            run.state = "blocked"
        elif any(step.results.get("decision") == "unchanged" for step in body):
            run.state = "unchanged"
        else:
            run.state = "succeeded"
        self.folder.save()
        if not everything:
            self.write_page()  # the exit handler may point at it

    def write_page(self) -> None:
        """Write index.html; what goes wrong there goes to a log."""
        try:
            page.write_page(self.run, self.folder.path)
        except Exception:  # noqa: BLE001 - a page that cannot be drawn is no reason to lose a run
            with self.log("runner.log").open("a", encoding="utf-8") as output:
                output.write(traceback.format_exc())

    def _publish_reports(self, step: Step, outputs: dict[str, Any]) -> dict[str, str]:
        """Link each HTML and Markdown output into reports/ under a name that a browser opens."""
        found = {}
        for name, value in outputs.items():
            suffix = {"system.HTML": ".html", "system.Markdown": ".md"}.get(
                getattr(value, "schema_title", "")
            )
            if suffix and Path(value.uri).is_file():
                target = self.folder.path / "reports" / f"{step.task}-{name}{suffix}"
                target.unlink(missing_ok=True)
                try:
                    os.link(value.uri, target)
                except OSError:
                    target.write_bytes(Path(value.uri).read_bytes())
                found[name] = f"reports/{target.name}"
        return found

    def log(self, name: str) -> Path:
        """Return the path of a log."""
        return self.folder.path / "logs" / name


def pending_step(task: Task) -> Step:
    """Return the account of a task that has not begun."""
    return Step(
        task=task.name,
        title=task.title,
        step=task.step,
        image=task.image.name if task.image else "",
        upstream=task.upstream,
        is_exit=task.is_exit,
    )


def last_record(log: Path, begin: int = 0) -> dict[str, Any] | None:
    """Return the last step record in a log, from byte `begin` on."""
    with log.open("rb") as lines:
        lines.seek(begin)
        for line in reversed(lines.read().decode("utf-8", errors="replace").splitlines()):
            if found := records.from_line(line.strip()):
                return found
    return None


def no_record(step: Step, code: int) -> dict[str, Any]:
    """Return a record for a step that ended without one."""
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        error = f"the process was killed by {name}{hint}"
    else:
        error = f"the process ended with exit code {code} and left no step record"
    return {"step": step.step, "state": "failed", "exit_code": code or 1, "error": error}


def _seconds(started: str, ended: str) -> float:
    return (datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(started)).total_seconds()

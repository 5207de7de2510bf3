"""Runs a pipeline on this machine: each step a process in its stack's environment, nothing else needed.

outcome = run_pipeline(Request(project, "training", "taxi"), watcher)
"""

import contextlib
import json
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from penstock.compile_pipeline import compile_pipeline
from penstock.components.step_io import record as records
from penstock.errors import UserError
from penstock.local import cache, kfp_local
from penstock.local.envs import Environments, is_ready
from penstock.local.page import write_page
from penstock.local.plan import IMPORTER, Task, plan
from penstock.local.processes import Processes, end_leftovers, step_environment
from penstock.local.python_path import python_path
from penstock.local.runs import (
    Run,
    RunFolder,
    Step,
    check_state_folder,
    dead_runs,
    mark_interrupted,
    read_run,
    write_run,
)
from penstock.local.warm import WarmProcesses, Wish
from penstock.project import Project
from penstock.versions import PACKAGE, Image, Images, code_version, pin

RUN_ID_PLACEHOLDER = "{{$.pipeline_job_uuid}}"  # crashes kfp.local
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


@dataclass(frozen=True)
class Request:
    """What to run."""

    project: Project
    pipeline: str
    app: str  # name or path
    overrides: Sequence[str] = ()  # key=value
    force: bool = False
    read_cache: bool = True
    command: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Run
    folder: Path
    exit_code: int


def run_pipeline(request: Request, watcher: Watcher) -> Outcome:
    """Run a pipeline to its end.

    Raises:
        UserError: Something is wrong before the first step: app, pipeline, settings, state folder.
    """
    project = request.project
    images = Images(project)
    ir, pinned = pin(compile_pipeline(request.pipeline, project), images)
    version = code_version(ir)
    check_state_folder(project)
    app_name, arguments = pipeline_arguments(request, ir, version)
    bury_dead_runs(project)
    tasks = plan(ir, pinned)
    folder = RunFolder.create(
        project,
        request.pipeline,
        app_name,
        command=records.PASSWORD_IN_URI.sub("***", request.command),
        arguments=json.loads(records.PASSWORD_IN_URI.sub("***", json.dumps(arguments))),
        app_version=str(arguments.get("app_version", "")),
        code_version=version,
        steps=[_step(task) for task in tasks],
    )
    ir = json.loads(json.dumps(ir).replace(RUN_ID_PLACEHOLDER, folder.run.id))
    runner = Runner(request, folder, tasks, images, watcher)
    watcher.started(folder.run, folder.path)
    try:
        with _stop_on_signals(runner.processes):
            runner.run(ir, arguments)
    finally:
        watcher.ended(folder.run)
        folder.close()
    return Outcome(folder.run, folder.path, exit_code(folder.run))


def pipeline_arguments(request: Request, ir: dict[str, Any], version: str) -> tuple[str, dict[str, Any]]:
    """Return the app's name and the values of the pipeline's parameters.

    Raises:
        UserError: app.yaml or a setting is wrong, or a parameter has no value.
    """
    from penstock.app_config import load_app
    from penstock.app_files import app_version, publish

    project = request.project
    app = load_app(project, request.app)
    settings = app.arguments(request.overrides, request.pipeline)
    published = publish(app.folder, project.state, app.name, app.config.schema_file)
    declared = ir["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: value for name, value in settings.items() if name in declared and value is not None}
    filled = {
        "app_uri": published.app_uri,
        "schema_uri": published.schema_uri,
        "code_uri": published.code_uri,
        "app_version": app_version(published, values),
        "code_version": version,
        "registry_uri": os.environ.get("MLFLOW_TRACKING_URI") or project.registry_uri,
        "checkpoint_uri": str(project.state / "checkpoints"),
        "force": request.force,
    }
    values |= {name: value for name, value in filled.items() if name in declared}
    missing = sorted(
        name
        for name, spec in declared.items()
        if name not in values and "defaultValue" not in spec and not spec.get("isOptional")
    )
    if missing:
        raise UserError(
            f"the pipeline {request.pipeline!r} has no value for {', '.join(missing)}: "
            f"write it into {app.settings_path} or give it with --set"
        )
    return app.name, values


def bury_dead_runs(project: Project) -> None:
    """End what is left of runs whose runner died, and write down that they were interrupted."""
    for folder in dead_runs(project):
        end_leftovers(folder)
        with contextlib.suppress(UserError, OSError):
            run = read_run(folder)
            if run.state == "running":
                mark_interrupted(run)
            write_run(folder, run)
        (folder / "lock").unlink(missing_ok=True)


def exit_code(run: Run) -> int:
    """Return the exit code that stands for how a run ended."""
    if run.state in EXIT_CODES:
        return EXIT_CODES[run.state]
    stopped = run.stopped_at
    return 2 if stopped is not None and (stopped.record or {}).get("exit_code") == 2 else 1


class Runner:
    """Does the work of one run: what kfp.local calls."""

    def __init__(
        self, request: Request, folder: RunFolder, tasks: list[Task], images: Images, watcher: Watcher
    ) -> None:
        self.request, self.folder, self.tasks, self.watcher = request, folder, tasks, watcher
        self.project, self.run_state = request.project, folder.run
        self.stacks, self.components = images.stacks, images.components
        self._cacheable = {task.name for task in tasks if task.cacheable}
        self._computed: set[str] = set()  # cacheable steps that were not served from the cache
        self._warming: dict[str, bool] = {}
        self.processes = Processes()
        self.warm = WarmProcesses(self.processes)
        self.environments = Environments(self.project, tell=watcher.said)
        self.python_path = python_path(self.project)
        self._here = threading.local()  # the step that this thread executes
        self._lock = threading.Lock()
        self._cache = self.project.state / "cache"

    def run(self, ir: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Run all steps and settle how the run ended."""
        try:
            self._begin_environments([task for task in self.tasks if not task.cacheable])
            self._warm_up()
            kfp_local.run_pipeline(ir, arguments, self.folder.path, self)
        except KeyboardInterrupt:
            mark_interrupted(self.run_state)
        except Exception as error:  # noqa: BLE001 - a run always ends with an account of it
            self._log("runner.log").write_text(traceback.format_exc(), encoding="utf-8")
            self.run_state.error = f"{type(error).__name__}: {error}"
        finally:
            self.warm.close()
            self.processes.stop_all()
            self.environments.close()
        if self.run_state.state != "interrupted":
            self._settle(everything=True)
        shutil.rmtree(self.folder.path / "scratch", ignore_errors=True)
        self.run_state.ended = records.now()
        self.folder.save()
        self._write_page()

    # What kfp.local calls

    def execute(self, original: Callable[..., Any], task: dict[str, Any]) -> Any:
        """Execute one task with an account of it."""
        from kfp.local import status

        step = self._begin(task["task_name"])
        self._here.step, self._here.hit, self._here.ran = step, None, False
        try:
            outputs, ended = original(**task)
        except KeyboardInterrupt:
            self._change(step, state="interrupted", ended=records.now())
            raise
        except Exception as error:  # noqa: BLE001 - the exit handler runs whatever happened
            self._fail(step, error)
            return {}, status.Status.FAILURE
        self._end(step, outputs, ended == status.Status.SUCCESS)
        return outputs, ended

    def run_process(self, image: str, command: list[str]) -> bool:
        """Run the command of the task that this thread executes, in its stack's environment."""
        step: Step = self._here.step
        self._here.ran = True
        self.watcher.changed(step)  # not before: a step from the cache never runs
        self._begin_environments(self._to_come(step))
        python = self.environments.python(self.stacks[step.step])
        step.started = records.now()  # the wait for an install is not the step's
        log = self.folder.path / step.log
        begin = log.stat().st_size
        process = self.warm.take(step.task, command[3:], log) if command[:2] == ["python", "-m"] else None
        if process is None:
            argv = [str(python), *command[1:]] if command[0] in ("python", "python3") else list(command)
            with log.open("ab") as output:
                process = self.processes.start(
                    argv, self._environment(step, python), self._scratch(step), output
                )
        if step.task in self._cacheable:
            self._computed.add(step.task)
        self._warm_up()
        ended = self.processes.wait(process)
        step.peak_mib = round(ended.peak_mib, 1)
        step.record = last_record(log, begin) or _no_record(step, ended.exit_code)
        return ended.exit_code == 0 and step.record["state"] == "succeeded"

    def task_folder(self) -> str:
        """Return the folder's name for the outputs of the task that this thread executes."""
        return str(self._here.step.task)

    def cached_outputs(self, key: str) -> dict[str, Any] | None:
        """Return the outputs of an equal call, if all their files are there."""
        if not self.request.read_cache:
            return None
        entry = cache.read_entry(self._cache / f"{key}.json")
        if entry is None or not entry.is_whole():
            return None
        self._here.hit = entry
        return entry.outputs

    def cache_outputs(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep the outputs of a call that succeeded."""
        step: Step = self._here.step
        files: dict[str, int] = {}
        for path in _local_artifacts(outputs):
            files |= cache.files_below(path)
        entry = cache.Entry(self.run_state.id, step.task, step.image, outputs, files, step.record)
        cache.write_entry(self._cache / f"{key}.json", entry)

    # The account of a step

    def _begin(self, name: str) -> Step:
        """Return the step of a task that begins; a task that runs more than once has a step each time."""
        with self._lock:
            step = self.run_state.step_of(name)
            if step.state != "pending":
                times = sum(1 for other in self.run_state.steps if other.task.startswith(f"{name}-again-"))
                step = Step(
                    f"{name}-again-{times + 2}",
                    f"{step.title} ({times + 2})",
                    step.step,
                    image=step.image,
                    upstream=step.upstream,
                    is_exit=step.is_exit,
                )
                self.run_state.steps.append(step)
            if step.step != IMPORTER:
                step.log = f"logs/{step.task}.log"
                (self.folder.path / step.log).touch()
            if step.is_exit:
                self._settle(everything=False)
            step.state, step.started = "running", records.now()
            self.folder.save()
            return step

    def _end(self, step: Step, outputs: dict[str, Any], succeeded: bool) -> None:
        hit: cache.Entry | None = self._here.hit
        if not succeeded:
            blocked = (step.record or {}).get("state") == "blocked"
            self._change(step, state="blocked" if blocked else "failed", ended=records.now())
            return
        step.outputs = {name: value.uri for name, value in outputs.items() if hasattr(value, "uri")}
        step.reports = self._publish_reports(step, outputs)
        if hit is not None and not self._here.ran:
            step.record, step.reused_from, step.log = hit.record, hit.run, ""
            (self.folder.path / "logs" / f"{step.task}.log").unlink(missing_ok=True)
            self._change(step, state="cached", ended=records.now())
        else:
            self._change(step, state="succeeded", ended=records.now())

    def _fail(self, step: Step, error: Exception) -> None:
        """Write down that the runner could not run a step."""
        code = 2 if isinstance(error, UserError) else 1
        text = str(error) if code == 2 else f"{type(error).__name__}: {error}"
        if step.log:
            with self._log(Path(step.log).name).open("a", encoding="utf-8") as output:
                output.write(f"{text}\n" if code == 2 else traceback.format_exc())
        step.record = {**(step.record or {}), "state": "failed", "exit_code": code, "error": text}
        self._change(step, state="failed", ended=records.now())

    def _change(self, step: Step, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(step, name, value)
        if step.ended:
            step.seconds = round(_seconds(step.started, step.ended), 3)
        self.folder.save()
        self.watcher.changed(step)

    def _settle(self, everything: bool) -> None:
        """Say how the run ended, and that steps that never began were skipped.

        Args:
            everything: The exit handler has had its turn as well; without it, it is about to begin
                and reads this.
        """
        run = self.run_state
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
            self._write_page()  # the exit handler may point at it

    def _write_page(self) -> None:
        try:
            write_page(self.run_state, self.folder.path)
        except Exception:  # noqa: BLE001 - a page that cannot be drawn is no reason to lose a run
            with self._log("runner.log").open("a", encoding="utf-8") as output:
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

    # Environments

    def _environment(self, step: Step, python: Path) -> dict[str, str]:
        return step_environment(
            python,
            PYTHONPATH=str(self.python_path),
            PYTHONUNBUFFERED="1",
            TF_CPP_MIN_LOG_LEVEL="3",
            PENSTOCK_IMAGE=step.image,
            PENSTOCK_CODE_VERSION=self.run_state.code_version,
            PENSTOCK_RUN_DIR=str(self.folder.path),
            PENSTOCK_NOTIFICATIONS=str(self.project.state / "notifications.jsonl"),
            PENSTOCK_LOG_FORMAT="text",
        )

    def _scratch(self, step: Step) -> Path:
        return self.folder.path / "scratch" / step.task

    def _warm_up(self) -> None:
        """Start interpreters for steps that are sure to run: not reused, and not skipped as far as one can see."""
        if os.environ.get("PENSTOCK_WARM") == "0":
            return
        reached: set[str] = set(self._computed)  # and all that follows them
        wishes = []
        for task in self.tasks:
            follows = not reached.isdisjoint(task.upstream)
            if follows and not task.is_exit:
                reached.add(task.name)
            sure = follows or (task.is_certain and not task.cacheable)
            if (
                sure
                and task.image
                and self.run_state.step_of(task.name).state == "pending"
                and self._warms(task)
            ):
                wishes.append(partial(self._wish, task))
        self.warm.wish(wishes)

    def _warms(self, task: Task) -> bool:
        """Tell whether a step has something to import ahead."""
        if task.step not in self._warming:
            source = self.components / task.step / "step.py"
            self._warming[task.step] = source.is_file() and "\ndef warm_up(" in source.read_text(
                encoding="utf-8"
            )
        return self._warming[task.step]

    def _wish(self, task: Task) -> Wish | None:
        step = self.run_state.step_of(task.name)
        stack = self.stacks[task.step]
        if step.state != "pending" or not is_ready(self.project, stack):
            return None
        python = self.environments.python(stack)
        module = f"{PACKAGE}.{task.step}.step"
        return Wish(task.name, module, python, self._environment(step, python), self._scratch(step))

    def _to_come(self, step: Step) -> list[Task]:
        """Return the task of a step and those after it."""
        names = [task.name for task in self.tasks]
        return self.tasks[names.index(step.task) :] if step.task in names else []

    def _begin_environments(self, tasks: list[Task]) -> None:
        """Begin to install what the tasks need; when even the first is missing, what all need."""
        stacks = _stacks(tasks)
        if any(not is_ready(self.project, stack) for stack in stacks):
            self.environments.begin(_stacks(self.tasks))

    def _log(self, name: str) -> Path:
        return self.folder.path / "logs" / name


def last_record(log: Path, begin: int = 0) -> dict[str, Any] | None:
    """Return the last step record in a log, from byte `begin` on."""
    with log.open("rb") as lines:
        lines.seek(begin)
        for line in reversed(lines.read().decode("utf-8", errors="replace").splitlines()):
            if found := records.from_line(line.strip()):
                return found
    return None


def _no_record(step: Step, code: int) -> dict[str, Any]:
    """Return a record for a step that ended without one."""
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        error = f"the process was killed by {name}{hint}"
    else:
        error = f"the process ended with exit code {code} and left no step record"
    return {"step": step.step, "state": "failed", "exit_code": code or 1, "error": error}


def _step(task: Task) -> Step:
    return Step(
        task=task.name,
        title=task.title,
        step=task.step,
        image=task.image.name if task.image else "",
        upstream=task.upstream,
        is_exit=task.is_exit,
    )


def _stacks(tasks: list[Task]) -> list[str]:
    images: list[Image] = [task.image for task in tasks if task.image is not None]
    return list(dict.fromkeys(image.stack for image in images))


def _local_artifacts(serialized: Any) -> Iterator[Path]:
    """Yield the local path of each artifact in serialized outputs."""
    if isinstance(serialized, dict):
        if "__kfp_artifact__" in serialized:
            if "://" not in serialized["uri"]:
                yield Path(serialized["uri"])
            return
        serialized = list(serialized.values())
    if isinstance(serialized, list):
        for value in serialized:
            yield from _local_artifacts(value)


def _seconds(started: str, ended: str) -> float:
    import datetime

    return (datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(started)).total_seconds()


@contextlib.contextmanager
def _stop_on_signals(processes: Processes) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into one orderly end."""

    def stop(number: int, frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        processes.stop_all()
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

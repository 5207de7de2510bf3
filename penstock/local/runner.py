"""Runs a pipeline on this machine: each step a process in its stack's environment, nothing else needed.

outcome = run_pipeline(Request(project, "training", "taxi"), watcher)
"""

import contextlib
import json
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from penstock.compile_pipeline import compile_pipeline
from penstock.components.step_io import record as records
from penstock.errors import UserError
from penstock.local import cache, kfp_local
from penstock.local.account import Account, Watcher, exit_code, last_record, no_record, pending_step
from penstock.local.envs import Environments, is_ready
from penstock.local.page import write_page
from penstock.local.plan import Task, plan
from penstock.local.processes import Processes, end_leftovers, step_environment, stop_on_signals
from penstock.local.python_path import python_path
from penstock.local.request import Request, pipeline_arguments
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
        steps=[pending_step(task) for task in tasks],
    )
    ir = json.loads(json.dumps(ir).replace(RUN_ID_PLACEHOLDER, folder.run.id))
    runner = Runner(request, folder, tasks, images, watcher)
    watcher.started(folder.run, folder.path)
    try:
        with stop_on_signals(runner.processes):
            runner.run(ir, arguments)
    finally:
        watcher.ended(folder.run)
        folder.close()
    return Outcome(folder.run, folder.path, exit_code(folder.run))


def bury_dead_runs(project: Project) -> None:
    """End what is left of runs whose runner died, and write down that they were interrupted."""
    for folder in dead_runs(project):
        end_leftovers(folder)
        with contextlib.suppress(UserError, OSError):
            run = read_run(folder)
            if run.state == "running":
                mark_interrupted(run)
            write_run(folder, run)
            write_page(run, folder)
        (folder / "lock").unlink(missing_ok=True)


class Runner:
    """Does the work of one run: what kfp.local calls."""

    def __init__(
        self, request: Request, folder: RunFolder, tasks: list[Task], images: Images, watcher: Watcher
    ) -> None:
        self.request, self.folder, self.tasks, self.watcher = request, folder, tasks, watcher
        self.account = Account(folder, watcher)
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
            self.account.log("runner.log").write_text(traceback.format_exc(), encoding="utf-8")
            self.run_state.error = f"{type(error).__name__}: {error}"
        finally:
            self.warm.close()
            self.processes.stop_all()
            self.environments.close()
        if self.run_state.state != "interrupted":
            self.account.settle(everything=True)
        shutil.rmtree(self.folder.path / "scratch", ignore_errors=True)
        self.run_state.ended = records.now()
        self.folder.save()
        self.account.write_page()

    # What kfp.local calls

    def execute(self, original: Callable[..., Any], task: dict[str, Any]) -> Any:
        """Execute one task with an account of it."""
        from kfp.local import status

        step = self.account.begin(task["task_name"])
        self._here.step, self._here.hit, self._here.ran = step, None, False
        try:
            outputs, ended = original(**task)
        except KeyboardInterrupt:
            self.account.change(step, state="interrupted", ended=records.now())
            raise
        except Exception as error:  # noqa: BLE001 - the exit handler runs whatever happened
            self.account.fail(step, error)
            return {}, status.Status.FAILURE
        hit = None if self._here.ran else self._here.hit
        self.account.end(step, outputs, ended == status.Status.SUCCESS, hit)
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
        step.record = last_record(log, begin) or no_record(step, ended.exit_code)
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

"""Runs a pipeline on this machine: each step a process in its stack's environment, or its image's container.

outcome = run_pipeline(Request(project, "training", "taxi"), watcher)
"""

import contextlib
import json
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.compile_pipeline import compile_pipeline
from penstock.components.step_io import record as records
from penstock.errors import UserError
from penstock.ir_tasks import all_tasks
from penstock.local import cache, kfp_local
from penstock.local.account import Account, Watcher, exit_code, last_record, no_record, pending_step
from penstock.local.docker_executor import DockerExecutor, Setup
from penstock.local.executor import Executor
from penstock.local.local_environment import local_environment, name_notifications
from penstock.local.page import write_page
from penstock.local.plan import Task, plan
from penstock.local.process_executor import ProcessExecutor
from penstock.local.processes import end_leftovers, stop_on_signals
from penstock.local.request import DOCKER, Request, pipeline_arguments
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
from penstock.project import Project
from penstock.versions import Images, code_version, pin

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
    environment = local_environment(project)
    name_notifications(environment)
    app_name, arguments = pipeline_arguments(request, environment, ir, version)
    tasks = plan(ir, pinned)
    setup = None
    if request.runner == DOCKER:
        setup = Setup.of(
            project, [task.image.name for task in tasks if task.image], arguments, request.memory
        )
        setup.engine.end_leftovers(project.runs)
    bury_dead_runs(project)
    folder = RunFolder.create(
        project,
        request.pipeline,
        app_name,
        command=records.PASSWORD_IN_URI.sub("***", request.command),
        arguments=json.loads(records.PASSWORD_IN_URI.sub("***", json.dumps(arguments))),
        app_version=str(arguments.get("app_version", "")),
        code_version=version,
        executor=request.runner,
        steps=[pending_step(task) for task in tasks],
    )
    ir = without_retries(json.loads(json.dumps(ir).replace(RUN_ID_PLACEHOLDER, folder.run.id)))
    executor: Executor
    if setup is None:
        executor = ProcessExecutor(project, folder, tasks, images, watcher)
    else:
        executor = DockerExecutor(setup, project, folder)
    runner = Runner(request, folder, tasks, executor, watcher)
    watcher.started(folder.run, folder.path)
    try:
        with stop_on_signals(executor.stop_all):
            runner.run(ir, arguments)
    finally:
        watcher.ended(folder.run)
        folder.close()
    return Outcome(folder.run, folder.path, exit_code(folder.run))


def without_retries(ir: dict[str, Any]) -> dict[str, Any]:
    """Return the IR with no step tried again: this machine loses no pods, and the same command resumes."""
    for _, task in all_tasks(ir):
        task.pop("retryPolicy", None)
    return ir


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
        self, request: Request, folder: RunFolder, tasks: list[Task], executor: Executor, watcher: Watcher
    ) -> None:
        self.request, self.folder, self.tasks, self.watcher = request, folder, tasks, watcher
        self.account = Account(folder, watcher)
        self.run_state, self.executor = folder.run, executor
        self._cacheable = {task.name for task in tasks if task.cacheable}
        self._computed: set[str] = set()  # cacheable steps that were not served from the cache
        self._here = threading.local()  # the step that this thread executes
        self._cache = request.project.state / "cache"

    def run(self, ir: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Run all steps and settle how the run ended."""
        try:
            self.executor.foresee(self._computed)
            kfp_local.run_pipeline(ir, arguments, self.folder.path, self)
        except KeyboardInterrupt:
            mark_interrupted(self.run_state)
        except Exception as error:  # noqa: BLE001 - a run always ends with an account of it
            self.account.log("runner.log").write_text(traceback.format_exc(), encoding="utf-8")
            self.run_state.error = f"{type(error).__name__}: {error}"
        finally:
            self.executor.close()
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

    def run_command(self, command: list[str]) -> bool:
        """Run the command of the task that this thread executes."""
        step: Step = self._here.step
        self._here.ran = True
        self.watcher.changed(step)  # not before: a step from the cache never runs
        self.executor.prepare(step)
        step.started = records.now()  # the wait for an install is not the step's
        log = self.folder.path / step.log
        begin = log.stat().st_size
        started = self.executor.start(step, command, log)
        if step.task in self._cacheable:
            self._computed.add(step.task)
        self.executor.foresee(self._computed)
        ended = self.executor.wait(started)
        step.peak_mib = None if ended.peak_mib is None else round(ended.peak_mib, 1)
        step.record = last_record(log, begin) or no_record(step, ended.exit_code)
        if ended.error:
            step.record |= {"state": "failed", "exit_code": ended.exit_code, "error": ended.error}
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

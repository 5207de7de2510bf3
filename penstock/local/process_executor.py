"""Runs each step as a process in its stack's environment; interpreters of steps to come warm up meanwhile."""

import os
import subprocess
from functools import partial
from pathlib import Path

from penstock.local.account import Watcher
from penstock.local.envs import Environments, is_ready
from penstock.local.executor import step_variables
from penstock.local.plan import Task
from penstock.local.processes import Ended, Processes, step_environment
from penstock.local.python_path import python_path
from penstock.local.runs import RunFolder, Step
from penstock.local.warm import WarmProcesses, Wish
from penstock.project import Project
from penstock.versions import PACKAGE, Image, Images


class ProcessExecutor:
    """The processes of one run."""

    def __init__(
        self, project: Project, folder: RunFolder, tasks: list[Task], images: Images, watcher: Watcher
    ) -> None:
        self.project, self.folder, self.tasks = project, folder, tasks
        self.stacks, self.components = images.stacks, images.components
        self.processes = Processes()
        self.warm = WarmProcesses(self.processes)
        self.environments = Environments(project, tell=watcher.said)
        self.python_path = python_path(project)
        self._warming: dict[str, bool] = {}

    def foresee(self, computed: set[str]) -> None:
        """Start interpreters for steps that are sure to run: not reused, and not skipped as far as one can see."""
        if not computed:
            self._begin_environments([task for task in self.tasks if not task.cacheable])
        if os.environ.get("PENSTOCK_WARM") == "0":
            return
        reached = set(computed)  # and all that follows them
        wishes = []
        for task in self.tasks:
            follows = not reached.isdisjoint(task.upstream)
            if follows and not task.is_exit:
                reached.add(task.name)
            sure = follows or (task.is_certain and not task.cacheable)
            if (
                sure
                and task.image
                and self.folder.run.step_of(task.name).state == "pending"
                and self._warms(task)
            ):
                wishes.append(partial(self._wish, task))
        self.warm.wish(wishes)

    def prepare(self, step: Step) -> None:
        """Wait for the environment of a step's stack; those of later steps install beside."""
        names = [task.name for task in self.tasks]
        if step.task in names:
            self._begin_environments(self.tasks[names.index(step.task) :])
        self.environments.python(self.stacks[step.step])

    def start(self, step: Step, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
        """Start a step's command, in the interpreter that waits for it where there is one."""
        process = self.warm.take(step.task, command[3:], log) if command[:2] == ["python", "-m"] else None
        if process is not None:
            return process
        python = self.environments.python(self.stacks[step.step])
        argv = [str(python), *command[1:]] if command[0] in ("python", "python3") else list(command)
        with log.open("ab") as output:
            return self.processes.start(argv, self._environment(step, python), self._scratch(step), output)

    def wait(self, started: "subprocess.Popen[bytes]") -> Ended:
        """Wait until a process has ended, and end what it may have left behind."""
        return self.processes.wait(started)

    def stop_all(self) -> None:
        """Ask all processes to end, then end them; start no other."""
        self.processes.stop_all()

    def close(self) -> None:
        """End what still waits or installs."""
        self.warm.close()
        self.processes.stop_all()
        self.environments.close()

    def _environment(self, step: Step, python: Path) -> dict[str, str]:
        variables = step_variables(step, self.folder, self.project)
        return step_environment(python, PYTHONPATH=str(self.python_path), **variables)

    def _scratch(self, step: Step) -> Path:
        return self.folder.path / "scratch" / step.task

    def _warms(self, task: Task) -> bool:
        """Tell whether a step has something to import ahead."""
        if task.step not in self._warming:
            source = self.components / task.step / "step.py"
            self._warming[task.step] = source.is_file() and "\ndef warm_up(" in source.read_text(
                encoding="utf-8"
            )
        return self._warming[task.step]

    def _wish(self, task: Task) -> Wish | None:
        step = self.folder.run.step_of(task.name)
        stack = self.stacks[task.step]
        if step.state != "pending" or not is_ready(self.project, stack):
            return None
        python = self.environments.python(stack)
        module = f"{PACKAGE}.{task.step}.step"
        return Wish(task.name, module, python, self._environment(step, python), self._scratch(step))

    def _begin_environments(self, tasks: list[Task]) -> None:
        """Begin to install what the tasks need; when even the first is missing, what all need."""
        if any(not is_ready(self.project, stack) for stack in _stacks(tasks)):
            self.environments.begin(_stacks(self.tasks))


def _stacks(tasks: list[Task]) -> list[str]:
    images: list[Image] = [task.image for task in tasks if task.image is not None]
    return list(dict.fromkeys(image.stack for image in images))

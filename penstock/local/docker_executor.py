"""Runs each step in a container of its image, as a cluster would: limits, a read-only root, a truthful end."""

import os
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.step_io import record as records
from penstock.errors import UserError
from penstock.images.settings import Resources, read_images_file
from penstock.local.account import last_record
from penstock.local.docker_container import (
    Mount,
    check_memory,
    create_arguments,
    limits,
    memory_bytes,
    mounts,
    variables,
)
from penstock.local.docker_engine import FOLDER_LABEL, PROGRAM, Engine, EngineError
from penstock.local.docker_memory import Peak
from penstock.local.executor import step_variables
from penstock.local.processes import GRACE_S, Ended, Processes
from penstock.local.runs import RunFolder, Step
from penstock.project import Project

RUN_LABEL, STEP_LABEL = "penstock.run", "penstock.step"
OF_SIGNALS = range(129, 160)  # exit codes that say which signal ended a container
NO_VERDICT = (0, 3)  # the step did its work; what the kernel killed beside it did not matter
MIB = 2**20
# Waits until the runner is gone, however it ended, then removes what it left at work.
GUARD = 'cat >/dev/null; left=$("$0" ps -aq --filter "label=$1"); [ -z "$left" ] || "$0" rm -f $left'


@dataclass(frozen=True)
class Started:
    """A container at work, and the command that passes its output on."""

    container: str
    process: "subprocess.Popen[bytes]"
    log: Path
    begin: int  # of the step's output in the log, bytes
    peak: Peak
    memory_limit: str


@dataclass(frozen=True)
class Setup:
    """What a run in containers needs, seen to before anything runs."""

    engine: Engine
    state: Path
    env: Mapping[str, str]
    mounts: Sequence[Mount]
    resources: Mapping[str, Resources]  # by step
    memory: str  # limit of every step, instead of its own; empty: its own

    @classmethod
    def of(
        cls, project: Project, images: Iterable[str], arguments: Mapping[str, Any], memory: str
    ) -> "Setup":
        """Look at everything that can be wrong.

        Args:
            project: Whose state folder the containers write to.
            images: Names of the images that the run needs.
            arguments: Values of the pipeline's parameters: local paths in them are mounted.
            memory: A quantity such as 4Gi, or empty.

        Raises:
            UserError: No engine answers, an image is not there, a path cannot be mounted, or `memory` is
                no quantity.
        """
        if memory:
            check_memory(memory)
        env = variables()
        mounted = mounts(project.state, arguments, env)
        resources = read_images_file(project).steps
        engine = Engine.connect()
        engine.check_images(images)
        return cls(engine, project.state, env, mounted, resources, memory)

    def resources_of(self, step: str) -> Resources:
        """Return what a step asks for and may not exceed."""
        found = self.resources.get(step) or Resources()
        return found.model_copy(update={"memory_limit": self.memory}) if self.memory else found


class DockerExecutor:
    """The containers of one run."""

    def __init__(self, setup: Setup, project: Project, folder: RunFolder) -> None:
        self.setup, self.engine, self.project, self.folder = setup, setup.engine, project, folder
        self.processes = Processes()
        self._containers: set[str] = set()
        self._stopping = threading.Event()
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, PROGRAM, f"{FOLDER_LABEL}={folder.path}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def foresee(self, computed: set[str]) -> None:
        """Do nothing: no container is made ahead."""

    def prepare(self, step: Step) -> None:
        """Do nothing: that all images are there was seen before the first step."""

    def start(self, step: Step, command: list[str], log: Path) -> Started:
        """Create and start a step's container; its output goes to the log as it comes."""
        if self._stopping.is_set():
            raise KeyboardInterrupt
        begin = log.stat().st_size
        env = {**self.setup.env, **step_variables(step, self.folder, self.project)}
        resources = self.setup.resources_of(step.step)
        name = f"penstock-{self.folder.run.id}-{re.sub(r'[^a-zA-Z0-9_.-]', '-', step.task)}"
        arguments = create_arguments(
            step.image,
            command,
            name=name,
            labels={
                FOLDER_LABEL: str(self.folder.path),
                RUN_LABEL: self.folder.run.id,
                STEP_LABEL: step.task,
            },
            limited=limits(resources, self.engine),
            mounted=self.setup.mounts,
            env=env,
            is_rootless=self.engine.is_rootless,
        )
        try:
            container = self.engine.create(arguments, env)
        except EngineError as error:
            raise UserError(f"the container {name} cannot be created: {error}") from error
        self._containers.add(container)
        with log.open("ab") as output:
            process = self.processes.start(
                [PROGRAM, "start", "--attach", container], os.environ, self.folder.path / "scratch", output
            )
        peak = Peak(container, lambda: int(self.engine.state(container)["Pid"]))
        limit = (resources.memory_limit or "") if self.engine.limits_memory else ""
        return Started(container, process, log, begin, peak, limit)

    def wait(self, started: Started) -> Ended:
        """Wait until a container has ended, ask the engine how, and remove it."""
        self.processes.wait(started.process)
        peak_mib = started.peak.close()
        try:
            state = self.engine.state(started.container)
            if state["Running"]:  # the connection broke, not the step
                self.engine.wait(started.container)
                state = self.engine.state(started.container)
            self._complete_log(started)
        except EngineError as error:
            if self._stopping.is_set():
                raise KeyboardInterrupt from error
            return Ended(1, peak_mib, f"its container is gone ({error})")
        self.engine.remove([started.container])
        self._containers.discard(started.container)
        return _ended(state, peak_mib, started.memory_limit)

    def stop_all(self) -> None:
        """Ask all containers to end, which docker passes on, then remove them; start no other."""
        self._stopping.set()
        self.processes.stop_all(GRACE_S)
        self.engine.remove(self._containers)

    def close(self) -> None:
        """Remove every container of this run."""
        self.processes.stop_all()
        self._guard.communicate()  # nothing: the end of its input is what it waits for

    def _complete_log(self, started: Started) -> None:
        """See that the log holds the step record as a line of its own.

        stdout and stderr come over one connection, in turns: what stderr had left to say may stand within it.
        """
        if last_record(started.log, started.begin) is not None:
            return
        for line in reversed(self.engine.output(started.container).splitlines()):
            if records.from_line(line.strip()):
                with started.log.open("a", encoding="utf-8") as log:
                    log.write(f"\n{line.strip()}\n")
                return


def _ended(state: Mapping[str, Any], peak_mib: float | None, memory_limit: str) -> Ended:
    """Return how a container ended, by what the engine knows of it."""
    code = int(state["ExitCode"])
    exit_code = 128 - code if code in OF_SIGNALS else code
    if state.get("OOMKilled") and code not in NO_VERDICT:
        if not memory_limit:
            return Ended(exit_code, peak_mib, "killed: this machine had no memory left for it")
        return Ended(
            exit_code,
            memory_bytes(memory_limit) / MIB,
            f"killed: over its memory limit of {memory_limit}; raise it in images/images.yaml or with --memory",
        )
    if state.get("Error"):  # it never ran
        return Ended(exit_code or 1, peak_mib, f"its container did not start: {state['Error']}")
    return Ended(exit_code, peak_mib)

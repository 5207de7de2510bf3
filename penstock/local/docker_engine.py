"""The Docker engine, spoken to through its command line.

The command line, not the package `docker`: whoever has an engine has it, and it knows contexts, DOCKER_HOST
over ssh and TLS as the user set them up; the package would bring its own HTTP stack for six calls.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import UserError
from penstock.local.runs import is_alive

PROGRAM = "docker"
PATIENCE_S = 15.0  # for the first answer: an engine that is there answers in well under a second
SLOWEST_S = 60.0  # for any later call
FOLDER_LABEL = "penstock.folder"  # the run's folder: tells whether its runner is alive
OTHERWISE = "or leave out `--runner docker`"


class EngineError(Exception):
    """The engine refused a call; its own last words."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and what it can do."""

    cores: int
    limits_memory: bool
    limits_swap: bool
    limits_cpu: bool
    is_rootless: bool

    @classmethod
    def connect(cls) -> "Engine":
        """Return the engine that the docker command line is set up for.

        Raises:
            UserError: There is no such program, or no engine answers it.
        """
        try:
            info = json.loads(call("info", "--format", "{{json .}}", patience_s=PATIENCE_S))
            if faults := info.get("ServerErrors"):  # older command lines end with 0 all the same
                raise EngineError(last_words("\n".join(faults)))
        except FileNotFoundError as error:
            raise UserError(
                f"the program `{PROGRAM}` is not on the PATH: install Docker, {OTHERWISE}"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"the Docker engine did not answer within {PATIENCE_S:.0f} s: "
                f"start it or correct DOCKER_HOST, {OTHERWISE}"
            ) from error
        except (EngineError, ValueError) as error:
            raise UserError(
                f"the Docker engine cannot be reached ({error}): start it or correct DOCKER_HOST, {OTHERWISE}"
            ) from error
        return cls(
            cores=int(info.get("NCPU") or 1),
            limits_memory=bool(info.get("MemoryLimit")),
            limits_swap=bool(info.get("SwapLimit")),
            limits_cpu=bool(info.get("CpuCfsQuota", info.get("CPUCfsQuota"))),
            is_rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        )

    def check_images(self, names: Iterable[str]) -> None:
        """See that all images are there.

        Raises:
            UserError: One is not.
        """
        names = sorted(set(names))
        found = _run(["image", "inspect", "--format", "{{json .RepoTags}}", *names])
        tags = {tag for line in found.stdout.split("\n") if line for tag in json.loads(line) or ()}
        missing = [name for name in names if name not in tags]
        if missing:
            others = f" (nor {', '.join(missing[1:])})" if missing[1:] else ""
            raise UserError(f"the image {missing[0]} is not built{others}: run `penstock images build`")

    def create(self, arguments: Sequence[str], env: Mapping[str, str]) -> str:
        """Create a container and return its id.

        Args:
            arguments: What `docker create` takes.
            env: Variables that arguments refer to by name; no value is seen in the list of processes.

        Raises:
            EngineError: It cannot be created.
        """
        return call("create", *arguments, env={**os.environ, **env}).strip()

    def state(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container: Running, ExitCode, OOMKilled, Error, Pid.

        Raises:
            EngineError: There is no such container.
        """
        found: dict[str, Any] = json.loads(call("inspect", "--format", "{{json .State}}", container))
        return found

    def wait(self, container: str) -> None:
        """Wait until a container has ended, however long that takes."""
        _run(["wait", container], patience_s=None)

    def output(self, container: str) -> str:
        """Return what a container wrote to stdout, unmixed with stderr."""
        return _run(["logs", container]).stdout

    def remove(self, containers: Iterable[str]) -> None:
        """End and remove containers; those that are gone are no fault."""
        if names := list(containers):
            _run(["rm", "--force", "--volumes", *names])

    def end_leftovers(self, runs: Path) -> int:
        """Remove the containers of runs in this folder whose runner died; return how many."""
        listing = ["ps", "-a", "--no-trunc", "--filter", f"label={FOLDER_LABEL}"]
        listed = _run([*listing, "--format", f'{{{{.ID}}}} {{{{.Label "{FOLDER_LABEL}"}}}}']).stdout
        pairs = [line.split(" ", 1) for line in listed.splitlines()]
        dead = [
            container
            for container, folder in pairs
            if Path(folder).parent == runs and not is_alive(Path(folder))
        ]
        self.remove(dead)
        return len(dead)


def call(*arguments: str, env: Mapping[str, str] | None = None, patience_s: float = SLOWEST_S) -> str:
    """Call docker and return what it prints.

    Raises:
        EngineError: It ended with another exit code than 0.
        FileNotFoundError: There is no such program.
        subprocess.TimeoutExpired: It took too long.
    """
    ended = _run(arguments, env, patience_s)
    if ended.returncode != 0:
        raise EngineError(last_words(ended.stderr) or f"exit code {ended.returncode}")
    return ended.stdout


def last_words(stderr: str) -> str:
    """Return the line in which docker says what is wrong, without its preamble."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and "--help" not in line]
    if not lines:
        return ""
    return lines[-1].removeprefix("docker: ").removeprefix("Error response from daemon: ").rstrip(".")


def _run(
    arguments: Sequence[str], env: Mapping[str, str] | None = None, patience_s: float | None = SLOWEST_S
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *arguments],
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=patience_s,
        check=False,
        start_new_session=True,  # Ctrl-C is the runner's; it ends what is under way in order
    )

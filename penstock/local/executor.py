"""What runs the commands of steps: processes in stack environments, or containers of the steps' images."""

from pathlib import Path
from typing import Any, Protocol

from penstock.local.processes import Ended
from penstock.local.runs import RunFolder, Step
from penstock.project import Project


class Executor(Protocol):
    """Runs the commands of one run's steps."""

    def foresee(self, computed: set[str]) -> None:
        """Prepare what steps to come will need; `computed` are the cacheable ones that had to run."""

    def prepare(self, step: Step) -> None:
        """Wait until a step can start."""

    def start(self, step: Step, command: list[str], log: Path) -> Any:
        """Start a step's command, with its output at the end of `log`, and return what `wait` takes."""

    def wait(self, started: Any) -> Ended:
        """Wait until a step has ended."""

    def stop_all(self) -> None:
        """Ask all that run to end, then end them; start no other. Called by a signal's handler as well."""

    def close(self) -> None:
        """Leave nothing behind."""


def step_variables(step: Step, folder: RunFolder, project: Project) -> dict[str, str]:
    """Return the environment variables that every step gets, however it runs."""
    return {
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PENSTOCK_IMAGE": step.image,
        "PENSTOCK_CODE_VERSION": folder.run.code_version,
        "PENSTOCK_RUN_DIR": str(folder.path),
        "PENSTOCK_NOTIFICATIONS": str(project.state / "notifications.jsonl"),
        "PENSTOCK_LOG_FORMAT": "text",
    }

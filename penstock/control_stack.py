"""Runs a module in the control stack: it holds MLflow's client and those of clusters, the command line has none."""

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from penstock.errors import UserError
from penstock.project import Project

CONTROL = "control"
MOST_SAID = 2000  # characters of a fault's traceback


def ask_control(
    project: Project, module: str, arguments: Sequence[str], what: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Run a module, and return the JSON object that its last line is.

    Args:
        project: Whose environment it is.
        module: One whose exit code 2 means that its last line on stderr is a sentence for people.
        arguments: Its arguments.
        what: What is done, for the message of a fault.
        tell: Told when the environment must be made first.

    Raises:
        UserError: It cannot be done, with the reason.
    """
    from penstock.local.envs import ensure_stacks
    from penstock.local.processes import step_environment
    from penstock.local.python_path import python_path

    python = ensure_stacks(project, [CONTROL], tell=tell)[CONTROL]
    env = step_environment(python, PYTHONPATH=str(python_path(project)))
    command = [str(python), "-m", module, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode == UserError.exit_code:
        raise UserError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise UserError(f"{what} ended in a fault:\n{done.stderr.strip()[-MOST_SAID:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found

"""Runs one step as a process of its stack, outside of any pipeline: what commands that need a step stand on."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.components.step_io import record
from penstock.components.step_io.errors import StepError
from penstock.errors import UserError
from penstock.local.processes import end_with_parent, step_environment
from penstock.local.python_path import python_path
from penstock.project import Project


def run_step(
    project: Project,
    python: Path,
    step: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path] | Sequence[str],
    folder: Path,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a step and return its output parameters.

    Args:
        project: The project.
        python: The Python of the step's stack.
        step: Its name.
        parameters: Input parameters by name.
        inputs: Where each input artifact is.
        outputs: Where each output artifact goes; names alone go to `folder`.
        folder: Where executor_output.json goes.
        tell: Gets each line that the step logs.

    Raises:
        UserError: The step failed, with its own sentence.
    """
    places = outputs if isinstance(outputs, Mapping) else {name: folder / name for name in outputs}
    executor_input = {
        "inputs": {
            "parameterValues": dict(parameters),
            "artifacts": {name: {"artifacts": [{"uri": str(path)}]} for name, path in inputs.items()},
        },
        "outputs": {
            "artifacts": {
                name: {"artifacts": [{"name": name, "uri": str(path)}]} for name, path in places.items()
            },
            "outputFile": str(folder / f"{step}.json"),
        },
    }
    command = [str(python), "-m", f"penstock.components.{step}.step"]
    command += ["--executor_input", json.dumps(executor_input)]
    environment = step_environment(
        python, PYTHONPATH=str(python_path(project)), PENSTOCK_LOG_FORMAT="text"
    )  # as the local runner gives it
    logged: list[str] = []
    with (
        (folder / f"{step}.out").open("w+", encoding="utf-8") as output,
        subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent(),
        ) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            logged.append(line)
            if tell:
                tell(line.rstrip())
        code = process.wait()
        output.seek(0)
        lines = output.read().strip().splitlines()
    found = record.from_line(lines[-1]) if lines else None
    if code == 0 and found:
        results: dict[str, Any] = found["results"]
        return results
    if found and code == StepError.exit_code:
        raise UserError(str(found["error"]))
    raise UserError(f"{step} ended with exit code {code}:\n{''.join(logged).strip()[-2000:]}")

"""Builds the executor input that a backend hands to a step, and reads what the step sends back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def executor_input(
    folder: Path,
    parameters: Mapping[str, Any] = {},
    inputs: Mapping[str, Path | str] = {},
    outputs: Mapping[str, str] = {},
) -> str:
    """Return the JSON text for `execute`.

    Args:
        folder: The task's folder; outputs land in it under their names.
        parameters: Input parameters by name.
        inputs: Local path of each input artifact.
        outputs: Schema title (system.Dataset, ...) of each output artifact.
    """
    return json.dumps(
        {
            "inputs": {
                "parameterValues": dict(parameters),
                "artifacts": {name: {"artifacts": [{"uri": str(path)}]} for name, path in inputs.items()},
            },
            "outputs": {
                "artifacts": {
                    name: {
                        "artifacts": [
                            {
                                "name": name,
                                "uri": str(folder / name),
                                "type": {"schemaTitle": title, "schemaVersion": "0.0.1"},
                                "metadata": {},
                            }
                        ]
                    }
                    for name, title in outputs.items()
                },
                "outputFile": str(folder / "executor_output.json"),
            },
        }
    )


def read_outputs(folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the output parameters and the paths of the output artifacts that a step reported."""
    output = json.loads((folder / "executor_output.json").read_text())
    artifacts = {name: Path(found["artifacts"][0]["uri"]) for name, found in output["artifacts"].items()}
    return output["parameterValues"], artifacts

"""The training pipeline's work as a plain script: no orchestrator, contract, cache, record or run page.

    python plain_script.py core|tfdv|tensorflow|control STATE.json

The stacks cannot share a process, so there is one per stack, in this order; STATE.json holds the
pipeline's arguments and carries the results from one to the next. Each calls the steps' own `run`.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any, get_type_hints

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact

PARTS = {
    "core": ["inspect_source", "extract_data", "prepare_data"],
    "tfdv": ["compute_statistics", "validate_data"],
    "tensorflow": ["tune_model", "train_model", "evaluate_model"],
    "control": ["validate_model", "register_model"],
}
# Where a step's input comes from, when not from a value of the same name.
RENAMED = {
    ("tune_model", "trials"): "tuning_trials",
    ("compute_statistics", "slices"): "statistics_slices",
    ("validate_data", "baseline"): "no_baseline",
    ("evaluate_model", "champion"): "no_champion",
}


def main(part: str, state_file: Path) -> None:
    """Run the steps of one stack, one after another."""
    state: dict[str, Any] = json.loads(state_file.read_text())
    for step in PARTS[part]:
        call(step, state, state_file.parent)
    state_file.write_text(json.dumps(state))


def call(step: str, state: dict[str, Any], folder: Path) -> None:
    """Call a step's `run` with what the state holds and add what it gives."""
    run = importlib.import_module(f"penstock.components.{step}.step").run
    hints = get_type_hints(run)
    arguments: dict[str, Any] = {}
    outputs: dict[str, OutputArtifact] = {}
    for name, parameter in inspect.signature(run).parameters.items():
        key = RENAMED.get((step, name), name)
        if hints[name] is OutputArtifact:
            path = folder / step / name
            outputs[name] = arguments[name] = OutputArtifact(str(path))
            outputs[name].prepare()
        elif hints[name] is InputArtifact:
            arguments[name] = InputArtifact(state[key])
        elif key in state:
            arguments[name] = state[key]
        elif parameter.default is inspect.Parameter.empty:
            raise KeyError(f"{step} needs {name}")
    returned = run(**arguments)
    for name, output in outputs.items():
        output.commit()
        state[name] = output.uri
    state |= returned._asdict() if returned is not None else {}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""The contract of a step: the executor input comes in, `run` is called once, the executor output goes out.

    def run(dataset: InputArtifact, min_rows: int, report: OutputArtifact) -> Outputs: ...

    if __name__ == "__main__":
        main(run)

Parameters are annotated str, int, float, bool, list or dict; artifacts InputArtifact or
OutputArtifact. `Outputs` is a NamedTuple of the output parameters (None: there are none).
Source: ExecutorInput and ExecutorOutput of kfp-pipeline-spec, and how the KFP 2 launcher reads them.
"""

import argparse
import errno
import inspect
import json
import logging
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_type_hints

from penstock.components.step_io import logs, record
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.errors import GateBlocked, StepError
from penstock.components.step_io.values import coerce, storable_metadata

log = logging.getLogger(__name__)


class Call(NamedTuple):
    """What `run` is called with, and where its results go."""

    parameters: dict[str, Any]
    inputs: dict[str, InputArtifact]
    outputs: dict[str, OutputArtifact]
    echo: dict[str, dict[str, Any]]  # output artifacts as they came: to be sent back
    output_file: Path


def main(run: Callable[..., Any]) -> NoReturn:
    """Run a step as a process: read `--executor_input`, call `run`, write the outputs, exit.

    Exit codes: 0 success, 1 a bug, 2 a StepError, 3 a blocked gate, 130 Ctrl-C, 143 terminated.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--executor_input", required=True)
    sys.exit(execute(run, step_name(run), parser.parse_args().executor_input))


def step_name(run: Callable[..., Any]) -> str:
    """Return the folder's name of the step that `run` belongs to."""
    return Path(inspect.getfile(run)).parent.name


def execute(run: Callable[..., Any], step: str, executor_input: str) -> int:
    """Do what `main` does and return the exit code; the last line on stdout is the step record."""
    logs.configure(step)
    signal.signal(signal.SIGTERM, _terminate)
    started = record.now()
    call: Call | None = None
    fields: dict[str, Any] = {}
    try:
        call = read_call(run, json.loads(executor_input))
        for output in call.outputs.values():
            output.prepare()
        results = _results(run(**call.parameters, **call.inputs, **call.outputs))
        fields = {"state": "succeeded", "exit_code": 0, "results": results}
        commit(call, results)
    except BaseException as error:  # noqa: BLE001 - every end of a step leaves a record
        fields = _describe(error)
        if call is not None:
            for output in call.outputs.values():
                output.discard()
    if call is not None:
        fields |= {
            "parameters": call.parameters,
            "inputs": {name: artifact.uri for name, artifact in call.inputs.items()},
            "outputs": {name: artifact.uri for name, artifact in call.outputs.items()},
            "metrics": _metrics(call),
        }
        results = fields.get("results") or {}
        fields["verdict"] = results.get("verdict", call.parameters.get("verdict", ""))
        fields.setdefault("reasons", results.get("reasons", []))
    sys.stderr.flush()
    print(record.to_line(record.make_record(step, started, **fields)), flush=True)
    return fields["exit_code"]


def read_call(run: Callable[..., Any], executor_input: dict[str, Any]) -> Call:
    """Match the executor input with the annotations of `run`.

    An absent parameter and a null one are the same: the default of `run` applies. Artifacts that
    `run` does not declare are left alone (the KFP backend adds `executor-logs` to every task).
    """
    given = executor_input.get("inputs", {})
    values = given.get("parameterValues", {})
    came_in = given.get("artifacts", {})
    go_out = executor_input.get("outputs", {}).get("artifacts", {})
    hints = get_type_hints(run)
    parameters, inputs, outputs, echo = {}, {}, {}, {}
    for name, parameter in inspect.signature(run).parameters.items():
        declared = hints[name]
        if declared is InputArtifact:
            inputs[name] = InputArtifact(_only(name, came_in)["uri"])
        elif declared is OutputArtifact:
            echo[name] = _only(name, go_out)
            outputs[name] = OutputArtifact(echo[name]["uri"])
        elif values.get(name) is not None:
            try:
                parameters[name] = coerce(name, values[name], declared)
            except (TypeError, ValueError) as error:
                raise StepError(str(error)) from error
        elif parameter.default is inspect.Parameter.empty:
            raise StepError(f"parameter {name!r} is required and has no value")
    output_file = Path(executor_input.get("outputs", {}).get("outputFile", "executor_output.json"))
    return Call(parameters, inputs, outputs, echo, output_file)


def commit(call: Call, results: dict[str, Any]) -> None:
    """Give outputs their final names, then write the executor output: it makes them count."""
    for output in call.outputs.values():
        output.commit()
    artifacts = {
        name: {"artifacts": [{**call.echo[name], "metadata": storable_metadata(output.metadata)}]}
        for name, output in call.outputs.items()
    }
    call.output_file.parent.mkdir(parents=True, exist_ok=True)
    partial = call.output_file.with_name(call.output_file.name + ".partial")
    partial.write_text(json.dumps({"parameterValues": results, "artifacts": artifacts}, allow_nan=False))
    partial.rename(call.output_file)


def _only(name: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    found = artifacts.get(name, {}).get("artifacts", [])
    if len(found) != 1:
        raise StepError(f"artifact {name!r} is missing from the executor input")
    return found[0]


def _results(returned: Any) -> dict[str, Any]:
    """Return the output parameters by name, coerced to the types that the NamedTuple declares."""
    if returned is None:
        return {}
    hints = get_type_hints(type(returned))
    return {name: coerce(name, value, hints[name]) for name, value in returned._asdict().items()}


def _metrics(call: Call) -> dict[str, float]:
    return {
        key: value
        for name, output in call.outputs.items()
        if call.echo[name].get("type", {}).get("schemaTitle") == "system.Metrics"
        for key, value in storable_metadata(output.metadata).items()
        if isinstance(value, (int, float))
    }


def _describe(error: BaseException) -> dict[str, Any]:
    """Log an error for people and return its fields of the step record."""
    if isinstance(error, GateBlocked):
        log.error("%s", error)
        return {
            "state": "blocked",
            "exit_code": error.exit_code,
            "error": str(error),
            "reasons": error.reasons,
        }
    if isinstance(error, StepError):
        log.error("%s", error)
        return {"state": "failed", "exit_code": error.exit_code, "error": str(error)}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        sentence = f"no space left on the disk of {error.filename or 'the outputs'}: free some and run again"
        log.error("%s", sentence)
        return {"state": "failed", "exit_code": StepError.exit_code, "error": sentence}
    if isinstance(error, KeyboardInterrupt):
        return {"state": "failed", "exit_code": 130, "error": "interrupted (Ctrl-C)"}
    if isinstance(error, SystemExit):
        return {"state": "failed", "exit_code": error.code or 1, "error": f"terminated (exit {error.code})"}
    log.error("a bug in the step", exc_info=error)
    return {"state": "failed", "exit_code": 1, "error": f"{type(error).__name__}: {error}"}


def _terminate(signum: int, frame: types.FrameType | None) -> NoReturn:
    sys.exit(128 + signum)

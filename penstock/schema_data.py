"""What stands behind `penstock schema`: data taken through the steps, as a pipeline would."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.app_config import load_app
from penstock.components.data_schema.checks import load_schema
from penstock.components.data_schema.difference import Change, diff_schemas
from penstock.components.data_schema.schema_text import SCHEMA_FILE, read_schema
from penstock.components.step_io.errors import StepError
from penstock.errors import UserError
from penstock.local.envs import ensure_stacks
from penstock.local.one_step import run_step
from penstock.local.processes import step_environment
from penstock.local.python_path import python_path
from penstock.project import Project

Tell = Callable[[str], None]
STACKS = {"extract_data": "core", "compute_statistics": "tfdv", "validate_data": "tfdv"}


@dataclass(frozen=True)
class Data:
    """Rows to look at: the parameters of extract_data, and whose schema it is."""

    source: str
    selection: dict[str, Any] = field(default_factory=dict)
    schema_path: Path | None = None
    min_rows: int = 1

    @property
    def event_time(self) -> str:
        """Column with the time of the event; empty when there is none."""
        return str(self.selection.get("event_time", ""))


@dataclass(frozen=True)
class Outcome:
    """How data and schema go together."""

    rows: int
    verdict: str
    reasons: list[str]


def data_of(
    project: Project, app_name: str, source: str, query: str, format_: str, with_schema: bool
) -> Data:
    """Return the data of an app, of a file, or of a file read with an app's settings.

    Raises:
        UserError: Neither is given, or the app is wrong.
    """
    if not app_name:
        if not source:
            raise UserError("say which data: --app NAME or --source FILE")
        return Data(_absolute(source), {"format": format_ or "auto", "query": query})
    app = load_app(project, app_name, with_schema=with_schema)
    if not source and (fault := app.source_fault()):
        raise UserError(str(fault))
    data = app.config.data
    selection = {
        "format": format_ or data.format,
        "query": query or data.query,
        "event_time": data.event_time,
        "event_time_unit": data.event_time_unit,
        "since": data.since,
        "until": data.until,
    }
    found = _absolute(source) if source else app.source
    return Data(found, selection, app.schema_path, app.config.validation.min_rows)


def draft(project: Project, data: Data, output: Path, tell: Tell) -> str:
    """Draft a schema into a file and return what was drafted, in a few words."""
    with _described(project, data, tell) as (python, folder, _):
        arguments = ["infer", "--statistics", str(folder / "statistics"), "--output", str(output.absolute())]
        arguments += ["--event-time", data.event_time]
        command = [str(python["tfdv"]), "-m", "penstock.components.data_schema.main", *arguments]
        done = subprocess.run(
            command, env=_environment(project, Path(command[0])), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise UserError(
                done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the draft failed"
            )
        return done.stdout.strip()


def hold_against(project: Project, data: Data, schema: Path, tell: Tell) -> Outcome:
    """Validate data against a schema."""
    with _described(project, data, tell) as (python, folder, rows):
        expected = folder / "schema"
        expected.mkdir()
        (expected / SCHEMA_FILE).write_bytes(schema.read_bytes())
        parameters = {"value_skew": "off", "min_rows": data.min_rows}
        inputs = {name: folder / name for name in ("dataset", "statistics", "schema", "baseline")}
        inputs["baseline"].mkdir()
        outputs = ("anomalies", "report")
        results = _step(project, python, "validate_data", parameters, inputs, outputs, folder)
        return Outcome(rows, results["verdict"], results["reasons"])


def check_schema(path: Path, name: str) -> str:
    """Return a sentence about a schema that makes sense.

    Raises:
        UserError: It cannot be read, or it contradicts itself.
    """
    try:
        schema = load_schema(path, name)
    except StepError as error:
        raise UserError(str(error)) from error
    return f"{name}: {len(schema.feature)} features, nothing wrong"


def read_both(old: Path, new: Path) -> list[Change]:
    """Return what changed from one schema to the other.

    Raises:
        UserError: One cannot be read.
    """
    try:
        return diff_schemas(read_schema(old), read_schema(new))
    except StepError as error:
        raise UserError(str(error)) from error


@contextmanager
def _described(project: Project, data: Data, tell: Tell) -> Iterator[tuple[dict[str, Path], Path, int]]:
    """Extract data and compute their statistics in a folder that is there for a while."""
    python = ensure_stacks(project, sorted(set(STACKS.values())), tell=tell)
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="schema-", dir=project.state) as name:
        folder = Path(name)
        parameters = {"source": data.source, "fingerprint": "", **data.selection}
        results = _step(project, python, "extract_data", parameters, {}, ("dataset",), folder)
        tell(f"read {results['rows']:,} rows of {results['columns']:,} columns")
        inputs = {"dataset": folder / "dataset"}
        _step(project, python, "compute_statistics", {}, inputs, ("statistics", "report"), folder)
        yield python, folder, int(results["rows"])


def _step(
    project: Project,
    python: Mapping[str, Path],
    step: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    outputs: tuple[str, ...],
    folder: Path,
) -> dict[str, Any]:
    """Run a step as a process and return its output parameters."""
    return run_step(project, python[STACKS[step]], step, parameters, inputs, outputs, folder)


def _environment(project: Project, python: Path) -> dict[str, str]:
    """Return the environment that the local runner gives a step."""
    return step_environment(python, PYTHONPATH=str(python_path(project)), PENSTOCK_LOG_FORMAT="text")


def _absolute(source: str) -> str:
    return source if "://" in source else str(Path(source).expanduser().absolute())

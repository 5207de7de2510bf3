"""What stands behind `penstock predict`: the steps extract_data and predict_batch on this machine, without a run.

done = predict_here(project, Wanted("taxi", "champion", Path("out"), {"source": "new.csv"}), print)
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.app_config import App, load_app
from penstock.components.step_io.artifacts import local_path, remove
from penstock.errors import UserError
from penstock.local.envs import ensure_stacks
from penstock.local.one_step import run_step
from penstock.local.summary import shown
from penstock.local_serving import find_model
from penstock.project import Project

PIPELINE = "batch_prediction"  # whose settings of app.yaml are taken
OF_EXTRACTION = (
    "source",
    "format",
    "query",
    "event_time",
    "event_time_unit",
    "since",
    "until",
    "rows_per_shard",
)


@dataclass(frozen=True)
class Wanted:
    """What is to be predicted.

    Attributes:
        app: Name or path.
        model: An alias, a version, or a model's folder.
        out: Where the predictions go.
        overrides: Parameters of the pipeline batch_prediction, where app.yaml is not to be taken.
    """

    app: str
    model: str
    out: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A batch as it was written."""

    rows: int
    unscored: int
    verdict: str
    reasons: list[str]
    model: str
    version: str
    folder: Path

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**vars(self), "folder": str(self.folder)}

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        version = self.version if self.version.startswith("folder") else f"version {self.version}"
        yield f"{self.rows:,} rows, {self.unscored:,} of them without a prediction; model {self.model} {version}"
        yield f"verdict      {self.verdict}"
        yield from (f"             {reason}" for reason in self.reasons)
        yield f"predictions  {shown(self.folder)}"
        yield f"report       {shown(self.folder / 'report.html')}"


def predict_here(project: Project, wanted: Wanted, tell: Callable[[str], None]) -> Done:
    """Predict every row, and put the predictions in their place as a whole.

    Raises:
        UserError: The app, the model, the data or a setting is wrong, with the step's own sentence.
    """
    app = load_app(project, wanted.app, with_schema=False)
    given = str(wanted.overrides.get("source", ""))
    is_path = given and "://" not in given and not any(sign in given for sign in "*?[")
    if is_path and not Path(given).expanduser().exists():
        raise UserError(f"--data {given}: there is no such file or folder")
    arguments = app.arguments(_with_query(app, wanted.overrides), PIPELINE)
    try:
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"{wanted.out.parent} is a file: name another folder with --out") from error
    name = str(arguments["model_name"])
    model = find_model(project, name, wanted.model, tell)
    python = ensure_stacks(project, ["core", "tensorflow"], tell=tell)
    work = wanted.out.with_name(f".{wanted.out.name}.partial")
    with _alone(work):
        extraction = {name: arguments[name] for name in OF_EXTRACTION}
        extraction |= {"fingerprint": "", "allow_empty": True}
        run_step(project, python["core"], "extract_data", extraction, {}, ["dataset"], work, tell)
        results = run_step(
            project,
            python["tensorflow"],
            "predict_batch",
            {
                "key": arguments["key"],
                "max_unscored": arguments["max_unscored"],
                "model_name": name,
                "model_version": model.version,
                "resume_uri": str(project.state / "checkpoints"),
            },
            {"dataset": work / "dataset", "model": local_path(model.uri)},
            ["predictions", "metrics", "report"],
            work,
            tell,
        )
        (work / "report").rename(work / "predictions" / "report.html")
        (work / "metrics").rename(work / "predictions" / "metrics.json")
        blocked = results["verdict"] == "block"
        folder = wanted.out.with_name(f"{wanted.out.name}.blocked") if blocked else wanted.out
        remove(folder)
        (work / "predictions").rename(folder)
    return Done(**results, model=name, version=model.version, folder=folder)


def _with_query(app: App, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides; other data than the app's are read through the app's query, as its data are."""
    section, data = app.config.batch_prediction, app.config.data
    if "source" not in overrides or "query" in overrides or section.source:
        return dict(overrides)
    return {**overrides, "query": section.query or data.query}


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Give an empty folder that is gone afterwards; what a killed command left there goes first.

    Raises:
        UserError: Another process writes to the same place.
    """
    lock = os.open(work.with_name(f"{work.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another `penstock predict` writes beside {work}: wait, or choose another --out"
            ) from error
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield
        finally:
            shutil.rmtree(work, ignore_errors=True)
            work.with_name(f"{work.name}.lock").unlink(missing_ok=True)
    finally:
        os.close(lock)

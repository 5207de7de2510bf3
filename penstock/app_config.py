"""Loads an app and turns app.yaml into the parameters of a pipeline.

    app = load_app(project, "taxi")
    app.arguments(["until=2016-01-01"])  # {"app": "taxi", "source": "…/trips.csv.gz", "until": "2016-01-01", ...}

All that is wrong with the file is told at once, each fault with its line.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.app_checks import at, check_columns, check_sections, excluded, label_name
from penstock.app_faults import model_faults, without_nulls
from penstock.app_models import AppConfig
from penstock.app_overrides import Override, parse_overrides, paths_of
from penstock.app_schema import read_schema
from penstock.app_yaml import AppError, Document, Fault, KeyPath, read_document
from penstock.components.tabular_model.settings import DEFAULTS, TUNING_DEFAULTS
from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

SETTINGS_FILE = "app.yaml"
SOURCE = ("source", "format", "query")  # of a section: they belong together


@dataclass(frozen=True)
class App:
    """A valid app.

    `schema` is None when the app was loaded without one (`penstock schema infer` drafts it).
    """

    name: str
    folder: Path
    config: AppConfig
    document: Document
    schema: "Schema | None"

    @property
    def settings_path(self) -> Path:
        """The file app.yaml."""
        return self.folder / SETTINGS_FILE

    @property
    def schema_path(self) -> Path:
        """The schema's file, whether it is there or not."""
        return self.folder / self.config.schema_file

    @property
    def columns(self) -> list[str]:
        """The columns of the schema, in its order."""
        return [feature.name for feature in self.schema.feature] if self.schema else []

    @property
    def inputs(self) -> list[str]:
        """The columns that the model sees, in the schema's order."""
        left_out = excluded(self.document.value)
        return [name for name in self.columns if name not in left_out]

    def arguments(
        self, overrides: Sequence[str] | Mapping[str, Any] = (), pipeline: str = "training"
    ) -> dict[str, Any]:
        """Return the pipeline's parameters that the app determines, each with its value.

        What the runner determines is left out: published folders, versions, registry, checkpoints, force.

        Args:
            overrides: `--set` values, as "key=value" or by key; keys are parameters of the pipeline.
            pipeline: Name of the pipeline whose parameters are wanted.

        Raises:
            AppError: An override, or the app with it, is wrong; or a local source is not there.
        """
        return self.with_overrides(overrides, pipeline)._arguments(pipeline)

    def with_overrides(
        self, overrides: Sequence[str] | Mapping[str, Any], pipeline: str = "training"
    ) -> "App":
        """Return the app as if app.yaml said what the overrides say, validated again as a whole."""
        parsed = parse_overrides(overrides, pipeline)
        if not parsed:
            return self
        document = _overridden(self.document, parsed)
        return _validate(document, self.folder, self.name, self.schema, needs_schema=self.schema is not None)

    def _arguments(self, pipeline: str) -> dict[str, Any]:
        if pipeline == "rollout":  # which reads no data of the app
            config = self.config
            return {"app": self.name, "model_name": config.model_name or self.name, "rollout": config.rollout}
        own_source = pipeline == "batch_prediction" and bool(self.config.batch_prediction.source)
        fault = self.source_fault("batch_prediction" if own_source else "data")
        if fault:
            raise AppError([fault])
        values = self.config.model_dump(by_alias=True)
        values["model_name"] = values["model_name"] or self.name
        values["data"]["source"] = self.source
        values["label"]["name"] = label_name(values)
        values["features"]["exclude"] = excluded(values)
        values["model"] = {**DEFAULTS, **values["model"]}
        values["tuning"] = {**TUNING_DEFAULTS, **values["tuning"]}
        values["batch_prediction"] = self._batch(values["data"], values["batch_prediction"])
        arguments: dict[str, Any] = {"app": self.name}
        for parameter, path in paths_of(pipeline).items():
            arguments[parameter] = at(values, path)
        if pipeline == "batch_prediction":
            if not (arguments["since"] or arguments["until"]):  # new rows need no event time
                arguments["event_time"] = ""
            return {name: without_nulls(value) for name, value in arguments.items()}
        arguments["tuning"] = {key: value for key, value in values["tuning"].items() if key != "trials"}
        arguments["label"] = _only_given(values["label"], "column", "sql")
        if pipeline == "training":
            arguments["challenge"] = bool(self.config.rollout)
        arguments["cleaning"] = [_only_given(rule, "drop", "set", "sql") for rule in values["cleaning"]]
        return {name: without_nulls(value) for name, value in arguments.items()}

    def _batch(self, data: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
        """Return the section batch_prediction with its source, or with that of the training data."""
        if section["source"]:
            return {**section, "source": self._place(section["source"])}
        return {
            **section,
            **{key: section[key] if key == "query" and section[key] else data[key] for key in SOURCE},
        }

    @property
    def source(self) -> str:
        """Where the data are: a URI as it is written, a path made absolute."""
        return self._place(self.config.data.source)

    def _place(self, source: str) -> str:
        if "://" in source:
            return source
        return os.path.normpath(self.folder / Path(source).expanduser())

    def source_fault(self, section: str = "data") -> Fault | None:
        """Return a fault when a section's source is a local path without wildcards and nothing is there."""
        source = self._place(getattr(self.config, section).source)
        if "://" in source or any(sign in source for sign in "*?[") or Path(source).exists():
            return None
        return self.document.fault((section, "source"), f"there is no file or folder {source!r}")


def find_app(project: Project, name_or_path: str) -> Path:
    """Return an app's folder: by the name of a folder under apps/, or by path.

    Raises:
        UserError: There is none; the nearest name is told.
    """
    named = project.apps / name_or_path
    given = Path(name_or_path).expanduser()
    if os.sep not in name_or_path and named.is_dir():
        return named
    if given.name == SETTINGS_FILE:
        given = given.parent
    if given.is_dir() and (
        os.sep in name_or_path or name_or_path == "." or (given / SETTINGS_FILE).is_file()
    ):
        return given.resolve()
    apps = app_names(project)
    known = f"there are: {', '.join(apps)}" if apps else "there are none yet"
    raise UserError(
        f"there is no app {name_or_path!r}{did_you_mean(name_or_path, apps)} ({known}; "
        "`penstock app new` makes one)"
    )


def app_names(project: Project) -> list[str]:
    """Return the names of the project's apps, sorted."""
    return sorted(path.parent.name for path in project.apps.glob(f"*/{SETTINGS_FILE}"))


def load_app(project: Project, name_or_path: str, with_schema: bool = True) -> App:
    """Load and validate an app.

    Args:
        project: The project whose apps/ are searched.
        name_or_path: Name of a folder under apps/, or a path.
        with_schema: False loads an app that has no schema yet; columns are not checked then.

    Raises:
        UserError: There is no such app.
        AppError: The app is wrong; all faults at once.
    """
    folder = find_app(project, name_or_path)
    document = read_document(folder / SETTINGS_FILE, _shown(folder / SETTINGS_FILE, project))
    document.value = without_nulls(document.value)
    if not with_schema:
        return _validate(document, folder, folder.name, None, needs_schema=False)
    file = at(document.value, ("schema",))
    path = folder / (file if isinstance(file, str) and file else "schema.pbtxt")
    faults: list[Fault] = []
    schema = None
    try:
        schema = read_schema(path, _shown(path, project), folder.name)
    except AppError as error:
        faults = error.faults
    return _validate(document, folder, folder.name, schema, needs_schema=True, faults=faults)


def _validate(
    document: Document,
    folder: Path,
    name: str,
    schema: "Schema | None",
    needs_schema: bool,
    faults: Sequence[Fault] = (),
) -> App:
    """Return the app, or raise all faults, in the order of the lines."""
    config, wrong = model_faults(document, AppConfig)
    found = [*document.faults, *wrong, *check_sections(document, name)]
    if schema is not None:
        file = str(at(document.value, ("schema",)) or "schema.pbtxt")
        columns = [feature.name for feature in schema.feature]
        found += check_columns(document, columns, file, own_features=(folder / "features.py").is_file())
    found = [*_in_order(document, found), *faults]
    if found or config is None or (needs_schema and schema is None):
        raise AppError(found)
    return App(name, folder, config, document, schema)


def _in_order(document: Document, faults: Sequence[Fault]) -> list[Fault]:
    """Sort by line, one fault for each value: the first that was found says it best."""
    first: dict[tuple[str, KeyPath], Fault] = {}
    for fault in faults:
        first.setdefault((fault.where, fault.path), fault)

    typed = list(document.overridden.values())

    def place(fault: Fault) -> int:
        if fault.where in typed:
            return typed.index(fault.where) - len(typed)  # what was typed just now comes first
        number = fault.where.rpartition(":")[2]
        return int(number) if number.isdigit() else 0

    return sorted(first.values(), key=place)


def _overridden(document: Document, overrides: Sequence[Override]) -> Document:
    """Return a copy of the document in which the overridden values stand in place of the written ones."""
    value = copy.deepcopy(document.value)
    words = document.overridden | {override.path: override.words for override in overrides}
    for override in sorted(overrides, key=lambda one: len(one.path)):  # a section before a key inside it
        section = value
        for key in override.path[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        last = override.path[-1]
        if override.value == "":
            section.pop(last, None)
        elif override.parameter == "tuning":
            trials = at(section, (last, "trials"))
            section[last] = override.value if trials is None else {**override.value, "trials": trials}
        else:
            section[last] = override.value
    return Document(document.file, value, document.lines, document.faults, words)


def _shown(path: Path, project: Project) -> str:
    """Return a path as errors name it: from the project's root where it lies inside."""
    try:
        return path.resolve().relative_to(project.root.resolve()).as_posix()
    except ValueError:
        return str(path)


def _only_given(section: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Leave out those of the alternative keys that are empty."""
    return {key: value for key, value in section.items() if key not in keys or value}

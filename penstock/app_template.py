"""Writes the app.yaml that a team starts from."""

import csv
import gzip
import json
import re
import shutil
from pathlib import Path

from penstock.app_config import SETTINGS_FILE
from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project

LONGEST_HEADER = 1_000_000  # characters
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")

TEMPLATE = """\
# What Penstock needs to know about {name}. All keys: docs/app_yaml.md; a full example: apps/taxi/app.yaml.
# After a change: `penstock validate-app {name}`.

name: {name}
description: ""  # what the model is for; it stands in the model card

data:
  source: {source}
  # event_time: signup_date  # column with the time of the event, if there is one; then also:
  # event_time_unit: s  # for numbers: s, ms, us or ns since 1970
  # since: 2025-01-01
  # until: 2026-01-01

label:
  {label}
  task: auto  # binary, multiclass or regression, if `auto` decides wrongly
  # positive: "yes"  # the class whose probability is the score
  max_missing: 0.0  # share of rows without a label that are dropped; more than that stops the run

# cleaning:  # rows that no model should learn from; SQL (DuckDB) over the columns
#   - drop: age < 0
#     because: a typing error

split:
  by: entity  # or `time`: judged on the newest rows (needs data.event_time)
  key: []  # columns that name a person, machine, ... : all its rows stay on one side; [] is the whole row
  validation: 0.15
  test: 0.15

features:
  exclude: []  # row numbers, ids, and all that would not be known yet when the model is asked

evaluation:
  slices: []  # columns by whose values the model is measured as well; [a, b] inside the list is a cross

thresholds:
  # metrics:  # what a model must reach; start with what the first run reaches, less a margin
  #   auc: {{min: 0.7}}
  improvement:
    rule: not_worse  # or `better`: proven better than the champion; or `off`
    margin: 0.01
"""


def write_app(project: Project, name: str, source: str, label: str, copy: bool = False) -> Path:
    """Write apps/<name>/app.yaml and return its path.

    Args:
        project: The project that gets the app.
        name: Folder under apps/, and name of the model; or the path of a folder elsewhere.
        source: Where the data are; a local path is read from the working directory.
        label: Column that the model learns to predict.
        copy: Copy a local file into the app's folder data/.

    Raises:
        UserError: The name does not fit or is taken, there is nothing at a local source, or its header does
            not name the label.
    """
    folder = Path.cwd() / Path(name).expanduser() if "/" in name else project.apps / name
    name = folder.name
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for an app: letters, digits, _ and -, starting with a letter, at most 63 characters"
        )
    if (folder / SETTINGS_FILE).exists():
        where = f"apps/{name}" if folder == project.apps / name else folder
        raise UserError(f"{where}/{SETTINGS_FILE} is there already: take another name, or edit that file")
    if not label:
        raise UserError("--label is empty: name the column that the model learns to predict")
    _check_label(Path.cwd() / Path(source).expanduser(), label)
    text = TEMPLATE.format(name=name, source=_text(_place(source, folder, copy)), label=_label(label))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return folder / SETTINGS_FILE


def _place(source: str, folder: Path, copy: bool) -> str:
    """Return the source as app.yaml writes it: a URI, relative to the app where it lies inside, or absolute."""
    if "://" in source:
        if copy:
            raise UserError(f"--copy takes a local file, {source!r} is a URI: leave --copy out")
        return source
    path = Path.cwd() / Path(source).expanduser()
    if not any(sign in source for sign in "*?[") and not path.exists():
        raise UserError(f"there is no file or folder {str(path)!r}: put the path of the data after --source")
    if copy:
        if not path.is_file():
            raise UserError(f"--copy takes a single file, {str(path)!r} is none: leave --copy out")
        (folder / "data").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "data" / path.name)
        return f"data/{path.name}"
    path = path.parent.resolve() / path.name
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _check_label(path: Path, label: str) -> None:
    """Look for the label in the header of a local CSV file; other sources are looked at by the first run."""
    if not path.is_file() or not path.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        return
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            first = file.readline(LONGEST_HEADER)
    except (OSError, UnicodeDecodeError):
        return  # extract_data says what is wrong with it
    delimiter = max(",;\t|", key=first.count)
    columns = next(csv.reader([first], delimiter=delimiter), [])
    if label not in columns:
        near = did_you_mean(label, columns) or f"; there are {', '.join(map(repr, columns[:20]))}"
        raise UserError(f"--label: {label!r} is no column of {path.name}{near}")


def _label(column: str) -> str:
    """Return the label's lines; a column whose name is no plain word gets a plain name beside it."""
    if NAME.fullmatch(column):
        return f"column: {_text(column)}"
    plain = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_").lower()
    plain = plain if NAME.fullmatch(plain) else "label"
    return f"column: {_text(column)}\n  name: {plain}  # what the model calls it"


def _text(value: str) -> str:
    """Return a text as YAML: plain where that is safe, in quotes otherwise."""
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", value)
    return (
        value
        if plain and value.lower() not in ("true", "false", "null")
        else json.dumps(value, ensure_ascii=False)
    )

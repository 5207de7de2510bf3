"""The model folder that train_model writes and the registry holds: what serving must know of it.

    model.json       task, label, classes, inputs, outputs, versions
    saved_model/     the SavedModel; serving_default takes each raw input by name, as (n, 1)
    examples.json    some raw rows and what the model answers to them; older models have none

Light: nothing but JSON is read here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError

TASKS = ("binary", "multiclass", "regression")
OUTPUTS = {
    "binary": ("score", "label"),
    "multiclass": ("probabilities", "label"),
    "regression": ("prediction",),
}
DTYPES = ("float64", "string")
TYPES = ("int", "float", "bool", "string")


@dataclass(frozen=True)
class Input:
    """A raw input of the model.

    Attributes:
        name: Name of the column.
        dtype: float64 (NaN is missing) or string ("" is missing).
        type: int, float, bool or string, from the schema; empty for models that do not say.
        required: Whether the schema demands a value in every row.
    """

    name: str
    dtype: str
    type: str = ""
    required: bool = False


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk, without its weights."""

    path: Path
    task: str
    label: str
    classes: tuple[str, ...]
    positive: str  # of a binary model: the class whose probability `score` is
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)  # tensorflow, keras, python
    examples: Sequence[Mapping[str, Any]] = ()  # raw rows as JSON gives them
    example_answers: Sequence[Mapping[str, Any]] = ()  # one for each example, or none; see `answers`

    @property
    def saved_model(self) -> Path:
        """The folder of the SavedModel."""
        return self.path / "saved_model"

    @classmethod
    def read(cls, path: Path | str) -> "ModelFolder":
        """Read model.json, and examples.json where it is there.

        Raises:
            StepError: One of them cannot be read, or lacks what serving needs.
        """
        path = Path(path)
        described = _read_json(path / "model.json")
        absent = [key for key in ("task", "label", "classes", "positive", "inputs") if key not in described]
        if absent:
            raise StepError(f"{path / 'model.json'} has no {', '.join(absent)}: export the model again")
        task = described["task"]
        if task not in TASKS:
            raise StepError(
                f"{path / 'model.json'}: the task is {task!r}, expected one of {', '.join(TASKS)}"
            )
        if not (path / "saved_model" / "saved_model.pb").is_file():
            raise StepError(
                f"{path} holds no saved_model/saved_model.pb: it is no model folder of train_model"
            )
        examples, answers = _read_examples(path / "examples.json")
        return cls(
            path=path,
            task=task,
            label=str(described["label"]),
            classes=tuple(map(str, described["classes"])),
            positive=str(described["positive"] or ""),
            inputs=tuple(_read_input(entry, path) for entry in described["inputs"]),
            outputs=tuple(described.get("outputs") or OUTPUTS[task]),
            versions=dict(described.get("versions") or {}),
            examples=examples,
            example_answers=answers,
        )


def _read_input(entry: Mapping[str, Any], path: Path) -> Input:
    name, dtype, kind = entry.get("name"), entry.get("dtype"), entry.get("type") or ""
    if not isinstance(name, str) or dtype not in DTYPES or kind not in ("", *TYPES):
        raise StepError(
            f"{path / 'model.json'}: the input {dict(entry)!r} needs a name and a dtype ({', '.join(DTYPES)})"
        )
    return Input(name, dtype, kind, bool(entry.get("required", False)))


def _read_examples(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not path.is_file():
        return [], []
    found = _read_json(path)
    rows, answers = found.get("instances") or [], found.get("predictions") or []
    if len(answers) not in (0, len(rows)) or not all(isinstance(row, dict) for row in rows):
        raise StepError(f"{path}: expected a list of instances, and one prediction for each or none")
    return rows, answers


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"{path} is not there: {path.parent} is no model folder of train_model") from None
    except (OSError, ValueError) as error:
        raise StepError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise StepError(f"{path} holds no JSON object")
    return found

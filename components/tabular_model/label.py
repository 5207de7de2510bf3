"""The label: what the model learns, as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.step_io.errors import StepError

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Label:
    """The label of a model, as prepare_data described it.

    Attributes:
        name: Column of the prepared data.
        task: binary, multiclass or regression.
        classes: The classes as text, sorted; empty for regression.
        positive: The class whose probability a binary model gives.
        outputs: Raw numbers that a network returns per row: 1 (a logit, or the standardised value
            of a regression) or one logit per class.
    """

    name: str
    task: str
    classes: tuple[str, ...] = ()
    positive: str = ""

    @property
    def outputs(self) -> int:
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def negative(self) -> str:
        """The other class of a binary label."""
        return next(name for name in self.classes if name != self.positive)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Label":
        """Read `label_spec` of prepare_data.

        Raises:
            StepError: It is incomplete, or has too few classes to learn from.
        """
        task = spec.get("task")
        if not spec.get("name") or task not in TASKS:
            raise StepError(f"label_spec is {dict(spec)!r}, expected a name and a task ({', '.join(TASKS)})")
        classes = tuple(str(name) for name in spec.get("classes") or ())
        positive = str(spec.get("positive") or "")
        if task == "binary" and (len(classes) != 2 or positive not in classes):
            raise StepError(
                f"the label {spec['name']!r} is binary, but its classes are {list(classes)} and the positive "
                f"one is {positive!r}: two classes are needed, one of them positive"
            )
        if task == "multiclass" and len(classes) < 2:
            raise StepError(
                f"the label {spec['name']!r} has the classes {list(classes)}: two or more are needed"
            )
        return cls(spec["name"], task, classes, positive)

    def target(self, column: pa.Array, source: str) -> np.ndarray:
        """Return the label as numbers: 0 or 1, the index of the class, or the value.

        Raises:
            StepError: A row has no label, or one that label_spec does not know.
        """
        if column.null_count:
            raise StepError(f"{source}: {column.null_count} rows have no label {self.name!r}")
        if self.task == "regression":
            values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
            wrong = int((~np.isfinite(values)).sum())
            if wrong:
                raise StepError(
                    f"{source}: the label {self.name!r} is NaN or infinite in {wrong} rows; "
                    "drop them with a cleaning rule in app.yaml"
                )
            return values
        text = pc.cast(column, pa.string())
        index = pc.index_in(text, value_set=pa.array(self.classes, pa.string()))
        if index.null_count:
            unknown = pc.unique(text.filter(pc.is_null(index))).to_pylist()[:3]
            raise StepError(
                f"{source}: the label {self.name!r} holds {unknown}, not among the classes {list(self.classes)}"
            )
        numbers = index.to_numpy(zero_copy_only=False).astype(np.int32)
        return (
            (numbers == self.classes.index(self.positive)).astype(np.float64)
            if self.task == "binary"
            else numbers
        )

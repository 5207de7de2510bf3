"""Explanations of a model folder's predictions: by how much each raw input moved the output, and from where.

Explained is what an answer holds: the score of a binary model (the probability of its positive class), the
probability of each class, or the prediction of a regression. Probabilities and not log-odds: people
read a change of 12 points without a table, classes of a multi-class model are told in the same unit, and
a score that is 1 in float32 has no log-odds.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.components.explanations.shapley import Attributions, Columns, attribute
from penstock.components.serving_model.answers import finite
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from penstock.components.serving_model.rows import BadRow, columns_of
from penstock.components.step_io.errors import StepError

BACKGROUND_FILE = "background.json"
OUTPUT = {"binary": "score", "multiclass": "probabilities", "regression": "prediction"}


class Explainer:
    """Explains rows of one model against background rows.

    explainer = Explainer(predictor, read_background(folder, path))
    explainer.explain(columns_of(instances, folder.inputs))
    """

    def __init__(self, predictor: Predictor, background: Columns, pairs: int = 1, seed: int = 0) -> None:
        """Take a loaded model and what its rows are compared with.

        Args:
            predictor: The model.
            background: Rows as columns (b,), as `read_background` gives them: their mean output is the baseline.
            pairs: Permutations, each walked in both directions, from each background row.
            seed: Seed of the permutations.
        """
        self.predictor = predictor
        self.folder = predictor.folder
        self.background = {found.name: background[found.name] for found in self.folder.inputs}
        self.pairs, self.seed = pairs, seed
        self.output = OUTPUT[self.folder.task]
        # What the last axis of attributions stands for.
        self.targets: tuple[str, ...] = {
            "binary": (self.folder.positive,),
            "multiclass": self.folder.classes,
            "regression": (self.folder.label,),
        }[self.folder.task]

    def attribute(self, columns: Columns, keys: Sequence[int] | None = None) -> Attributions:
        """Return the attributions of rows to all targets; columns and keys as `shapley.attribute` takes them.

        Raises:
            StepError: The model gives NaN or infinity for a row, or for a mix of a row and a background row.
        """
        return attribute(self._outputs, columns, self.background, self.pairs, self.seed, keys)

    def explain(self, columns: Columns, target: str = "") -> list[dict[str, Any]]:
        """Return one explanation per row, ready for JSON.

        A row's explanation depends on the row alone, not on its neighbours.

        Args:
            columns: The rows as `columns_of` gives them.
            target: The class that is explained; empty takes the positive class of a binary model, and of a multi-class
                model the most probable class of each row.

        Raises:
            ValueError: The model has no such class.
            StepError: The model gives NaN or infinity.
        """
        if target and (self.folder.task == "regression" or target not in self.targets):
            raise ValueError(
                f"{target!r} is no class that is explained: {', '.join(map(repr, self.targets))}"
            )
        found = self.attribute(columns)
        at = [self.targets.index(target)] * len(found.outputs) if target else predicted(found).tolist()
        return [self.told(found, row, k) for row, k in enumerate(at)]

    def told(self, found: Attributions, row: int, k: int) -> dict[str, Any]:
        """Return the attributions of a row to target k: baseline + the sum of attributions is value."""
        about = {} if self.folder.task == "regression" else {"class": self.targets[k]}
        return {
            "output": self.output,
            **about,
            "value": float(found.outputs[row, k]),
            "baseline": float(found.baseline[k]),
            "attributions": dict(zip(found.features, found.values[row, :, k].tolist(), strict=True)),
            "standard_errors": {
                name: finite(error)
                for name, error in zip(found.features, found.errors[row, :, k].tolist(), strict=True)
            },
        }

    def _outputs(self, columns: Columns) -> NDArray[np.float64]:
        values = np.asarray(self.predictor.predict(columns)[self.output], np.float64)
        if not np.isfinite(values).all():
            raise StepError(
                f"the model in {self.folder.path} gives NaN or infinity as {self.output} for some rows: "
                "it cannot be explained"
            )
        return values


def predicted(found: Attributions) -> NDArray[np.intp]:
    """Return (n,) the target of each row that has the greatest output: the predicted class."""
    return found.outputs.argmax(axis=1)


def read_background(folder: ModelFolder, path: Path | None = None) -> Columns:
    """Return background rows: those of a file that explain_model wrote, else the examples in the model folder.

    Args:
        folder: The model.
        path: background.json: {"instances": [rows as JSON, null for missing]}.

    Raises:
        StepError: The file cannot be read or does not fit the model, or there are no examples either.
    """
    if path is None:
        instances: Sequence[Mapping[str, Any]] = folder.examples
        where = f"{folder.path / 'examples.json'}"
    else:
        where = str(path)
        try:
            instances = json.loads(path.read_text(encoding="utf-8"))["instances"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StepError(f"{where} cannot be read: {type(error).__name__}: {error}") from error
    if not instances:
        raise StepError(f"{where} holds no rows: explanations need some to compare with; run explain_model")
    # Rows of the past are taken as they were, also where the schema asks for more today.
    lenient = [dataclasses.replace(found, type="", required=False) for found in folder.inputs]
    try:
        return columns_of(instances, lenient)
    except BadRow as error:
        raise StepError(f"{where}: {error}") from error

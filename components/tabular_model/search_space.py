"""Which hyperparameters tune_model tries: the app's model.py says so, or the default model's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.app_code import load

SHAPES = {"none": [], "32": [32], "64-32": [64, 32], "128-64": [128, 64], "256-128": [256, 128]}


def default_space(trial: Any) -> dict[str, Any]:
    """Return one proposal for the default network."""
    return {
        "hidden_units": SHAPES[trial.suggest_categorical("hidden_units", list(SHAPES))],
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5, step=0.05),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "embedding_size": trial.suggest_categorical("embedding_size", [4, 8, 16, 32]),
    }


def search_space(code: Path) -> Callable[[Any], dict[str, Any]]:
    """Return `search_space` of the app's model.py if it has one, else the default model's.

    What it returns must be plain JSON values. Keys that are no settings of `model` reach the app's
    build_model as settings["custom"].
    """
    module = load(code, "model.py")
    own = module.function("search_space", required=False) if module else None
    if module is None or own is None:
        return default_space

    def checked(trial: Any) -> dict[str, Any]:
        with module.blaming("search_space(trial)"):
            found = own(trial)
        try:
            plain = json.loads(json.dumps(found, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise StepError(f"{module.file}: search_space returned no plain values: {error}") from error
        if not isinstance(plain, dict) or not plain:
            raise StepError(
                f"{module.file}: search_space returned {found!r}, expected a dict of hyperparameters"
            )
        return plain

    return checked

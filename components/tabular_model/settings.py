"""Hyperparameters of a tabular model: names, defaults, ranges and meaning. Standard library only.

This is the one place where they are written down: the config layer checks the sections `model` and
`tuning` of app.yaml against SETTINGS and TUNING, the steps fill in DEFAULTS.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.components.step_io.errors import StepError

KINDS = ("numeric", "categorical", "text", "drop")


@dataclass(frozen=True)
class Setting:
    """One key: default, type (int, float, list or dict), range (both ends allowed) and what it does.

    A list holds whole numbers, each in the range; a dict is described by `doc`.
    """

    default: Any
    kind: type
    doc: str
    low: float | None = None
    high: float | None = None


SETTINGS: dict[str, Setting] = {
    "hidden_units": Setting([64, 32], list, "Units of each hidden layer; [] is a linear model.", 1, 8192),
    "dropout": Setting(0.0, float, "Share of each hidden layer's units dropped while training.", 0.0, 0.9),
    "learning_rate": Setting(0.001, float, "Step size of the Adam optimizer.", 1e-7, 10.0),
    "weight_decay": Setting(0.0, float, "Decoupled weight decay of the optimizer (AdamW).", 0.0, 1.0),
    "batch_size": Setting(256, int, "Rows in each gradient step.", 1, 65536),
    "epochs": Setting(30, int, "Passes over the training rows at most.", 1, 10_000),
    "patience": Setting(3, int, "Epochs without a better validation loss before training stops.", 1, 10_000),
    "embedding_size": Setting(8, int, "Numbers that stand for a category or a word.", 1, 512),
    "max_vocabulary": Setting(
        1000,
        int,
        "Most frequent values that a categorical feature keeps; the others are one `unknown`.",
        1,
        1_000_000,
    ),
    "min_count": Setting(
        2, int, "A category seen in fewer training rows than this is `unknown`.", 1, 1_000_000
    ),
    "numeric_bins": Setting(
        16,
        int,
        "Quantile bins of a numeric feature's piecewise-linear encoding; 0 leaves only the scaled value.",
        0,
        256,
    ),
    "hash_buckets": Setting(1024, int, "Buckets into which the words of free text are hashed.", 2, 1_000_000),
    "kinds": Setting(
        {}, dict, "Kind of a feature where the default is wrong: {feature: numeric|categorical|text|drop}."
    ),
    "max_rows_in_memory": Setting(
        500_000, int, "More training rows than this are streamed from disk in each epoch.", 1, 100_000_000
    ),
    "custom": Setting({}, dict, "Settings of the app's own model.py, passed on as they are."),
}

DEFAULTS: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}

TUNING: dict[str, Setting] = {
    "trials": Setting(0, int, "Trials of the hyperparameter search; 0 turns it off.", 0, 10_000),
    "timeout_s": Setting(0.0, float, "No new trial starts after this many seconds; 0 is no limit.", 0.0, 1e7),
}

TUNING_DEFAULTS: dict[str, Any] = {name: setting.default for name, setting in TUNING.items()}


def resolve(
    model_settings: Mapping[str, Any], best_parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return all hyperparameters: defaults, overridden by app.yaml, overridden by the search.

    A parameter of the search that is no key of SETTINGS belongs to the app's model.py and goes into
    `custom`.

    Raises:
        StepError: A key is unknown or a value is out of its range; all faults are named.
    """
    faults = problems(model_settings, SETTINGS, "model")
    found = {name: value for name, value in (best_parameters or {}).items() if name in SETTINGS}
    faults += problems(found, SETTINGS, "best_parameters")
    if faults:
        raise StepError("; ".join(faults))
    resolved = {**DEFAULTS, **model_settings, **found}
    own = {name: value for name, value in (best_parameters or {}).items() if name not in SETTINGS}
    resolved["custom"] = {**resolved["custom"], **own}
    return {name: _typed(SETTINGS[name].kind, resolved[name]) for name in SETTINGS}


def resolve_tuning(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `tuning` with its defaults filled in.

    Raises:
        StepError: A key is unknown or a value is out of its range.
    """
    faults = problems(tuning, TUNING, "tuning")
    if faults:
        raise StepError("; ".join(faults))
    return {name: _typed(TUNING[name].kind, value) for name, value in {**TUNING_DEFAULTS, **tuning}.items()}


def problems(values: Mapping[str, Any], known: Mapping[str, Setting], section: str) -> list[str]:
    """Return a sentence for each unknown key and each value out of its range; empty when all is well."""
    found = []
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(known)}"
            found.append(f"{section}.{name} is no setting; {advice}")
        elif fault := _fault(known[name], value):
            found.append(f"{section}.{name} is {value!r}, expected {fault}")
    return found


def _fault(setting: Setting, value: Any) -> str:
    """Return what was expected, or an empty text when the value is fine."""
    if setting.kind is dict:
        return "" if isinstance(value, Mapping) else "a mapping"
    span = f" from {setting.low:g} to {setting.high:g}"
    if setting.kind is list:
        fine = isinstance(value, (list, tuple)) and all(_is_number(item, int, setting) for item in value)
        return "" if fine else "a list of whole numbers" + span
    word = "a whole number" if setting.kind is int else "a number"
    return "" if _is_number(value, setting.kind, setting) else word + span


def _is_number(value: Any, kind: type, setting: Setting) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    if kind is int and value != int(value):
        return False
    return (setting.low or 0) <= value <= (setting.high if setting.high is not None else math.inf)


def _typed(kind: type, value: Any) -> Any:
    if kind is list:
        return [int(item) for item in value]
    return kind(value)

"""`--set key=value`: pipeline parameters, parsed by their declared type, and their place in app.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.app_yaml import AppError, Fault, KeyPath, parse
from penstock.components.step_io.values import coerce
from penstock.nearest import did_you_mean
from penstock.serving_environment import OF_A_ROLLOUT
from penstock.signature import Parameter, read_signature

# Which value of app.yaml each parameter of the training pipeline takes; other pipelines have those below.
PARAMETERS: dict[str, KeyPath] = {
    "model_name": ("model_name",),
    "source": ("data", "source"),
    "label": ("label",),
    "format": ("data", "format"),
    "query": ("data", "query"),
    "event_time": ("data", "event_time"),
    "event_time_unit": ("data", "event_time_unit"),
    "since": ("data", "since"),
    "until": ("data", "until"),
    "rows_per_shard": ("data", "rows_per_shard"),
    "weight": ("data", "weight"),
    "statistics_slices": ("statistics", "slices"),
    "schema_skew": ("validation", "schema_skew"),
    "value_skew": ("validation", "value_skew"),
    "baseline": ("validation", "baseline"),
    "min_rows": ("validation", "min_rows"),
    "drift_thresholds": ("validation", "drift_thresholds"),
    "cleaning": ("cleaning",),
    "split": ("split",),
    "features": ("features",),
    "model_settings": ("model",),
    "tuning_trials": ("tuning", "trials"),
    "tuning": ("tuning",),
    "slices": ("evaluation", "slices"),
    "resamples": ("evaluation", "resamples"),
    "confidence": ("evaluation", "confidence"),
    "thresholds": ("thresholds",),
    "explained_rows": ("explanation", "rows"),
    "explanation_background": ("explanation", "background"),
    "explanation_examples": ("explanation", "examples"),
    "serving": ("serving",),
    "seed": ("seed",),
    "promote": ("promote",),
}

BATCH_PREDICTION: dict[str, KeyPath] = {
    "model_name": ("model_name",),
    "source": ("batch_prediction", "source"),
    "format": ("batch_prediction", "format"),
    "query": ("batch_prediction", "query"),
    "event_time": ("data", "event_time"),
    "event_time_unit": ("data", "event_time_unit"),
    "since": ("batch_prediction", "since"),
    "until": ("batch_prediction", "until"),
    "rows_per_shard": ("data", "rows_per_shard"),
    "key": ("batch_prediction", "key"),
    "max_unscored": ("batch_prediction", "max_unscored"),
}
ROLLOUT: dict[str, KeyPath] = {"model_name": ("model_name",), "rollout": ("rollout",)}
OF_PIPELINES = {"batch_prediction": BATCH_PREDICTION, "rollout": ROLLOUT}

# Parameters that no app determines, and where each comes from.
FROM_THE_RUNNER = {
    "app": "the app's folder",
    "app_uri": "publishing the app",
    "schema_uri": "publishing the app",
    "code_uri": "publishing the app",
    "app_version": "the app's content",
    "code_version": "the steps' code",
    "force": "the option --force",
    "registry_uri": "the environment",
    "checkpoint_uri": "the environment",
    "challenge": "the section rollout of app.yaml",
    "serving_trial": "the environment's section serving",
}
FROM_THE_ENVIRONMENT = dict.fromkeys(OF_A_ROLLOUT, "the environment's section serving")  # of other pipelines

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list such as [a, b]",
    "dict": "a mapping such as {key: value}",
}
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}


@dataclass(frozen=True)
class Override:
    """One parsed `--set`: the parameter, its place in app.yaml, its value and the words that set it."""

    parameter: str
    path: KeyPath
    value: Any
    words: str


def parse_overrides(
    overrides: Sequence[str] | Mapping[str, Any], pipeline: str = "training"
) -> list[Override]:
    """Return the overrides with values of the types that the pipeline declares.

    Raises:
        AppError: A key is no parameter, or a value is not of its type; all faults at once.
    """
    if not overrides:
        return []
    declared = pipeline_parameters(pipeline)
    paths = paths_of(pipeline)
    settable = [name for name in declared if name in paths]
    elsewhere = {**FROM_THE_ENVIRONMENT, **FROM_THE_RUNNER}
    found: list[Override] = []
    faults: list[Fault] = []
    for key, text, words in _pairs(overrides):
        if text is None:
            faults.append(Fault(words, (), "expected key=value"))
        elif key in elsewhere and key in declared:
            faults.append(Fault(words, (), f"{key!r} cannot be set, it comes from {elsewhere[key]}"))
        elif key not in settable:
            near = did_you_mean(key, settable) or f"; there are {', '.join(settable)}"
            faults.append(Fault(words, (), f"{key!r} is no parameter of the {pipeline} pipeline{near}"))
        else:
            try:
                value = _value(key, text, declared[key].type)
            except (TypeError, ValueError, yaml.YAMLError):
                expected = EXPECTED.get(declared[key].type, "text")
                faults.append(Fault(words, (), f"{text!r} does not fit, expected {expected}"))
                continue
            found.append(Override(key, paths[key], _from_here(key, value), words))
    if faults:
        raise AppError(faults)
    return found


def paths_of(pipeline: str) -> dict[str, KeyPath]:
    """Return which value of app.yaml each parameter of a pipeline takes."""
    return OF_PIPELINES.get(pipeline, PARAMETERS)


def defaults_for(parameters: Mapping[str, Any], pipeline: str) -> dict[str, Any]:
    """Return an environment's defaults without those that only other pipelines have."""
    declared = pipeline_parameters(pipeline)
    others = {*PARAMETERS, *(name for paths in OF_PIPELINES.values() for name in paths)} - declared.keys()
    return {name: value for name, value in parameters.items() if name not in others}


def pipeline_parameters(pipeline: str) -> dict[str, Parameter]:
    """Return the parameters of pipelines/<pipeline>.py by name, read without importing kfp."""
    path = Path(__file__).parent / "pipelines" / f"{pipeline}.py"
    return read_signature(path, pipeline).parameters


def _pairs(overrides: Sequence[str] | Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Return key, value (None: there was no `=`) and the words that people typed; the last of two wins."""
    if isinstance(overrides, Mapping):
        return [(key, value, f"--set {key}={value}") for key, value in overrides.items()]
    pairs = {}
    for item in overrides:
        key, equals, text = item.partition("=")
        pairs[key.strip()] = (key.strip(), text if equals else None, f"--set {item}")
    return list(pairs.values())


def _value(key: str, text: Any, declared: str) -> Any:
    if declared == "str" or not isinstance(text, str):
        return coerce(key, text, TYPES[declared])
    return coerce(key, parse(text), TYPES[declared])


def _from_here(key: str, value: Any) -> Any:
    """Read a local source on the command line from the working directory, as a shell does."""
    if key == "source" and value and "://" not in value:
        return str(Path.cwd() / Path(value).expanduser())
    return value

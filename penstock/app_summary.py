"""Says in a few lines what a run of an app would do."""

import re
from collections.abc import Mapping
from typing import Any

from penstock.app_config import App

LISTED = 12  # names in one line


def summary(app: App, arguments: Mapping[str, Any]) -> str:
    """Return the summary that `penstock validate-app` prints."""
    lines = {
        "data": _data(arguments),
        "schema": f"{len(app.columns)} columns; a breach: {arguments['schema_skew']}",
        "label": _label(arguments["label"]),
        "inputs": f"{len(app.inputs)}: {_names(app.inputs)}",
        "excluded": _names(arguments["features"]["exclude"]) or "none",
        "split": _split(arguments["split"]),
        "model": _changed(arguments["model_settings"]) + _tuning(arguments["tuning_trials"]),
        "slices": _names([_slice(one) for one in arguments["slices"]]) or "none",
        "thresholds": _thresholds(arguments["thresholds"]),
        "registers": f"{arguments['model_name']}, {_promotion(arguments)}",
    }
    width = max(map(len, lines)) + 2
    told = [f"{app.name}: app.yaml and schema are valid"]
    told += [f"  {name:<{width}}{text}" for name, text in lines.items()]
    leaks = leaking(app, arguments["label"])
    if leaks:
        told.append(
            f"  note: label.sql uses {_names(leaks)}, also an input: exclude what would not be known yet"
        )
    return "\n".join(told)


def _promotion(arguments: Mapping[str, Any]) -> str:
    if not arguments["promote"]:
        return "not promoted"
    return "challenges the champion when it passes" if arguments["challenge"] else "promoted when it passes"


def leaking(app: App, label: Mapping[str, Any]) -> list[str]:
    """Return the model's inputs that the label's SQL mentions, in the schema's order."""
    words = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", label.get("sql", ""))))
    return [name for name in app.inputs if name in words or f'"{name}"' in label.get("sql", "")]


def _data(arguments: Mapping[str, Any]) -> str:
    parts = [arguments["source"]]
    if arguments["query"]:
        parts.append("through data.query")
    if arguments["since"] or arguments["until"]:
        since, until = arguments["since"] or "the beginning", arguments["until"] or "the end"
        parts.append(f"{arguments['event_time']} from {since} until {until}")
    return ", ".join(parts)


def _label(label: Mapping[str, Any]) -> str:
    origin = f"column {label['column']}" if "column" in label else label["sql"]
    return f"{label['name']} = {origin} ({label['task']})"


def _split(split: Mapping[str, Any]) -> str:
    key = f" ({', '.join(split['key']) or 'whole row'})" if split["by"] == "entity" else ""
    train = 1 - split["validation"] - split["test"]
    return f"by {split['by']}{key}: train {train:.0%}, validation {split['validation']:.0%}, test {split['test']:.0%}"


def _changed(settings: Mapping[str, Any]) -> str:
    from penstock.components.tabular_model.settings import DEFAULTS

    changed = {
        name: value for name, value in settings.items() if value != DEFAULTS.get(name) and name != "kinds"
    }
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "defaults"


def _tuning(trials: int) -> str:
    return f", tuned in {trials} trials" if trials else ""


def _slice(one: Any) -> str:
    return " x ".join(one) if isinstance(one, list) else str(one)


def _thresholds(thresholds: Mapping[str, Any]) -> str:
    parts = [
        f"{metric} {' and '.join(f'{key} {value:g}' for key, value in limits.items())}"
        for metric, limits in thresholds["metrics"].items()
    ]
    rule = thresholds["improvement"]["rule"]
    if rule != "off":
        parts.append(
            f"{rule.replace('_', ' ')} than the champion (margin {thresholds['improvement']['margin']:g})"
        )
    return "; ".join(parts) or "none"


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown

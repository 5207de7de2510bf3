"""What differs between two runs: parameters, data, code, verdicts, metrics."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.components.html_report.numbers import duration, number
from penstock.local.runs import Run
from penstock.local.summary import key_metrics, verdicts

ALL_METRICS = 100
DERIVED = {
    "app_uri",
    "schema_uri",
    "code_uri",
    "app_version",
    "code_version",
}  # told by what they derive from
ABSENT = "–"


@dataclass(frozen=True)
class Difference:
    """One thing that two runs do not share."""

    kind: str  # run, parameter, data, code, verdict, metric
    name: str
    first: str
    second: str


def differences(first: Run, second: Run) -> list[Difference]:
    """Return what differs, in the order in which it explains the rest: settings, data, code, then results."""
    kinds = (
        ("run", _run),
        ("parameter", _parameters),
        ("data", _data),
        ("code", _code),
        ("verdict", _verdicts),
        ("metric", _metrics),
    )
    found = []
    for kind, facts in kinds:
        ours, theirs = facts(first), facts(second)
        for name in dict.fromkeys([*ours, *theirs]):
            before, after = ours.get(name, ABSENT), theirs.get(name, ABSENT)
            if before != after:
                found.append(Difference(kind, name, before, after))
    return found


def _run(run: Run) -> dict[str, str]:
    return {
        "pipeline": run.pipeline,
        "app": run.app,
        "state": run.state,
        "duration": duration(run.seconds),
        "app version": run.app_version[:12],
        "code version": run.code_version[:12],
    }


def _parameters(run: Run) -> dict[str, str]:
    return {name: value for name, value in _flat(run.arguments) if name.split(".")[0] not in DERIVED}


def _data(run: Run) -> dict[str, str]:
    facts: dict[str, str] = {}
    for step_name, names in (
        ("inspect_source", ("fingerprint", "watermark", "rows")),
        ("extract_data", ("data_fingerprint", "watermark", "rows")),
        ("prepare_data", ("split_rows",)),
    ):
        step = run.first(step_name)
        for name in names:
            if step is not None and name in step.results:
                facts |= {f"{step_name} {key}": value for key, value in _flat({name: step.results[name]})}
    return facts


def _code(run: Run) -> dict[str, str]:
    return {step.task: step.image.rpartition(":")[2] for step in run.steps if step.image}


def _verdicts(run: Run) -> dict[str, str]:
    facts = {}
    for name, _, results in verdicts(run):
        facts[name] = str(results["verdict"])
        if results.get("drift"):
            facts[f"{name} drift"] = str(results["drift"])
    return facts


def _metrics(run: Run) -> dict[str, str]:
    return {
        metric.name: str(metric).removeprefix(f"{metric.name} ") for metric in key_metrics(run, ALL_METRICS)
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf of nested dicts under its dotted name."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{name}.")
        elif isinstance(item, bool) or not isinstance(item, (int, float)):
            yield name, item if isinstance(item, str) and item else json.dumps(item, ensure_ascii=False)
        else:
            yield name, number(item, 6)

"""The thresholds that a model is held against: the section `thresholds` of app.yaml."""

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.components.step_io.errors import StepError

RULES = ("better", "not_worse", "off")
KEYS: dict[str, tuple[str, ...]] = {
    "improvement": ("metric", "rule", "margin"),
    "slices": ("metric", "max_drop", "max_spread", "min_rows"),
}


@dataclass(frozen=True)
class Measure:
    """What is known of a metric: which direction is good, and between which values it lies."""

    higher_is_better: bool
    lowest: float = -math.inf
    highest: float = math.inf


@dataclass(frozen=True)
class Thresholds:
    """Checked thresholds.

    Args:
        limits: (metric, "min" or "max", value) in the order of app.yaml.
        metric: Metric compared with the champion.
        rule: better, not_worse or off.
        margin: In units of the metric.
        slice_metric: Metric judged in slices.
        max_drop: A slice may be worse than the champion by this much; None: not judged.
        max_spread: Slices of one slicing may differ by this much; None: not judged.
        min_rows: Slices with fewer rows are not judged.
    """

    limits: list[tuple[str, str, float]] = field(default_factory=list)
    metric: str = ""
    rule: str = "better"
    margin: float = 0.0
    slice_metric: str = ""
    max_drop: float | None = None
    max_spread: float | None = None
    min_rows: int = 100


def read_thresholds(section: Mapping[str, Any], measures: Mapping[str, Measure], primary: str) -> Thresholds:
    """Check `section` against the metrics of an evaluation.

    Raises:
        StepError: Unknown keys or metrics, wrong types, bounds that no model or every model meets; all faults
            in one message.
    """
    faults: list[str] = []
    for key in section:
        if key not in ("metrics", *KEYS):
            faults.append(f"thresholds.{key} is unknown{_near(key, ('metrics', *KEYS))}")
    parts = {name: _mapping(section, name, faults) for name in ("metrics", *KEYS)}
    for name, known in KEYS.items():
        faults += [
            f"thresholds.{name}.{key} is unknown{_near(key, known)}"
            for key in parts[name]
            if key not in known
        ]
    limits = [
        (metric, bound, value)
        for metric, bounds in parts["metrics"].items()
        for bound, value in _limits(metric, bounds, measures, faults)
    ]
    improvement, slices = parts["improvement"], parts["slices"]
    rule = improvement.get("rule", "better")
    if rule not in RULES:
        faults.append(f"thresholds.improvement.rule is {rule!r}: allowed are {', '.join(RULES)}")
    min_rows = slices.get("min_rows", 100)
    if isinstance(min_rows, bool) or not isinstance(min_rows, int) or min_rows < 1:
        faults.append(f"thresholds.slices.min_rows is {min_rows!r}: expected a whole number of 1 or more")
    found = Thresholds(
        limits,
        _metric(improvement, "improvement", measures, primary, faults),
        rule,
        _not_negative(improvement, "improvement", "margin", faults) or 0.0,
        _metric(slices, "slices", measures, primary, faults),
        _not_negative(slices, "slices", "max_drop", faults),
        _not_negative(slices, "slices", "max_spread", faults),
        min_rows,
    )
    if faults:
        raise StepError("; ".join(faults))
    return found


def _mapping(section: Mapping[str, Any], name: str, faults: list[str]) -> Mapping[str, Any]:
    value = section.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.append(f"thresholds.{name} is {value!r}: expected a mapping")
        return {}
    return value


def _limits(
    metric: str, bounds: Any, measures: Mapping[str, Measure], faults: list[str]
) -> list[tuple[str, float]]:
    """Return the usable bounds of one metric."""
    path = f"thresholds.metrics.{metric}"
    if metric not in measures:
        faults.append(f"{path} is no metric of this model{_near(metric, measures)}")
        return []
    if not isinstance(bounds, Mapping):
        faults.append(f"{path} is {bounds!r}: expected a mapping with min, max or both")
        return []
    faults += [
        f"{path}.{key} is unknown{_near(key, ('min', 'max'))}" for key in bounds if key not in ("min", "max")
    ]
    given = {bound: bounds[bound] for bound in ("min", "max") if bounds.get(bound) is not None}
    measure, usable = measures[metric], []
    for bound, value in given.items():
        if not _is_number(value):
            faults.append(f"{path}.{bound} is {value!r}: expected a number")
        elif not measure.lowest <= value <= measure.highest:
            faults.append(f"{path}.{bound} is {value!r}, which is impossible: {metric} is {_span(measure)}")
        else:
            usable.append((bound, float(value)))
    found = dict(usable)
    if len(found) == 2 and found["min"] > found["max"]:
        faults.append(
            f"{path}: min {given['min']!r} is above max {given['max']!r}, so that no model can pass"
        )
    return usable


def _metric(
    part: Mapping[str, Any], name: str, measures: Mapping[str, Measure], primary: str, faults: list[str]
) -> str:
    metric = part.get("metric") or primary
    if not isinstance(metric, str) or metric not in measures:
        faults.append(
            f"thresholds.{name}.metric {metric!r} is no metric of this model{_near(metric, measures)}"
        )
        return primary
    return metric


def _not_negative(part: Mapping[str, Any], name: str, key: str, faults: list[str]) -> float | None:
    value = part.get(key)
    if value is None:
        return None
    if not _is_number(value) or value < 0:
        faults.append(f"thresholds.{name}.{key} is {value!r}: expected a number of 0 or more")
        return None
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _span(measure: Measure) -> str:
    if math.isinf(measure.highest):
        return f"{measure.lowest:g} or more"
    return (
        f"{measure.highest:g} or less"
        if math.isinf(measure.lowest)
        else f"{measure.lowest:g} to {measure.highest:g}"
    )


def _near(name: Any, known: Collection[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"; {hint}allowed are {', '.join(known)}"

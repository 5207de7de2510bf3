"""Reads the thresholds of value skew: `categorical`, `numeric`, and `features` by name."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from penstock.components.step_io.errors import StepError
from penstock.components.validate_data.value_skew import CATEGORICAL, DEFAULTS, NUMERIC


def read_thresholds(given: Mapping[str, Any], features: Collection[str]) -> dict[str, float]:
    """Return the threshold of each named feature, and the defaults under CATEGORICAL and NUMERIC.

    Raises:
        StepError: A key or a feature is unknown, or a threshold is no number from 0 to 1: all faults.
    """
    faults: list[str] = []
    allowed = (CATEGORICAL, NUMERIC, "features")
    for key in given:
        if key not in allowed:
            faults.append(f"drift_thresholds: {key!r} is unknown, allowed are {', '.join(allowed)}")
    by_feature = given.get("features") or {}
    if not isinstance(by_feature, Mapping):
        faults.append(f"drift_thresholds.features is {by_feature!r}, expected thresholds by feature")
        by_feature = {}
    for name in by_feature:
        if name not in features:
            near = difflib.get_close_matches(name, list(features), n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"drift_thresholds.features: {name!r} is no feature of the schema{advice}")
    named = {key: given[key] for key in (CATEGORICAL, NUMERIC) if given.get(key) is not None}
    for key, value in (named | {f"features.{name}": value for name, value in by_feature.items()}).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            faults.append(f"drift_thresholds.{key} is {value!r}, expected a number from 0 to 1")
    if faults:
        raise StepError("; ".join(faults))
    return {**DEFAULTS, **named, **by_feature}

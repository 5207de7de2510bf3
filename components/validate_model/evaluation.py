"""An evaluation as evaluate_model wrote it, with the questions that the rules ask."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError
from penstock.components.validate_model.thresholds import Measure

Estimate = Mapping[str, float | None]
UNKNOWN: Estimate = {"value": None, "low": None, "high": None}


@dataclass(frozen=True)
class Group:
    """Some rows (all, or a slice) and the metrics on them."""

    name: str
    by: tuple[str, ...]
    rows: int
    note: str
    challenger: Mapping[str, Estimate]
    champion: Mapping[str, Estimate]
    difference: Mapping[str, Estimate]

    def drop(self, metric: str, measure: Measure) -> Estimate:
        """Return how much worse the challenger is than the champion; negative where it is better."""
        return turned(self.difference.get(metric, UNKNOWN), measure.higher_is_better)

    def gain(self, metric: str, measure: Measure) -> Estimate:
        """Return how much better the challenger is than the champion; negative where it is worse."""
        return turned(self.difference.get(metric, UNKNOWN), not measure.higher_is_better)


@dataclass(frozen=True)
class Evaluation:
    """Both models' metrics on all rows and on the slices."""

    primary: str
    champion_version: str
    champion_note: str
    confidence: float
    measures: Mapping[str, Measure]
    overall: Group
    slices: list[Group]


def turned(estimate: Estimate, turn: bool) -> Estimate:
    """Return the estimate, or, if `turn`, its negative (the bounds change places)."""
    if not turn:
        return estimate
    value, low, high = (
        None if v is None else -v for v in (estimate["value"], estimate["high"], estimate["low"])
    )
    return {"value": value, "low": low, "high": high}


def read_evaluation(folder: Path) -> Evaluation:
    """Read evaluation.json.

    Raises:
        StepError: It is not there, or not what evaluate_model writes.
    """
    path = folder / "evaluation.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Evaluation(
            content["primary_metric"],
            content["champion_version"],
            content.get("champion_note", ""),
            content["confidence"],
            {name: _measure(about) for name, about in content["metrics"].items()},
            _group("all rows", (), content["overall"]),
            [_group(part["name"], tuple(part["by"]), part) for part in content["slices"]],
        )
    except FileNotFoundError:
        raise StepError(
            f"{folder} holds no evaluation.json; it should be evaluate_model's evaluation"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError(f"{path} is no evaluation: {type(error).__name__}: {error}") from error


def _measure(about: Mapping[str, Any]) -> Measure:
    lowest, highest = about.get("lowest"), about.get("highest")
    return Measure(
        about["higher_is_better"],
        -math.inf if lowest is None else lowest,
        math.inf if highest is None else highest,
    )


def _group(name: str, by: tuple[str, ...], content: Mapping[str, Any]) -> Group:
    return Group(
        name,
        by,
        content["rows"],
        content.get("note", ""),
        content["challenger"],
        content["champion"] or {},
        content["difference"] or {},
    )

"""Training/serving skew: what the server answers, beside what the model said of the same rows offline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.validate_serving.recorded import Recorded


@dataclass(frozen=True)
class Parity:
    """How far answers and offline predictions are apart.

    Attributes:
        rows: Rows that were compared.
        largest: Largest difference of a number.
        differing: Rows that differ by more than is allowed, or in the label.
        first: The first of them, as a sentence's end; empty when there is none.
    """

    rows: int
    largest: float
    differing: int
    first: str


def flatten(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with one key a number: `probabilities` becomes `probability_<class>`."""
    flat = {name: value for name, value in answer.items() if name != "probabilities"}
    for name, value in answer.get("probabilities", {}).items():
        flat[f"probability_{name}"] = value
    return flat


def compare(answers: Sequence[Mapping[str, Any]], recorded: Recorded, tolerance: float) -> Parity:
    """Compare the answers, one per recorded row, with the offline predictions.

    A label may differ where the numbers agree only within the tolerance: at a tie.
    """
    if len(answers) != len(recorded.instances):
        text = f"{len(recorded.instances)} rows were sent, {len(answers)} answers came"
        return Parity(0, math.inf, len(recorded.instances), text)
    largest, differing, first = 0.0, 0, ""
    for row, answer in enumerate(map(flatten, answers)):
        fault = ""
        numbers = {name: values[row] for name, values in recorded.offline.items() if name != "label"}
        for name, offline in numbers.items():
            apart = distance(answer.get(name), offline, name)
            largest = max(largest, apart)
            if apart > tolerance:
                fault = fault or f"{name} {answer.get(name)} instead of {offline}"
        if (
            not fault
            and "label" in recorded.offline
            and answer.get("label") != recorded.offline["label"][row]
        ) and not is_tie(numbers, tolerance):
            fault = f"label {answer.get('label')!r} instead of {recorded.offline['label'][row]!r}"
        if fault:
            differing += 1
            first = first or f"row {row}: {fault}"
    return Parity(len(answers), largest, differing, first)


def distance(answered: Any, offline: float, name: str) -> float:
    """Return how far two numbers are apart: absolutely, for `prediction` relative to the larger of 1 and it."""
    if not isinstance(answered, (int, float)) or isinstance(answered, bool) or math.isnan(answered):
        return math.inf
    scale = max(1.0, abs(offline)) if name == "prediction" else 1.0
    return abs(answered - offline) / scale


def is_tie(numbers: Mapping[str, float], tolerance: float) -> bool:
    """Return whether the label hangs on a difference within the tolerance."""
    if "score" in numbers:
        return abs(numbers["score"] - 0.5) <= tolerance
    best = sorted(numbers.values())[-2:]
    return len(best) == 2 and best[1] - best[0] <= tolerance

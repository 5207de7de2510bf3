"""The section `rollout` of app.yaml: which strategy, and how much of what it takes to decide.

Standard library only: the command line reads it, too.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.components.step_io.errors import StepError

STRATEGIES = ("canary", "ab_test", "bandit", "shadow")
KINDS = ("binary", "number")
MISSING = ("ignore", "zero")
EVIDENCE = ("no_harm", "non_inferior")
DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
LARGEST = 10**12


@dataclass(frozen=True)
class Guardrails:
    """What counts as harm. A limit of 0 turns its guardrail off.

    Args:
        alpha: Chance that an equal challenger is rolled back by any of them, at whatever looks, 0 to 0.5.
        error_ratio: Error rate (and the share of refused requests) over the champion's, 1 or more.
        error_increase: ... and at least by this share (0.001 is 0.1 points), so that two errors are no harm.
        latency_quantile: Which quantile of the latency.
        latency_ratio: That quantile over the champion's, 1 or more.
        nan_ratio: Share of predictions without a number over the champion's.
        nan_increase: ... and at least by this share.
        score_distance: Total variation distance of the scores' distributions, 0 to 1.
        outcome_drop: Outcomes worse than the champion's by more than this, in units of the outcome; None: off.
    """

    alpha: float = 0.05
    error_ratio: float = 1.2
    error_increase: float = 0.001
    latency_quantile: float = 0.99
    latency_ratio: float = 1.5
    nan_ratio: float = 1.2
    nan_increase: float = 0.001
    score_distance: float = 0.25
    outcome_drop: float | None = 0.0


@dataclass(frozen=True)
class Canary:
    """Stages in percent, each held for a time; the last is 100.

    Args:
        stages: Rising percents of the challenger.
        hold: How long each stage lasts at least, ISO 8601.
        min_requests: ... and how many requests the challenger answers in it at least.
        evidence: `no_harm` advances when no guardrail shows harm; `non_inferior` only when an error rate of
            `inferior_ratio` times the champion's is ruled out as well.
        inferior_ratio: See evidence.
    """

    stages: tuple[int, ...] = (5, 25, 50, 100)
    hold: str = "PT1H"
    min_requests: int = 500
    evidence: str = "no_harm"
    inferior_ratio: float = 2.0


@dataclass(frozen=True)
class ABTest:
    """A fixed split, judged by an outcome.

    Args:
        split: Percent of the challenger.
        alpha: Chance that an equal challenger is promoted, at whatever looks; the same for its rollback.
        beta: Chance that a challenger that is better by `min_effect` is stopped as not better, at whatever looks.
        min_effect: Smallest improvement worth a promotion, in units of the outcome.
        min_outcomes: Outcomes of each arm before the first look.
        max_outcomes: Outcomes of both arms after which the test stops without a winner; 0: never.
        max_duration: The same in time; "" never.
        srm_alpha: Chance of a false alarm that requests are not split as told (sample ratio mismatch); 0: off,
            which sticky routing of few keys needs.
    """

    split: int = 50
    alpha: float = 0.05
    beta: float = 0.02
    min_effect: float = 0.01
    min_outcomes: int = 100
    max_outcomes: int = 200_000
    max_duration: str = "P28D"
    srm_alpha: float = 0.001


@dataclass(frozen=True)
class Bandit:
    """Weights that follow the outcomes (Thompson sampling).

    Args:
        floor: Percent that each arm keeps. Less of it costs less a day, but puts off the decision.
        alpha: As of the A/B test; shared by the challengers.
        beta: As of the A/B test; shared by the challengers.
        min_effect: As of the A/B test.
        min_outcomes: Outcomes of each arm before its weight moves.
        max_outcomes: As of the A/B test.
        max_duration: As of the A/B test.
        draws: Draws from the posteriors at each look.
        seed: Seed of the draws.
    """

    floor: int = 5
    alpha: float = 0.05
    beta: float = 0.02
    min_effect: float = 0.01
    min_outcomes: int = 100
    max_outcomes: int = 200_000
    max_duration: str = "P28D"
    draws: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class Shadow:
    """Mirrored traffic: how long to compare."""

    min_requests: int = 1_000
    hold: str = "PT1H"


@dataclass(frozen=True)
class Outcome:
    """What is known later of a request.

    Args:
        kind: binary (0 or 1) or number.
        higher_is_better: Whether more is better.
        window: Outcomes that come later than this after their request are left out, ISO 8601.
        missing: `ignore` a request without outcome, or count it as `zero` once its window is over.
    """

    kind: str = "binary"
    higher_is_better: bool = True
    window: str = "P7D"
    missing: str = "ignore"


@dataclass(frozen=True)
class Segment:
    """A column by whose values outcomes are compared; `edges` cut a number into ranges."""

    column: str
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rollout:
    """The checked section.

    Args:
        strategy: canary, ab_test, bandit or shadow.
        period: Length of the periods in which requests are counted, ISO 8601; "" takes a twelfth of the strategy's
            hold time, a second to five minutes.
    """

    strategy: str = "canary"
    period: str = ""
    guardrails: Guardrails = field(default_factory=Guardrails)
    canary: Canary = field(default_factory=Canary)
    ab_test: ABTest = field(default_factory=ABTest)
    bandit: Bandit = field(default_factory=Bandit)
    shadow: Shadow = field(default_factory=Shadow)
    outcome: Outcome = field(default_factory=Outcome)
    segments: tuple[Segment, ...] = ()

    @property
    def period_s(self) -> int:
        """Length of the periods in seconds."""
        if self.period:
            return seconds_of(self.period)
        hold = {"canary": self.canary.hold, "shadow": self.shadow.hold}.get(self.strategy, "PT1H")
        return max(1, min(300, seconds_of(hold) // 12))

    @property
    def needs_outcomes(self) -> bool:
        """Whether the strategy cannot decide without outcomes."""
        return self.strategy in ("ab_test", "bandit")


PARTS: dict[str, type] = {
    "guardrails": Guardrails,
    "canary": Canary,
    "ab_test": ABTest,
    "bandit": Bandit,
    "shadow": Shadow,
    "outcome": Outcome,
}
SHARE, LEVEL, RATIO, POSITIVE = (0.0, 1.0), (1e-9, 0.5), (1.0, 1e6), (0.0, float(LARGEST))
RANGES: dict[str, tuple[float, float]] = {
    "guardrails.alpha": LEVEL,
    "guardrails.error_increase": SHARE,
    "guardrails.latency_quantile": (0.5, 0.9999),
    "guardrails.nan_increase": SHARE,
    "guardrails.score_distance": SHARE,
    "guardrails.outcome_drop": POSITIVE,
    "canary.min_requests": (1, LARGEST),
    "canary.inferior_ratio": (1.0001, 1e6),
    "ab_test.split": (1, 99),
    "ab_test.alpha": LEVEL,
    "ab_test.beta": LEVEL,
    "ab_test.min_effect": POSITIVE,
    "ab_test.min_outcomes": (10, LARGEST),
    "ab_test.max_outcomes": (0, LARGEST),
    "ab_test.srm_alpha": (0.0, 0.1),
    "bandit.floor": (0, 50),
    "bandit.alpha": LEVEL,
    "bandit.min_effect": POSITIVE,
    "bandit.beta": LEVEL,
    "bandit.min_outcomes": (10, LARGEST),
    "bandit.max_outcomes": (0, LARGEST),
    "bandit.draws": (1_000, 1_000_000),
    "bandit.seed": (0, 2**63),
    "shadow.min_requests": (1, LARGEST),
}
OFF_OR_RATIO = ("guardrails.error_ratio", "guardrails.latency_ratio", "guardrails.nan_ratio")
CHOICES = {"outcome.kind": KINDS, "outcome.missing": MISSING, "canary.evidence": EVIDENCE}
DURATIONS = {
    "period": True,
    "canary.hold": False,
    "shadow.hold": False,
    "outcome.window": False,
    "ab_test.max_duration": True,
    "bandit.max_duration": True,
}


def seconds_of(duration: str) -> int:
    """Return the seconds of an ISO 8601 duration in weeks, days, hours, minutes and seconds; "" is 0.

    Raises:
        ValueError: It is none.
    """
    if duration == "":
        return 0
    match = DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is no ISO 8601 duration, such as PT5M, PT1H or P7D")
    return sum(SECONDS[name] * int(digits or 0) for name, digits in match.groupdict().items())


def read_rollout(section: Mapping[str, Any]) -> Rollout:
    """Check the section.

    Raises:
        StepError: Unknown keys, wrong types, values that make no sense; all faults in one message.
    """
    faults: list[str] = []
    known = [f.name for f in dataclasses.fields(Rollout)]
    faults += [f"rollout.{key} is unknown{_near(key, known)}" for key in section if key not in known]
    values: dict[str, Any] = {}
    strategy = section.get("strategy", "canary")
    if strategy not in STRATEGIES:
        faults.append(f"rollout.strategy is {strategy!r}{_near(strategy, STRATEGIES)}")
    else:
        values["strategy"] = strategy
    if "period" in section:
        values["period"] = _checked("period", section["period"], "", faults)
    for name, kind in PARTS.items():
        values[name] = _part(name, kind, section.get(name), faults)
    values["segments"] = _segments(section.get("segments"), faults)
    if faults:
        raise StepError("; ".join(faults))
    return Rollout(**values)


def _part(name: str, kind: type, given: Any, faults: list[str]) -> Any:
    if given is None:
        return kind()
    if not isinstance(given, Mapping):
        faults.append(f"rollout.{name} is {given!r}: expected a mapping")
        return kind()
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    faults += [
        f"rollout.{name}.{key} is unknown{_near(key, defaults)}" for key in given if key not in defaults
    ]
    checked = {
        key: _checked(f"{name}.{key}", value, defaults[key], faults)
        for key, value in given.items()
        if key in defaults
    }
    return kind(**checked)


def _checked(key: str, value: Any, default: Any, faults: list[str]) -> Any:
    """Return the value in the type of its default, or the default beside a fault."""
    path = f"rollout.{key}"
    if key == "canary.stages":
        return _stages(value, default, faults)
    if key in CHOICES:
        if value not in CHOICES[key]:
            faults.append(f"{path} is {value!r}{_near(value, CHOICES[key])}")
            return default
        return value
    if key in DURATIONS:
        return _duration(path, value, DURATIONS[key], default, faults)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            faults.append(f"{path} is {value!r}: expected true or false")
            return default
        return value
    if key == "guardrails.outcome_drop" and value is None:
        return None
    whole = isinstance(default, int)
    if not _is_number(value) or (whole and float(value) != int(value)):
        faults.append(f"{path} is {value!r}: expected a {'whole ' if whole else ''}number")
        return default
    if key in OFF_OR_RATIO and value != 0 and not RATIO[0] <= value <= RATIO[1]:
        faults.append(f"{path} is {value!r}: expected 1 or more, or 0 to turn the guardrail off")
        return default
    low, high = RANGES.get(key, (0, LARGEST))
    if not low <= value <= high:
        faults.append(f"{path} is {value!r}: expected {low:g} to {high:g}")
        return default
    return int(value) if whole else float(value)


def _duration(path: str, value: Any, may_be_empty: bool, default: str, faults: list[str]) -> str:
    if value == "" and may_be_empty:
        return ""
    try:
        seconds = seconds_of(value) if isinstance(value, str) else -1
    except ValueError:
        seconds = -1
    longer_than_nothing = path != "rollout.period" or seconds > 0
    if seconds < 0 or value == "" or not longer_than_nothing:
        faults.append(f"{path} is {value!r}: expected an ISO 8601 duration, such as PT5M, PT1H or P7D")
        return default
    return str(value)


def _stages(value: Any, default: tuple[int, ...], faults: list[str]) -> tuple[int, ...]:
    path = "rollout.canary.stages"
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        faults.append(f"{path} is {value!r}: expected a list of percents, such as [5, 25, 50, 100]")
        return default
    if not all(_is_number(v) and v == int(v) and 1 <= v <= 100 for v in value):
        faults.append(f"{path} is {list(value)!r}: expected whole percents from 1 to 100")
        return default
    stages = tuple(int(v) for v in value)
    if list(stages) != sorted(set(stages)) or stages[-1] != 100 or len(stages) < 2:
        faults.append(f"{path} is {list(stages)!r}: expected two or more rising percents that end with 100")
        return default
    return stages


def _segments(value: Any, faults: list[str]) -> tuple[Segment, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        faults.append(f"rollout.segments is {value!r}: expected a list of columns")
        return ()
    found = []
    for i, item in enumerate(value):
        path = f"rollout.segments[{i}]"
        if isinstance(item, str) and item:
            found.append(Segment(item))
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("column"), str) or not item["column"]:
            faults.append(f"{path} is {item!r}: expected a column, or a mapping with column and edges")
            continue
        faults += [
            f"{path}.{key} is unknown{_near(key, ('column', 'edges'))}"
            for key in item
            if key not in ("column", "edges")
        ]
        edges = item.get("edges") or []
        if not isinstance(edges, Sequence) or not all(map(_is_number, edges)) or list(edges) != sorted(edges):
            faults.append(f"{path}.edges is {edges!r}: expected rising numbers")
            continue
        found.append(Segment(item["column"], tuple(float(e) for e in edges)))
    names = [segment.column for segment in found]
    faults += [
        f"rollout.segments names {name!r} twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _near(name: Any, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"; {hint}allowed are {', '.join(known)}"

"""The parameters of the step, checked together: all faults in one sentence."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.components.analyze_rollout.records import seconds
from penstock.components.rollout_settings.settings import Rollout, read_rollout
from penstock.components.step_io.errors import StepError

CLOCKS_APART_S = 300.0  # by which the clocks of two machines may differ


@dataclass(frozen=True)
class Setup:
    """Who is compared, since when, and by what.

    Args:
        champion: Version of the champion.
        challengers: Versions of the challengers.
        weights: Percent by version now; every version is in it.
        rollout: The settings.
        started: When the rollout began, seconds since 1970; 0: unknown.
        since: Since when the weights hold; 0: unknown.
        now: Time of the look.
        clock: The same as a text.
    """

    champion: str
    challengers: tuple[str, ...]
    weights: dict[str, int]
    rollout: Rollout
    started: float
    since: float
    now: float
    clock: str

    @property
    def versions(self) -> tuple[str, ...]:
        """Champion first."""
        return (self.champion, *self.challengers)


def read_setup(
    champion: str,
    challenger: str,
    weights: Mapping[str, Any],
    rollout: Mapping[str, Any],
    times: Mapping[str, str],
) -> Setup:
    """Check the parameters.

    Args:
        champion: As the step's.
        challenger: As the step's.
        weights: As the step's.
        rollout: As the step's.
        times: started, since and now as the step's.

    Raises:
        StepError: Anything is wrong.
    """
    settings = read_rollout(rollout)
    faults = []
    champion = champion.strip()
    challengers = tuple(part.strip() for part in challenger.split(",") if part.strip())
    if not champion:
        faults.append("champion is empty: name the version that serves")
    if not challengers:
        faults.append("challenger is empty: name the version that is tried")
    if champion in challengers:
        faults.append(f"version {champion!r} is both champion and challenger")
    if len(set(challengers)) < len(challengers):
        faults.append(f"challenger names a version twice: {challenger!r}")
    if len(challengers) > 1 and settings.strategy != "bandit":
        faults.append(
            f"challenger is {challenger!r}: the strategy {settings.strategy} compares one, bandit several"
        )
    if settings.strategy == "bandit" and settings.bandit.floor * (1 + len(challengers)) > 100:
        faults.append(
            f"rollout.bandit.floor is {settings.bandit.floor} %: {1 + len(challengers)} arms cannot each keep that"
        )
    checked = _weights(weights, (champion, *challengers), settings.strategy, faults)
    now = times["now"] or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    moments = {name: _moment(name, text, faults) for name, text in {**times, "now": now}.items()}
    since = moments["since"] or moments["started"]
    latest = max(since, moments["started"])
    if moments["now"] and latest > moments["now"] + CLOCKS_APART_S:
        faults.append(f"the weights or the rollout begin after now ({now}): correct started, since or now")
    elif since and since < moments["started"]:
        faults.append(
            f"since ({times['since']}) lies before started ({times['started']}): weights change after the start"
        )
    if faults:
        raise StepError("; ".join(faults))
    at = max(moments["now"], latest)
    return Setup(champion, challengers, checked, settings, moments["started"], since, at, now)


def _weights(
    weights: Mapping[str, Any], versions: tuple[str, ...], strategy: str, faults: list[str]
) -> dict[str, int]:
    unknown = sorted(v for v in map(str, weights) if v not in versions)
    for version in unknown:
        if weights[version]:
            faults.append(
                f"current_weights gives {weights[version]} % to version {version!r}, "
                f"which is not part of the rollout ({', '.join(versions)})"
            )
    found: dict[str, int] = dict.fromkeys(versions, 0)
    for version, weight in weights.items():
        whole = isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight == int(weight)
        if not whole or not 0 <= weight <= 100:
            faults.append(f"current_weights.{version} is {weight!r}: expected whole percents from 0 to 100")
        elif version in found:
            found[version] = int(weight)
    if not faults and sum(found.values()) != 100:
        faults.append(f"current_weights sum to {sum(found.values())}, expected 100: {dict(weights)!r}")
    return found


def _moment(name: str, text: str, faults: list[str]) -> float:
    if not text:
        return 0.0
    try:
        return seconds(text)
    except ValueError:
        faults.append(f"{name} is {text!r}: expected a time such as 2026-11-21T18:00:00Z")
        return 0.0

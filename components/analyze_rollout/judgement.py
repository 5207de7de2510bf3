"""From counts to a decision, with what must be said of the logs beside it."""

import difflib
import math
from dataclasses import dataclass, replace
from typing import Any

from penstock.components.analyze_rollout import reading
from penstock.components.analyze_rollout.assembly import pairs_of
from penstock.components.analyze_rollout.setup import Setup
from penstock.components.analyze_rollout.store import Store
from penstock.components.rollout_statistics.ab_test import decide_ab_test
from penstock.components.rollout_statistics.bandit import decide_bandit
from penstock.components.rollout_statistics.canary import decide_canary
from penstock.components.rollout_statistics.decision import CONTINUE, ROLLBACK, Decision
from penstock.components.rollout_statistics.shadow import decide_shadow
from penstock.components.rollout_statistics.traffic import Traffic

MOST_REASONS = 20
THE_ID = "`request_id` must be what the service returned as x-request-id"
A_LINE = (
    'files of lines such as {"request_id": "…", "outcome": 1, "time": "2026-11-21T18:00:00Z"} (.jsonl or .parquet), '
    f"whose {THE_ID}"
)


@dataclass(frozen=True)
class Judgement:
    """A decision and what was found wrong with the logs.

    Args:
        decision: The strategy's.
        warnings: Sentences.
        verdict: pass, warn or block.
    """

    decision: Decision
    warnings: tuple[str, ...]
    verdict: str


def judge(traffic: Traffic, setup: Setup, store: Store, outcomes: str) -> Judgement:
    """Let the strategy decide; without a request of the challenger there is nothing to decide."""
    warnings = warnings_of(setup, store, traffic, outcomes)
    if not any(traffic.arms[v].requests.sum() for v in setup.versions):
        reason = "there are no logs of these versions yet: nothing is judged"
        decision = Decision(CONTINUE, dict(setup.weights), (reason,))
    else:
        decision = decide(traffic, setup, store)
    decision = replace(decision, numbers=jsonable(decision.numbers))
    if decision.action == ROLLBACK:
        return Judgement(decision, warnings, "block")
    return Judgement(decision, warnings, "warn" if warnings else "pass")


def decide(traffic: Traffic, setup: Setup, store: Store) -> Decision:
    """Call the strategy."""
    rollout, one = setup.rollout, setup.challengers[0]
    if rollout.strategy == "bandit":
        return decide_bandit(traffic, setup.weights, setup.champion, rollout)
    if rollout.strategy == "ab_test":
        return decide_ab_test(traffic, setup.weights, setup.champion, one, rollout)
    if rollout.strategy == "shadow":
        pairs = pairs_of(store, setup.champion, one)
        return decide_shadow(traffic, setup.weights, setup.champion, one, rollout, pairs)
    return decide_canary(traffic, setup.weights, setup.champion, one, rollout)


def warnings_of(setup: Setup, store: Store, traffic: Traffic, outcomes: str) -> tuple[str, ...]:
    """Return a sentence for everything in the logs that could not be used."""
    noted = store.noted()
    said = []
    silent = [v for v in setup.versions if not traffic.arms[v].requests.sum()]
    others = {
        note.removeprefix(reading.OTHER_VERSION): n
        for note, n in sorted(noted.items())
        if note.startswith(reading.OTHER_VERSION)
    }
    for version in silent:
        if setup.weights[version] == 0 and setup.rollout.strategy != "shadow":
            continue
        close = difflib.get_close_matches(version, list(others), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        has = f", which have {', '.join(map(repr, others))}" if others else ""
        said.append(f"version {version!r} is not in the logs{has}{hint or ': it has answered nothing yet'}")
    for version, n in others.items():
        said.append(f"{n:,} requests of version {version!r}, which is not part of the rollout, are left out")
    for note, what in (
        (reading.MALFORMED, "lines of the logs are no request records and are left out"),
        (reading.MALFORMED_OUTCOMES, "lines of the outcomes are no outcomes and are left out"),
        (reading.AFTER, "records lie in the future and are left out: compare the clocks"),
    ):
        if noted.get(note):
            said.append(f"{noted[note]:,} {what}")
    if setup.rollout.needs_outcomes:
        said += _missing_outcomes(setup, store, traffic, outcomes)
    return tuple(said)


def _missing_outcomes(setup: Setup, store: Store, traffic: Traffic, outcomes: str) -> list[str]:
    """Return what is missing for a comparison by outcomes, and how it comes there."""
    strategy = setup.rollout.strategy
    if not outcomes:
        return [
            f"the strategy {strategy} needs outcomes, and `outcomes` is empty: name the folder "
            f"(`serving.outcomes` of the environment file) of {A_LINE}"
        ]
    n, known = store.rows("SELECT COUNT(*), COUNT(r.id) FROM outcomes LEFT JOIN requests AS r USING (id)")[0]
    if not n:
        return [f"the strategy {strategy} needs outcomes, and {outcomes} has none yet: write {A_LINE} there"]
    if not known:
        return [f"none of the {n:,} outcomes in {outcomes} is of a request in the logs: {THE_ID}"]
    if not any(arm.all_outcomes.n for arm in traffic.arms.values()):
        return [
            f"none of the {known:,} outcomes of these versions came within `outcome.window` "
            f"({setup.rollout.outcome.window}) after its request"
        ]
    none = [
        v for v in setup.versions if traffic.arms[v].requests.sum() and not traffic.arms[v].all_outcomes.n
    ]
    return [f"none of the outcomes in {outcomes} is of a request to version {v!r}: {THE_ID}" for v in none]


def jsonable(value: Any) -> Any:
    """Return numbers that JSON has: infinity and NaN become null."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, float) and not math.isfinite(number):
        return None
    return number

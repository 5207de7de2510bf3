"""Multi-armed bandit: weights follow the outcomes, so that a worse arm costs less while it is being found out."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from penstock.components.rollout_settings.settings import Guardrails, Rollout
from penstock.components.rollout_statistics.ab_test import out_of_time, segment_rows, too_few
from penstock.components.rollout_statistics.decision import (
    ADVANCE,
    CONTINUE,
    PROMOTE,
    ROLLBACK,
    Decision,
    all_to,
    whole_percents,
)
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.means import difference_by_period
from penstock.components.rollout_statistics.outcome_test import (
    BETTER,
    FUTILE,
    OPEN,
    WORSE,
    Gain,
    end_without_winner,
    gain_of,
    verdict_of,
    words_of,
)
from penstock.components.rollout_statistics.thompson import best_shares, with_floor
from penstock.components.rollout_statistics.traffic import Traffic


def decide_bandit(traffic: Traffic, weights: Mapping[str, int], champion: str, rollout: Rollout) -> Decision:
    """Set weights by Thompson sampling; drop arms that harm or lose, promote the one that wins.

    All arms but the champion are challengers; one with weight 0 has been dropped before and stays out. The weights follow
    the probability of being the best, which is no test: what is sure is told by outcome_test.py on
    means.difference_by_period, at alpha and beta / number of challengers. That holds under weights that follow from
    outcomes, and at every look. A challenger is dropped when it is worse than the champion or not better by
    `min_effect`; it is promoted when it is better than every other arm still in the race, and than the champion by an
    estimated `min_effect`. What ends without a winner while a guardrail is in doubt is rolled back, as in an A/B test.

    A decision takes as much information as the A/B test's, whoever gets the requests, and each piece of it costs at least
    half of what it costs there (Garivier, Lattimore and Kaufmann 2016, "On explore-then-commit strategies").
    """
    settings, outcome = rollout.bandit, rollout.outcome
    versions = list(traffic.arms)
    begun = any(weights.get(v, 0) > 0 for v in versions if v != champion)
    challengers = [v for v in versions if v != champion and (not begun or weights.get(v, 0) > 0)]
    guards = Guardrails(**{**vars(rollout.guardrails), "outcome_drop": None})
    findings = {v: check_guardrails(traffic, champion, v, guards, outcome) for v in challengers}
    gains = {v: _gain(traffic, v, champion, rollout, len(challengers)) for v in challengers}
    arms = {v: traffic.arms[v].all_outcomes for v in (champion, *challengers)}
    enough = {v: arm.n >= settings.min_outcomes for v, arm in arms.items()}
    verdicts = {
        v: verdict_of(gain, settings.min_effect) if enough[v] and enough[champion] else OPEN
        for v, gain in gains.items()
    }
    guarded = {v: {f.check: {"harm": f.harm, **f.numbers} for f in found} for v, found in findings.items()}
    numbers: dict[str, Any] = {
        "arms": {v: {"n": int(arm.n), "mean": float(arm.mean)} for v, arm in arms.items()},
        "gains": {v: gain._asdict() for v, gain in gains.items()},
        "guardrails": guarded[challengers[0]] if len(versions) == 2 and challengers else guarded,
    }
    if len(versions) == 2 and challengers:
        numbers["segments"] = segment_rows(traffic, champion, challengers[0], rollout)

    shares: dict[str, float] = {}
    if all(enough.values()):
        shares = best_shares(arms, outcome.kind, outcome.higher_is_better, settings.draws, settings.seed)
        numbers["best"] = shares
    reasons, dropped, harmed = [], [], False
    for v in challengers:
        told = [f"version {v!r}: {f.sentence}" for f in findings[v] if f.harm]
        words = words_of(gains[v], verdicts[v], settings.min_effect)
        if verdicts[v] == WORSE:
            told.append(f"version {v!r} is {words}")
        harmed = harmed or bool(told)
        if not told and verdicts[v] == FUTILE:
            told.append(f"version {v!r} is {words}")
        if told:
            dropped.append(v)
            reasons += told
    left = [v for v in challengers if v not in dropped]
    means = [
        f"version {v!r} has a mean outcome of {arm.mean:.4g} ({int(arm.n):,})" for v, arm in arms.items()
    ]
    found = [f for v in challengers for f in findings[v]]
    if not left:
        reasons = [*(reasons or ["no challenger is in the race: the champion stays"]), *means]
        if harmed:
            return Decision(ROLLBACK, all_to(champion, versions), tuple(reasons), numbers)
        return end_without_winner(reasons, found, champion, versions, numbers)
    for v in left:
        if verdicts[v] != BETTER or any(f.doubt for f in findings[v]):
            continue
        rivals = [_gain(traffic, v, r, rollout, len(challengers)) for r in left if r != v]
        if all(gain.low > 0 for gain in rivals):
            reasons.insert(0, f"version {v!r} is {words_of(gains[v], BETTER, settings.min_effect)}")
            return Decision(PROMOTE, all_to(v, versions), (*reasons, *means), numbers)
    outcomes = sum(arm.n for arm in arms.values())
    if over := out_of_time(traffic, outcomes, settings.max_outcomes, settings.max_duration):
        reasons = [f"{over}: the champion stays", *reasons, *means]
        return end_without_winner(reasons, found, champion, versions, numbers)
    race = {v: arms[v] for v in (champion, *left)}
    if shares:
        reasons += [
            f"version {v!r} is the best with probability {shares[v]:.3g}: its mean outcome is {arm.mean:.4g} "
            f"({int(arm.n):,})"
            for v, arm in race.items()
        ]
        shares = {v: max(shares[v], 1e-12) for v in race}
        shares = {v: share / sum(shares.values()) for v, share in shares.items()}
    else:
        shares = dict.fromkeys(race, 1 / len(race))
        counts = {v: arm.n for v, arm in race.items()}
        reasons += [f"{too_few(counts, settings.min_outcomes)}: all get the same", *means]
    percents = dict.fromkeys(versions, 0) | whole_percents(with_floor(shares, settings.floor / 100))
    changed = percents != {v: int(weights.get(v, 0)) for v in versions}
    return Decision(ADVANCE if changed else CONTINUE, percents, tuple(reasons), numbers)


def _gain(traffic: Traffic, one: str, zero: str, rollout: Rollout, challengers: int) -> Gain:
    """Return by how much arm one is better than arm zero."""
    settings, many = rollout.bandit, max(challengers, 1)
    each = dataclasses.replace(settings, alpha=settings.alpha / many, beta=settings.beta / many)
    parts = traffic.arms[one].outcome_periods, traffic.arms[zero].outcome_periods
    return gain_of(
        lambda tau, level: difference_by_period(*parts, tau, level),
        traffic.arms[zero].all_outcomes,
        each,
        rollout.outcome.higher_is_better,
    )

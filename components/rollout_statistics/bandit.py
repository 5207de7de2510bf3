"""Multi-armed bandit: weights follow the outcomes, so that a worse arm costs less while it is being found out."""

from collections.abc import Mapping
from typing import Any

from penstock.components.rollout_statistics.ab_test import in_gains, out_of_time, segment_rows
from penstock.components.rollout_statistics.decision import (
    ADVANCE,
    CONTINUE,
    PROMOTE,
    ROLLBACK,
    STOP,
    Decision,
    all_to,
    whole_percents,
)
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.means import difference_by_period, scale_of_effects
from penstock.components.rollout_statistics.settings import Guardrails, Rollout
from penstock.components.rollout_statistics.thompson import best_shares, with_floor
from penstock.components.rollout_statistics.traffic import Traffic

Gain = tuple[float, float, float]  # with its bounds; more is better


def decide_bandit(traffic: Traffic, weights: Mapping[str, int], champion: str, rollout: Rollout) -> Decision:
    """Set weights by Thompson sampling; drop arms that harm or lose, promote the one that wins.

    All arms but the champion are challengers; one with weight 0 has been dropped before and stays out. What is sure is told
    by means.difference_by_period at alpha / number of challengers, which holds under weights that follow from
    outcomes, and at every look: a challenger is dropped when it is worse than the champion, or not better by
    `min_effect`, or the best with a probability below `give_up`, which proves nothing but leaves little to be lost by staying
    with the champion; it is promoted when it is better than every other arm still in the race, and than the champion by an
    estimated `min_effect`. The probability of being best promotes nothing: it is no test.
    """
    settings = rollout.bandit
    versions = list(traffic.arms)
    begun = any(weights.get(v, 0) > 0 for v in versions if v != champion)
    challengers = [v for v in versions if v != champion and (not begun or weights.get(v, 0) > 0)]
    guards = Guardrails(**{**vars(rollout.guardrails), "outcome_drop": None})
    findings = {v: check_guardrails(traffic, champion, v, guards, rollout.outcome) for v in challengers}
    gains = {v: _gain(traffic, v, champion, rollout, len(challengers)) for v in challengers}
    arms = {v: traffic.arms[v].all_outcomes for v in (champion, *challengers)}
    enough = {v: arm.n >= settings.min_outcomes for v, arm in arms.items()}
    guarded = {v: {f.check: {"harm": f.harm, **f.numbers} for f in found} for v, found in findings.items()}
    numbers: dict[str, Any] = {
        "arms": {v: {"n": int(arm.n), "mean": float(arm.mean)} for v, arm in arms.items()},
        "gains": {v: dict(zip(("value", "low", "high"), gain, strict=True)) for v, gain in gains.items()},
        "guardrails": guarded[challengers[0]] if len(versions) == 2 and challengers else guarded,
    }
    if len(versions) == 2 and challengers:
        numbers["segments"] = segment_rows(traffic, champion, challengers[0], rollout)

    outcome, shares = rollout.outcome, {}
    if all(enough.values()):
        shares = best_shares(arms, outcome.kind, outcome.higher_is_better, settings.draws, settings.seed)
        numbers["best"] = shares
    reasons, dropped, harmed = [], [], False
    for v in challengers:
        told = [f"version {v!r}: {f.sentence}" for f in findings[v] if f.harm]
        value, _, high = gains[v]
        compared = enough[v] and enough[champion]
        if compared and high < 0:
            told.append(f"version {v!r} is worse than the champion, by {-value:.4g} (at least {-high:.4g})")
        if told:
            harmed = True
        elif compared and high < settings.min_effect:
            told.append(f"version {v!r} is not better by {settings.min_effect:g}, at most by {high:.4g}")
        elif shares.get(v, 1.0) < settings.give_up:
            told.append(
                f"version {v!r} is the best with probability {shares[v]:.3g}, below {settings.give_up:g}: given up"
            )
        if told:
            dropped.append(v)
            reasons += told
    left = [v for v in challengers if v not in dropped]
    means = [
        f"version {v!r} has a mean outcome of {arm.mean:.4g} ({int(arm.n):,})" for v, arm in arms.items()
    ]
    if not left:
        reasons = reasons or ["no challenger is in the race: the champion stays"]
        action = ROLLBACK if harmed else STOP
        return Decision(action, all_to(champion, versions), (*reasons, *means), numbers)
    for v in left:
        value, low, _ = gains[v]
        sure = enough[v] and enough[champion] and low > 0 and value >= settings.min_effect
        rivals = [_gain(traffic, v, r, rollout, len(challengers)) for r in left if r != v]
        if sure and all(gain[1] > 0 for gain in rivals) and not any(f.doubt for f in findings[v]):
            reasons.insert(
                0, f"version {v!r} is the best, by {value:.4g} over the champion (at least {low:.4g})"
            )
            return Decision(PROMOTE, all_to(v, versions), (*reasons, *means), numbers)
    outcomes = sum(arm.n for arm in arms.values())
    if over := out_of_time(traffic, outcomes, settings.max_outcomes, settings.max_duration):
        reasons.insert(0, f"{over}: the champion stays")
        return Decision(STOP, all_to(champion, versions), (*reasons, *means), numbers)
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
        reasons += [f"an arm has fewer than {settings.min_outcomes:,} outcomes: all get the same", *means]
    percents = dict.fromkeys(versions, 0) | whole_percents(with_floor(shares, settings.floor / 100))
    changed = percents != {v: int(weights.get(v, 0)) for v in versions}
    return Decision(ADVANCE if changed else CONTINUE, percents, tuple(reasons), numbers)


def _gain(traffic: Traffic, one: str, zero: str, rollout: Rollout, challengers: int) -> Gain:
    """Return by how much arm one is better than arm zero."""
    settings = rollout.bandit
    tau = scale_of_effects(traffic.arms[zero].all_outcomes, settings.min_effect)
    parts = traffic.arms[one].outcome_periods, traffic.arms[zero].outcome_periods
    found = difference_by_period(*parts, tau, settings.alpha / max(challengers, 1))
    return in_gains(found, rollout.outcome.higher_is_better)

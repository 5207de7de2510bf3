"""Canary: the challenger gets more traffic stage by stage, as long as no guardrail shows harm."""

import math
from collections.abc import Mapping

from penstock.components.rollout_settings.settings import Rollout, seconds_of
from penstock.components.rollout_statistics.decision import (
    ADVANCE,
    CONTINUE,
    PROMOTE,
    ROLLBACK,
    Decision,
    all_to,
    in_words,
)
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.rates import log_e_ratio, rate_bounds
from penstock.components.rollout_statistics.traffic import Finding, Traffic


def decide_canary(
    traffic: Traffic, weights: Mapping[str, int], champion: str, challenger: str, rollout: Rollout
) -> Decision:
    """Roll back on harm, wait while a stage lasts, advance to the next stage, promote after the last.

    A stage also lasts while something looks like harm: either more requests clear it, or they show it.

    Harm is looked at first and at every look: a stage that is not over protects nobody.
    """
    settings = rollout.canary
    versions = list(traffic.arms)
    findings = check_guardrails(
        traffic, champion, challenger, rollout.guardrails, rollout.outcome, len(settings.stages), alone=True
    )
    held_s = max(traffic.now - traffic.since, 0.0)
    answered = traffic.requests_since(challenger)
    numbers = {
        "guardrails": {f.check: {"harm": f.harm, **f.numbers} for f in findings},
        "stage": int(weights.get(challenger, 0)),
        "held_s": held_s,
        "requests_in_stage": answered,
    }
    said = tuple(f.sentence for f in findings if not f.doubt)
    harm = [f.sentence for f in findings if f.harm]
    if harm:
        rest = tuple(f.sentence for f in findings if not f.harm)
        return Decision(ROLLBACK, all_to(champion, versions), (*harm, *rest), numbers)

    now_at = int(weights.get(challenger, 0))
    hold_s = seconds_of(settings.hold)
    waits = []
    counted = f"the challenger has answered {answered:,} of {settings.min_requests:,} requests in this stage"
    if held_s < hold_s:
        waits.append(f"the stage of {now_at} % has lasted {in_words(held_s)} of {in_words(hold_s)}")
    if answered < settings.min_requests:
        over = f"the stage of {now_at} % has lasted its {in_words(hold_s)}, but "
        waits.append(counted if waits else over + counted.replace(" requests", " requests (min_requests)"))
    waits += [f"no step while this is open: {f.sentence}" for f in findings if f.doubt]
    if not waits and settings.evidence == "non_inferior":
        finding = rule_out_inferior(traffic, champion, challenger, rollout)
        numbers["non_inferior"] = {"shown": not finding.harm, **finding.numbers}
        if finding.harm:
            waits.append(finding.sentence)
    if waits:
        return Decision(CONTINUE, dict(weights), (*waits, *said), numbers)
    later = [stage for stage in settings.stages if stage > now_at]
    if not later:
        reason = f"all stages are over without harm: {challenger!r} becomes champion"
        return Decision(PROMOTE, all_to(challenger, versions), (reason, *said), numbers)
    following = dict.fromkeys(versions, 0) | {challenger: later[0], champion: 100 - later[0]}
    reason = f"the stage of {now_at} % is over without harm: on to {later[0]} %"
    return Decision(ADVANCE, following, (reason, *said), numbers)


def rule_out_inferior(traffic: Traffic, champion: str, challenger: str, rollout: Rollout) -> Finding:
    """Test whether an error rate of `inferior_ratio` times the champion's can be ruled out; harm: it cannot.

    So rare errors that the guardrail's `error_increase` lets pass need no ruling out.
    """
    one, zero = traffic.arms[challenger], traffic.arms[champion]
    limits, ratio = rollout.guardrails, rollout.canary.inferior_ratio
    alpha = limits.alpha / len(rollout.canary.stages)
    evidence = float(log_e_ratio(one.errors, one.requests, zero.errors, zero.requests, ratio, above=False))
    high = float(rate_bounds(one.errors.sum(), one.requests.sum(), alpha)[1])
    low = float(rate_bounds(zero.errors.sum(), zero.requests.sum(), alpha)[0])
    shown = evidence >= math.log(1 / alpha) or high - low <= limits.error_increase
    sentence = (
        f"an error rate of {ratio:g} times the champion's is {'ruled out' if shown else 'not ruled out yet'}"
    )
    numbers = {"log_evidence": evidence, "log_evidence_needed": math.log(1 / alpha), "rate_at_most": high}
    return Finding("non_inferior", not shown, sentence, numbers)

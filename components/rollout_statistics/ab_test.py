"""A/B test: a fixed split until the outcomes tell which is better, looked at as often as one likes."""

import math
from collections.abc import Mapping
from typing import Any

from penstock.components.rollout_settings.settings import Guardrails, Rollout, seconds_of
from penstock.components.rollout_statistics.decision import (
    CONTINUE,
    PROMOTE,
    ROLLBACK,
    Decision,
    all_to,
)
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.means import difference
from penstock.components.rollout_statistics.outcome_test import (
    BETTER,
    FUTILE,
    OPEN,
    WORSE,
    end_without_winner,
    gain_of,
    verdict_of,
    words_of,
)
from penstock.components.rollout_statistics.sample_ratio import log_evidence
from penstock.components.rollout_statistics.segments import compare_segments
from penstock.components.rollout_statistics.traffic import Finding, Traffic


def decide_ab_test(
    traffic: Traffic, weights: Mapping[str, int], champion: str, challenger: str, rollout: Rollout
) -> Decision:
    """Promote what is better, roll back what is worse or harmful, stop when nothing worth a change is left.

    The tests of outcome_test.py decide. What ends without a winner while a guardrail is in doubt is rolled back, too. A
    split that is not as told rolls back before anything else is believed: what routes wrongly measures wrongly.
    """
    settings = rollout.ab_test
    versions = list(traffic.arms)
    off = Guardrails(**{**vars(rollout.guardrails), "outcome_drop": None})  # the test itself sees to outcomes
    findings = check_guardrails(traffic, champion, challenger, off, rollout.outcome)
    split = sample_ratio(traffic, weights, champion, challenger, settings.srm_alpha)
    one, zero = traffic.arms[challenger].outcomes, traffic.arms[champion].outcomes
    gain = gain_of(
        lambda tau, level: difference(one, zero, tau, level),
        zero,
        settings,
        rollout.outcome.higher_is_better,
    )
    enough = min(one.n, zero.n) >= settings.min_outcomes
    verdict = verdict_of(gain, settings.min_effect) if enough else OPEN
    numbers = {
        "guardrails": {f.check: {"harm": f.harm, **f.numbers} for f in findings},
        "sample_ratio": {"mismatch": split.harm, **split.numbers},
        "outcome": {
            "champion": float(zero.mean),
            "challenger": float(one.mean),
            "champion_n": int(zero.n),
            "challenger_n": int(one.n),
            "gain": gain.value,
            "low": gain.low if math.isfinite(gain.low) else None,
            "high": gain.high if math.isfinite(gain.high) else None,
            "gain_at_most": gain.at_most if math.isfinite(gain.at_most) else None,
            "p_value": gain.p_value if enough else None,
        },
        "segments": segment_rows(traffic, champion, challenger, rollout),
    }
    said = (
        f"the mean outcome is {one.mean:.4g} of {int(one.n):,}, the champion's {zero.mean:.4g} of {int(zero.n):,}"
        + (f": a gain of {gain.value:.4g} ({gain.low:.4g} to {gain.high:.4g})" if enough else ""),
        split.sentence,
        *(f.sentence for f in findings),
    )
    harm = [f.sentence for f in findings if f.harm]
    reason = f"the challenger is {words_of(gain, verdict, settings.min_effect)}"
    if harm:
        return Decision(ROLLBACK, all_to(champion, versions), (*harm, *said), numbers)
    if split.harm:
        return Decision(ROLLBACK, all_to(champion, versions), (split.sentence, *said), numbers)
    if verdict == WORSE:
        return Decision(ROLLBACK, all_to(champion, versions), (reason, *said), numbers)
    doubts = [f.sentence for f in findings if f.doubt]
    if verdict == BETTER and not doubts:
        return Decision(PROMOTE, all_to(challenger, versions), (reason, *said), numbers)
    if verdict == FUTILE:
        reasons = (f"{reason}: the champion stays", *said)
        return end_without_winner(reasons, findings, champion, versions, numbers)
    over = out_of_time(traffic, one.n + zero.n, settings.max_outcomes, settings.max_duration)
    if over:
        return end_without_winner(
            (f"{over}: the champion stays", *said), findings, champion, versions, numbers
        )
    wanted = dict.fromkeys(versions, 0) | {challenger: settings.split, champion: 100 - settings.split}
    wait = "neither is better yet"
    if not enough:
        wait = too_few({champion: zero.n, challenger: one.n}, settings.min_outcomes)
    elif verdict == BETTER:
        wait = f"the challenger has better outcomes, but no promotion while this is open: {doubts[0]}"
    return Decision(CONTINUE, wanted, (wait, *said), numbers)


def too_few(outcomes: Mapping[str, Any], needed: int) -> str:
    """Return which arm is short of outcomes."""
    fewest = min(outcomes, key=lambda v: outcomes[v])
    return f"version {fewest!r} has {int(outcomes[fewest]):,} of {needed:,} outcomes that a comparison takes"


def sample_ratio(
    traffic: Traffic, weights: Mapping[str, int], champion: str, challenger: str, alpha: float
) -> Finding:
    """Check the requests since the present weights hold against those weights."""
    counts = [traffic.requests_since(champion), traffic.requests_since(challenger)]
    shares = [weights.get(champion, 0), weights.get(challenger, 0)]
    if not alpha or min(shares) <= 0:
        return Finding("sample_ratio", False, "the split is not checked", {})
    evidence = log_evidence(counts, shares)
    mismatch = evidence >= math.log(1 / alpha)
    sentence = (
        f"the challenger got {100 * counts[1] / max(sum(counts), 1):.3g} % of {sum(counts):,} requests, "
        f"told were {shares[1]} %"
        + (": the split is not as told, nothing here can be trusted" if mismatch else "")
    )
    return Finding("sample_ratio", mismatch, sentence, {"counts": counts, "log_evidence": evidence})


def segment_rows(
    traffic: Traffic, champion: str, challenger: str, rollout: Rollout
) -> list[dict[str, object]]:
    """Return the segments as JSON, those that are decided first."""
    pairs = {
        key: (arms[champion], arms[challenger])
        for key, arms in traffic.segments.items()
        if champion in arms and challenger in arms
    }
    outcome = rollout.outcome
    results = compare_segments(pairs, outcome.kind, outcome.higher_is_better, rollout.ab_test.alpha)
    order = {"challenger": 0, "champion": 0, "undecided": 1, "too few": 2}
    return [
        {
            "column": r.column,
            "value": r.value,
            "champion": float(r.champion.mean),
            "challenger": float(r.challenger.mean),
            "champion_n": int(r.champion.n),
            "challenger_n": int(r.challenger.n),
            "difference": r.difference,
            "low": r.low,
            "high": r.high,
            "better": r.better,
        }
        for r in sorted(results, key=lambda r: (order[r.better], -abs(r.difference or 0.0)))
    ]


def out_of_time(traffic: Traffic, outcomes: int, most: int, longest: str) -> str:
    """Return why a test that found nothing ends here, or an empty text."""
    if most and outcomes >= most:
        return f"{int(outcomes):,} outcomes have decided nothing"
    if longest and traffic.now - traffic.started >= seconds_of(longest):
        return f"the test has lasted {longest} and decided nothing"
    return ""

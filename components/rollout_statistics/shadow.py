"""Shadow: the challenger answers mirrored requests that nobody sees; its answers are compared, nothing is shifted."""

from collections.abc import Mapping

from penstock.components.rollout_settings.settings import Guardrails, Rollout, seconds_of
from penstock.components.rollout_statistics.decision import CONTINUE, STOP, Decision, in_words
from penstock.components.rollout_statistics.guardrails import check_guardrails
from penstock.components.rollout_statistics.traffic import Traffic


def decide_shadow(
    traffic: Traffic,
    weights: Mapping[str, int],
    champion: str,
    challenger: str,
    rollout: Rollout,
    pairs: Mapping[str, float] | None = None,
) -> Decision:
    """Compare until there is enough, then stop; weights stay as they are, whatever is found.

    What would be harm is said, and counts as a finding for whoever goes on to a canary: mirrored traffic harms no user, so
    there is nothing to roll back.

    Args:
        pairs: Of requests that both answered: n, share with equal labels, mean absolute difference of scores.
    """
    off = Guardrails(**{**vars(rollout.guardrails), "outcome_drop": None})
    findings = check_guardrails(traffic, champion, challenger, off, rollout.outcome)
    answered = int(traffic.arms[challenger].requests.sum())
    numbers = {
        "guardrails": {f.check: {"harm": f.harm, **f.numbers} for f in findings},
        "requests": answered,
        "pairs": dict(pairs or {}),
    }
    said = [f.sentence.replace("which is harm", "which would be harm") for f in findings]
    if pairs and pairs.get("n"):
        sentence = (
            f"of {int(pairs['n']):,} requests that both answered, scores differ by {pairs['difference']:.3g}"
        )
        if pairs.get("labelled"):
            sentence += f" on average and {100 * pairs['agree']:.3g} % of the labels agree"
        said.insert(0, sentence)
    held_s, settings = traffic.now - traffic.started, rollout.shadow
    if answered < settings.min_requests or held_s < seconds_of(settings.hold):
        wait = f"the challenger has answered {answered:,} of {settings.min_requests:,} mirrored requests in {in_words(held_s)} of {in_words(seconds_of(settings.hold))}"
        return Decision(CONTINUE, dict(weights), (wait, *said), numbers)
    would = [f.check.replace("_", " ") for f in findings if f.harm]
    verdict = (
        f"a canary would be rolled back for its {', '.join(would)}"
        if would
        else "nothing speaks against a canary"
    )
    reason = f"{answered:,} mirrored requests are compared: {verdict}"
    return Decision(STOP, dict(weights), (reason, *said), numbers)

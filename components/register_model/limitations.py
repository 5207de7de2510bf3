"""What the model is not good for, as far as the evaluation and the data show it."""

from collections.abc import Mapping
from typing import Any

from penstock.components.html_report.numbers import number
from penstock.components.metric_words.estimates import difference_words, estimate_text
from penstock.components.register_model.facts import Facts

FEW_TEST_ROWS = 1_000  # an AUC of 0.8 then has a 95 % interval of about ±0.03
MOST_NAMES = 8
MOST_RULES = 5
MOST_WEAK = 3


def limitations(facts: Facts) -> list[str]:
    """Return a sentence for each limitation that the facts show."""
    found = [
        *_rules(facts),
        *_champion(facts),
        *_weakest_slices(facts),
        *_small_slices(facts),
        *_undefined(facts),
        *_data(facts),
    ]
    return found or [
        "The evaluation shows none beyond what every model has: it knows only data like its own."
    ]


def worst_first(facts: Facts) -> list[dict[str, Any]]:
    """Return the slices by the primary metric, the worst first, those without a value last."""
    sign = 1 if facts.evaluation["metrics"][facts.primary]["higher_is_better"] else -1

    def rank(group: Mapping[str, Any]) -> tuple[bool, float, str]:
        value = group["challenger"][facts.primary]["value"]
        return value is None, sign * (value or 0.0), str(group["name"])

    return sorted(facts.evaluation.get("slices", []), key=rank)


def _rules(facts: Facts) -> list[str]:
    warned = [rule["sentence"] for rule in facts.rules.get("rules", []) if rule["verdict"] == "warn"]
    more = (
        [f"And {len(warned) - MOST_RULES} more warnings, among the rules above."]
        if len(warned) > MOST_RULES
        else []
    )
    return [f"A rule warned: {sentence}." for sentence in warned[:MOST_RULES]] + more


def _champion(facts: Facts) -> list[str]:
    evaluation, overall = facts.evaluation, facts.evaluation["overall"]
    if evaluation.get("champion_note"):
        return [f"It could not be compared with the champion: {evaluation['champion_note']}."]
    if not overall.get("champion"):
        return ["There was no champion to compare it with: it is good enough by its thresholds alone."]
    better = evaluation["metrics"][facts.primary]["higher_is_better"]
    difference = overall["difference"][facts.primary]
    if difference["low"] is not None and difference["low"] <= 0 <= difference["high"]:
        return [
            f"Whether it beats champion version {facts.champion_version} is open: "
            f"{facts.primary} shows {difference_words(difference, better)}."
        ]
    return []


def _weakest_slices(facts: Facts) -> list[str]:
    """Name the slices whose whole interval lies on the bad side of that of all rows."""
    overall = facts.evaluation["overall"]["challenger"][facts.primary]
    higher = facts.evaluation["metrics"][facts.primary]["higher_is_better"]

    def is_weaker(found: Mapping[str, Any]) -> bool:
        best, worst = (found["high"], overall["low"]) if higher else (overall["high"], found["low"])
        return best is not None and worst is not None and best < worst

    weaker = [
        f"{group['name']}, {estimate_text(group['challenger'][facts.primary])} on {number(group['rows'])} rows"
        for group in worst_first(facts)
        if group["rows"] >= facts.min_slice_rows and is_weaker(group["challenger"][facts.primary])
    ]
    if not weaker:
        return []
    more = f"; and {len(weaker) - MOST_WEAK} more" if len(weaker) > MOST_WEAK else ""
    return [
        f"It is clearly weaker in some slices ({facts.primary} {estimate_text(overall)} on all rows): "
        f"{'; '.join(weaker[:MOST_WEAK])}{more}."
    ]


def _small_slices(facts: Facts) -> list[str]:
    small = [group for group in facts.evaluation.get("slices", []) if group["rows"] < facts.min_slice_rows]
    if not small:
        return []
    few = sorted(small, key=lambda group: (-group["rows"], group["name"]))
    names = ", ".join(f"{group['name']} ({group['rows']})" for group in few[:MOST_NAMES])
    more = f" and {len(few) - MOST_NAMES} more" if len(few) > MOST_NAMES else ""
    named = "1 slice" if len(few) == 1 else f"{len(few)} slices"
    return [
        f"How good it is cannot be said for {named} with fewer than {facts.min_slice_rows} test rows: "
        f"{names}{more}."
    ]


def _undefined(facts: Facts) -> list[str]:
    undefined = [
        group["name"]
        for group in facts.evaluation.get("slices", [])
        if group["rows"] >= facts.min_slice_rows and group["challenger"][facts.primary]["value"] is None
    ]
    if not undefined:
        return []
    more = f" and {len(undefined) - MOST_NAMES} more" if len(undefined) > MOST_NAMES else ""
    return [f"{facts.primary} is undefined where {', '.join(undefined[:MOST_NAMES])}{more}."]


def _data(facts: Facts) -> list[str]:
    found = []
    data, rows = facts.data, facts.evaluation["rows"]
    if data.drift == "drifted":
        found.append(
            "Its training data differ from those before (drift): what was known of the model before it may not hold."
        )
    if data.until:
        found.append(f"It knows nothing of what happened from {data.until} on.")
    if rows < FEW_TEST_ROWS:
        found.append(f"It was judged on {number(rows)} test rows only: the intervals are wide.")
    return found

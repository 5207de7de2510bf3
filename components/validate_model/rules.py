"""The rules: each holds an evaluation against one threshold and says in a sentence how it went.

What counts, by rule:
- a limit (min, max): the estimate itself, not its interval. The test split is what there is to judge by;
  who wants to be sure against chance sets the limit by the interval's width.
- improvement over the champion: the bounds of the paired interval, so that noise neither wins nor loses.
- a slice's drop: it blocks when the estimate is beyond the limit and the whole interval says worse; when the
  interval includes "no drop", or there is none, it warns. With thirty slices, some estimate is always far off by chance.
- the spread of slices: it blocks when it is beyond the limit and the intervals of best and worst slice do not
  overlap; else it warns.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from penstock.components.metric_words.estimates import decimals_of, estimate_text, fixed
from penstock.components.validate_model.evaluation import UNKNOWN, Estimate, Evaluation, Group
from penstock.components.validate_model.thresholds import Thresholds

ORDER = ("block", "warn", "pass")
MOST_REASONS = 20
MOST_NAMES = 5


@dataclass(frozen=True)
class Rule:
    """A judged rule: `value` was held against `limit`, in `slice` ("" for all rows)."""

    name: str
    verdict: str
    sentence: str
    metric: str = ""
    slice: str = ""
    value: float | None = None
    limit: float | None = None
    rows: int | None = None


def judge(evaluation: Evaluation, thresholds: Thresholds) -> list[Rule]:
    """Return all rules, in the order limits, champion, slices."""
    rules = [*_limits(evaluation, thresholds), *_improvement(evaluation, thresholds)]
    if thresholds.max_drop is not None or thresholds.max_spread is not None:
        judged, too_small = _judged(evaluation, thresholds)
        rules += _drop(evaluation, thresholds, judged)
        rules += _spread(thresholds, judged)
        rules += _not_judged(thresholds, too_small)
    if not rules:
        rules.append(Rule("nothing", "pass", "no threshold is set, so that nothing is judged: pass"))
    return rules


def verdict_of(rules: list[Rule]) -> str:
    """Return the worst verdict."""
    return min((rule.verdict for rule in rules), key=ORDER.index)


def reasons_of(rules: list[Rule]) -> list[str]:
    """Return the sentences of the rules that do not pass, block first, at most MOST_REASONS."""
    found = [rule.sentence for level in ("block", "warn") for rule in rules if rule.verdict == level]
    if len(found) > MOST_REASONS:
        return [*found[: MOST_REASONS - 1], f"and {len(found) - MOST_REASONS + 1} more, in the report"]
    return found


def to_json(rules: list[Rule]) -> dict[str, Any]:
    """Return the content of rules.json."""
    return {"verdict": verdict_of(rules), "rules": [asdict(rule) for rule in rules]}


def _limits(evaluation: Evaluation, thresholds: Thresholds) -> Iterator[Rule]:
    group = evaluation.overall
    for metric, bound, limit in thresholds.limits:
        estimate = group.challenger.get(metric, UNKNOWN)
        value = estimate["value"]
        wanted = f"{'at least' if bound == 'min' else 'at most'} {limit:g}"
        if value is None:
            why = f" ({group.note})" if group.note else ""
            sentence = f"{metric} is undefined on {_rows(group)}{why}, but is to be {wanted}"
            passed = False
        else:
            passed = value >= limit if bound == "min" else value <= limit
            beyond = f"{'below' if bound == 'min' else 'above'} {limit:g}"
            sentence = f"{metric} {_exact(estimate, limit, _rows(group))} is {wanted if passed else beyond}"
        verdict = "pass" if passed else "block"
        yield Rule(
            f"{metric} {bound}", verdict, f"{sentence}: {verdict}", metric, "", value, limit, group.rows
        )


def _improvement(evaluation: Evaluation, thresholds: Thresholds) -> Iterator[Rule]:
    if thresholds.rule == "off" and thresholds.max_drop is None:
        return
    if not evaluation.champion_version:
        yield Rule("improvement", "pass", "there is no champion to compare with: pass", thresholds.metric)
    elif evaluation.champion_note:
        sentence = f"nothing is compared with a champion: {evaluation.champion_note}: warn"
        yield Rule("improvement", "warn", sentence, thresholds.metric)
    elif thresholds.rule != "off":
        yield _compare(evaluation, thresholds)


def _compare(evaluation: Evaluation, thresholds: Thresholds) -> Rule:
    metric, group = thresholds.metric, evaluation.overall
    gain = group.gain(metric, evaluation.measures[metric])
    limit = thresholds.margin if thresholds.rule == "better" else 0.0 - thresholds.margin
    decimals = decimals_of(gain)
    values = (found[metric]["value"] for found in (group.challenger, group.champion))
    ours, theirs = ("undefined" if value is None else fixed(value, decimals) for value in values)
    both = f"{metric} {ours} against {theirs} of champion {evaluation.champion_version}"
    low = gain["low"]
    if low is None:
        verdict = "block"
        why = f" ({group.note})" if group.note else ""
        sentence = f"{both}: no interval of the improvement can be given on {_rows(group)}{why}"
    else:
        verdict = "pass" if low > limit else "block"
        lies = "lies" if verdict == "pass" else "does not lie"
        sentence = (
            f"{both}: an improvement of {estimate_text(gain, signed=True, extra=_rows(group))} "
            f"{lies} wholly above {limit:g}"
        )
    return Rule(
        f"improvement {thresholds.rule}",
        verdict,
        f"{sentence}: {verdict}",
        metric,
        "",
        low,
        limit,
        group.rows,
    )


def _judged(evaluation: Evaluation, thresholds: Thresholds) -> tuple[list[Group], list[Group]]:
    """Return the slices that can be judged, and those that cannot."""
    metric = thresholds.slice_metric
    judged: list[Group] = []
    too_small: list[Group] = []
    for part in evaluation.slices:
        known = part.challenger.get(metric, UNKNOWN)["value"] is not None
        (judged if known and part.rows >= thresholds.min_rows else too_small).append(part)
    return judged, too_small


def _drop(evaluation: Evaluation, thresholds: Thresholds, judged: list[Group]) -> Iterator[Rule]:
    limit, metric = thresholds.max_drop, thresholds.slice_metric
    if limit is None or not evaluation.champion_version or evaluation.champion_note:
        return
    measure, version = evaluation.measures[metric], evaluation.champion_version
    drops = [(part, part.drop(metric, measure)) for part in judged]
    known = [(part, drop, drop["value"]) for part, drop in drops if drop["value"] is not None]
    known.sort(key=lambda found: -found[2])
    fine = 0
    for part, drop, value in known:
        if value <= limit:
            fine += 1
            continue
        low = drop["low"]
        verdict = "block" if low is not None and low > 0 else "warn"
        doubt = "" if verdict == "block" else ", though the interval includes no drop"
        doubt = ", though so few rows have no interval" if low is None else doubt
        sentence = (
            f"{metric} on {part.name} is worse than champion {version}'s by "
            f"{_exact(drop, limit, _rows(part))}, more than {limit:g}{doubt}"
        )
        yield Rule(
            "slice drop", verdict, f"{sentence}: {verdict}", metric, part.name, value, limit, part.rows
        )
    if not known:
        sentence = f"no slice can be compared with champion {version} in {metric}: pass"
        yield Rule("slice drop", "pass", sentence, metric, "", None, limit)
    elif fine == len(known):
        worst, drop, value = known[0]
        sentence = (
            f"{metric} on none of {_slices(fine, 'judged ')} is worse than champion {version}'s by more than "
            f"{limit:g}; the largest drop is {estimate_text(drop, extra=_rows(worst))} on {worst.name}: pass"
        )
        yield Rule("slice drop", "pass", sentence, metric, "", value, limit)


def _spread(thresholds: Thresholds, judged: list[Group]) -> Iterator[Rule]:
    limit, metric = thresholds.max_spread, thresholds.slice_metric
    if limit is None:
        return
    for by in dict.fromkeys(part.by for part in judged):
        parts = [(part.challenger[metric], part) for part in judged if part.by == by]
        parts.sort(key=lambda found: found[0]["value"] or 0.0)
        (low, lowest), (high, highest) = parts[0], parts[-1]
        slicing = " x ".join(by)
        if len(parts) < 2:
            sentence = (
                f"{metric} can be judged on a single slice of {slicing}, so that there is no spread: pass"
            )
            yield Rule("slice spread", "pass", sentence, metric, slicing, None, limit, lowest.rows)
            continue
        spread = (high["value"] or 0.0) - (low["value"] or 0.0)
        verdict, doubt = "pass", ""
        if spread > limit:
            top, bottom = (
                low["high"],
                high["low"],
            )  # where the worst slice's interval ends, the best one's begins
            verdict = "block" if top is not None and bottom is not None and top < bottom else "warn"
            doubt = "" if verdict == "block" else ", though their intervals overlap"
            doubt = ", though so few rows have no interval" if top is None or bottom is None else doubt
        sentence = (
            f"{metric} spreads by {spread:.3g} across {slicing}, from {_with_rows(lowest.name, low, lowest)} to "
            f"{_with_rows(highest.name, high, highest)}, {'at most' if spread <= limit else 'more than'} {limit:g}"
        )
        yield Rule(
            "slice spread",
            verdict,
            f"{sentence}{doubt}: {verdict}",
            metric,
            slicing,
            spread,
            limit,
            lowest.rows + highest.rows,
        )


def _not_judged(thresholds: Thresholds, too_small: list[Group]) -> Iterator[Rule]:
    if not too_small:
        return
    names = [f"{part.name} ({_rows(part)})" for part in too_small[:MOST_NAMES]]
    more = f" and {len(too_small) - MOST_NAMES} more" if len(too_small) > MOST_NAMES else ""
    verb = "is" if len(too_small) == 1 else "are"
    sentence = (
        f"{_slices(len(too_small))} {verb} reported but not judged, with fewer than {thresholds.min_rows:,} rows or "
        f"{thresholds.slice_metric} undefined: {', '.join(names)}{more}: pass"
    )
    yield Rule(
        "slices not judged", "pass", sentence, thresholds.slice_metric, "", None, thresholds.min_rows, None
    )


def _exact(estimate: Estimate, limit: float, rows: str) -> str:
    """Return the estimate, with more digits where rounding would put it on the other side of the limit."""
    value = estimate["value"] or 0.0
    rounded = float(fixed(value, decimals_of(estimate)).replace(",", ""))
    shown = estimate_text(estimate, extra=rows)
    if (rounded > limit) == (value > limit) and (rounded < limit) == (value < limit):
        return shown
    return f"{value:.9g} {shown[shown.index('(') :]}"


def _with_rows(name: str, estimate: Any, group: Group) -> str:
    return f"{name} {estimate_text(estimate, extra=_rows(group))}"


def _slices(count: int, which: str = "") -> str:
    return f"{count} {which}slice{'' if count == 1 else 's'}"


def _rows(group: Group) -> str:
    return f"{group.rows:,} rows" if group.rows != 1 else "1 row"

"""The judged rules as a Markdown page: verdict, table, then a sentence for each rule."""

import re

from penstock.components.metric_words.estimates import plain
from penstock.components.validate_model.evaluation import Evaluation
from penstock.components.validate_model.rules import ORDER, Rule, verdict_of

SYMBOLS = {"pass": "✓ pass", "warn": "! warn", "block": "✕ block"}


def to_markdown(evaluation: Evaluation, rules: list[Rule]) -> str:
    """Return the page; rules that do not pass come first."""
    ordered = sorted(rules, key=lambda rule: ORDER.index(rule.verdict))
    counts = ", ".join(
        f"{sum(rule.verdict == level for rule in rules)} {level}"
        for level in ORDER
        if any(rule.verdict == level for rule in rules)
    )
    against = f"champion {evaluation.champion_version}" if evaluation.champion_version else "no champion"
    lines = [
        f"# Model validation: {SYMBOLS[verdict_of(rules)]}",
        "",
        f"{len(rules)} rules ({counts}), {evaluation.overall.rows:,} test rows, {against}.",
        "",
        "| Verdict | Rule | Metric | Slice | Value | Limit | Rows |",
        "|:--|:--|:--|:--|--:|--:|--:|",
    ]
    for rule in ordered:
        rows = "" if rule.rows is None else f"{rule.rows:,}"
        value = "" if rule.value is None else plain(rule.value)
        limit = "" if rule.limit is None else f"{rule.limit:g}"
        cells = (SYMBOLS[rule.verdict], rule.name, rule.metric, rule.slice or "all", value, limit, rows)
        lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    lines += ["", *(f"- {_text(rule.sentence)}" for rule in ordered), ""]
    lines.append(
        f"In brackets: {100 * evaluation.confidence:g} % confidence intervals. Limits are held against the estimate "
        "itself; for the improvement over the champion the lower bound of its paired interval counts, which is the "
        "value in the table (an improvement is positive whichever direction of the metric is good)."
    )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Escape what Markdown would take for markup (slice values come from the data)."""
    text = re.sub(r"([\\`*<\[]|(?<!\w)_|_(?!\w))", r"\\\1", text)
    return text.replace("\n", " ")

"""Whether a batch may be used: what was wrong with its columns and rows, as sentences."""

import difflib
from dataclasses import dataclass

import pyarrow as pa

from penstock.components.html_report.numbers import share
from penstock.components.predict_batch.columns import MISSING
from penstock.components.predict_batch.scoring import Batch, Scored

MOST_NAMED = 5


@dataclass(frozen=True)
class Judgement:
    """A verdict (pass, warn, block) and a sentence for each finding, worst first."""

    verdict: str
    reasons: list[str]


def judge(batch: Batch, scored: Scored, max_unscored: float) -> Judgement:
    """Judge a batch: `block` when more than `max_unscored` of its rows have no prediction, or nothing to go by."""
    if not scored.rows:
        return Judgement("warn", ["the data hold no row: the predictions are empty"])
    block, warn = [], []
    inputs = batch.model.inputs
    absent = [found for found in inputs if found.name not in batch.types]
    needed = [found.name for found in absent if found.required]
    optional = [found.name for found in absent if not found.required]
    if needed:
        block.append(
            f"the data have no {_columns(needed)}, which the model needs in every row{_near(needed, batch)}"
        )
    if len(absent) == len(inputs):
        block[:] = [
            f"the data have none of the model's {len(inputs)} inputs{_near([f.name for f in inputs], batch)}"
        ]
    elif optional:
        warn.append(
            f"the data have no {_columns(optional)}: predicted as if missing in every row{_near(optional, batch)}"
        )
    own = {MISSING.format(name) for name in needed}
    rest = {reason: count for reason, count in scored.unscored.items() if reason not in own}
    if rest:
        total = sum(rest.values())
        first, *others = [f"{reason} in {count:,}" for reason, count in rest.items()]
        more = f" ({first}{f', {others[0]}' if others else ''}{', ...' if len(others) > 1 else ''})"
        sentence = (
            f"{total:,} of {scored.rows:,} rows ({share(total / scored.rows)}) have no prediction{more}"
        )
        if total / scored.rows > max_unscored:
            block.append(f"{sentence}; allowed is {share(max_unscored)}")
        else:
            warn.append(sentence)
    warn += _as_text(batch)
    return Judgement("block" if block else "warn" if warn else "pass", block + warn)


def _as_text(batch: Batch) -> list[str]:
    """Tell of numbers that were written as text: 00501 in a file of numbers has become 501."""
    names = [
        found.name
        for found in batch.model.inputs
        if found.dtype == "string"
        and found.type in ("", "string")
        and found.name in batch.types
        and (pa.types.is_integer(batch.types[found.name]) or pa.types.is_floating(batch.types[found.name]))
    ]
    if not names:
        return []
    return [
        f"the data hold numbers in {_columns(names)}, where the model takes text: they were written as text"
    ]


def _columns(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{'column' if len(names) == 1 else 'columns'} {shown}{more}"


def _near(names: list[str], batch: Batch) -> str:
    """Return a question about the first name that is nearly there."""
    inputs = {found.name for found in batch.model.inputs}
    free = {name.casefold(): name for name in batch.types if name not in inputs}
    for name in names:
        if near := difflib.get_close_matches(name.casefold(), free, n=1, cutoff=0.75):
            return f" (is {free[near[0]]!r} meant for {name!r}?)"
    return ""

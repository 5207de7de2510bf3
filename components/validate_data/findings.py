"""Findings: what the schema expected, what came instead, in how many rows, with examples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from penstock.components.html_report.numbers import share

MOST_EXAMPLES = 5
SINGULAR = {"hold": "holds", "have": "has", "are": "is", "repeat": "repeats"}
LONGEST_EXAMPLE = 60


@dataclass
class Finding:
    """One breach of the schema.

    `check` names the kind of breach, `feature` is empty when it is about the data as a whole, `rows`
    counts the offending rows where that has a meaning, `severity` is block or warn.
    """

    check: str
    feature: str
    expected: str
    came: str
    sentence: str
    rows: int | None = None
    examples: list[str] = field(default_factory=list)
    severity: str = "block"

    def as_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        return asdict(self)


def about_rows(
    check: str,
    feature: str,
    rows: int,
    of: int,
    expected: str,
    came: str,
    allowed: str = "",
    examples: Sequence[object] = (),
) -> Finding:
    """Return a finding about some rows, with the sentence made of its parts.

    Example:
        feature 'payment_type': 12 rows (0.1 %) hold values outside the domain, e.g. 'Bitcoin'
    """
    count, said = f"{rows:,} rows", came
    if rows == 1:
        verb, _, rest = came.partition(" ")
        count, said = "1 row", f"{SINGULAR.get(verb, verb)} {rest}"
    sentence = f"feature {feature!r}: {count} ({share(rows / of if of else 0.0)}) {said}"
    if allowed:
        sentence += f", {allowed}"
    named = [example(value) for value in examples[:MOST_EXAMPLES]]
    if named:
        sentence += f", e.g. {', '.join(named)}"
    return Finding(check, feature, expected, came, sentence, rows, named)


def example(value: object) -> str:
    """Return an example value, shortened; text in quotes."""
    text = repr(value)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 2]}…{text[-1]}"

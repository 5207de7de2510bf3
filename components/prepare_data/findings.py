"""What is wrong with the prepared rows, as sentences and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.components.html_report.numbers import share as percent
from penstock.components.prepare_data.labels import LabelSpec
from penstock.components.prepare_data.settings import SPLITS, Label, Rule

FEWEST_ROWS = 10
FEWEST_ROWS_OF_CLASS = 2  # in a split: below, no metric of the class means anything
MOST_DROPPED = 0.5
MOST_REASONS = 20
MOST_NAMED = 5


@dataclass
class Counts:
    """How many rows there are at each stage."""

    read: int
    by_rule: dict[int, int]  # dropped, or changed by a rule that sets
    label_missing: int = 0
    time_missing: int = 0
    split_rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    split_classes: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in SPLITS})
    distinct_values: int = 2  # of a numeric label; 2 stands for more

    def dropped_by_rules(self, rules: Sequence[Rule]) -> int:
        """Return the rows that cleaning dropped."""
        return sum(self.by_rule[rule.number] for rule in rules if rule.drop)

    @property
    def kept(self) -> int:
        """Rows in the three splits."""
        return sum(self.split_rows.values())


@dataclass(frozen=True)
class Findings:
    """Sentences by level, worst first within each."""

    blocks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """pass, warn or block."""
        return "block" if self.blocks else "warn" if self.warnings else "pass"

    @property
    def reasons(self) -> list[str]:
        """The sentences, worst first."""
        return [*self.blocks, *self.warnings][:MOST_REASONS]


def judge(counts: Counts, label: Label, spec: LabelSpec, rules: Sequence[Rule]) -> Findings:
    """Judge whether a model can be trained and measured on the prepared rows."""
    blocks: list[str] = []
    warnings: list[str] = []
    name = repr(label.name)
    candidates = counts.read - counts.dropped_by_rules(rules)
    if candidates and counts.label_missing > label.max_missing * candidates:
        blocks.append(
            f"the label {name} is missing in {counts.label_missing} of {candidates} rows "
            f"({percent(counts.label_missing / candidates)}), label.max_missing allows {percent(label.max_missing)}"
        )
    if counts.kept == 0:
        blocks.append(
            f"no row is left of {counts.read}: cleaning dropped {counts.dropped_by_rules(rules)}, "
            f"the label is missing in {counts.label_missing}"
        )
    else:
        if counts.kept < FEWEST_ROWS:
            rows = "1 row is" if counts.kept == 1 else f"{counts.kept} rows are"
            blocks.append(f"only {rows} left of {counts.read}, at least {FEWEST_ROWS} are needed")
        of_label = _single(counts, spec, name)
        blocks += of_label
        if counts.kept >= FEWEST_ROWS:
            blocks += _empty_splits(counts)
            if not of_label:
                of_classes = _classes(counts, spec, name)
                blocks += of_classes.blocks
                warnings += of_classes.warnings
    for rule in rules:
        dropped = counts.by_rule[rule.number]
        if rule.drop and counts.read and dropped > MOST_DROPPED * counts.read:
            warnings.append(
                f"{rule.name} drops {dropped} of {counts.read} rows ({percent(dropped / counts.read)})"
            )
    if counts.time_missing:
        rows = (
            "1 row without an event time is"
            if counts.time_missing == 1
            else (f"{counts.time_missing} rows without an event time are")
        )
        warnings.append(f"{rows} dropped: the split is by time")
    return Findings(tuple(blocks), tuple(warnings))


def _single(counts: Counts, spec: LabelSpec, name: str) -> list[str]:
    if spec.task == "regression":
        if counts.distinct_values < 2:
            return [f"the label {name} has a single value in {_all(counts.kept)}: there is nothing to learn"]
        return []
    seen = sorted({c for classes in counts.split_classes.values() for c, rows in classes.items() if rows})
    if len(seen) == 1:
        return [
            f"the label {name} has a single class, {seen[0]!r}, in {_all(counts.kept)}: there is nothing to learn"
        ]
    return []


def _empty_splits(counts: Counts) -> list[str]:
    return [
        f"the {split} split is empty: with {counts.kept} rows, too many share one entity or one time, "
        "or the split's share is too small"
        for split in SPLITS
        if not counts.split_rows[split]
    ]


def _classes(counts: Counts, spec: LabelSpec, name: str) -> Findings:
    blocks: list[str] = []
    warnings: list[str] = []
    for split in SPLITS:
        if not counts.split_rows[split]:
            continue
        rows = counts.split_classes[split]
        absent = [c for c in spec.classes if not rows.get(c, 0)]
        rare = [c for c in spec.classes if 0 < rows.get(c, 0) < FEWEST_ROWS_OF_CLASS]
        if absent:
            sentence = f"the {split} split has no row of {_named(absent)} of the label {name}"
            if split == "train":
                blocks.append(f"{sentence}: it cannot be learned")
            elif spec.task == "binary":
                blocks.append(f"{sentence}: nothing can be measured on it")
            else:
                warnings.append(f"{sentence}: it is not measured there")
        if rare:
            warnings.append(f"the {split} split has a single row of {_named(rare)} of the label {name}")
    return Findings(tuple(blocks), tuple(warnings))


def _named(classes: Sequence[str]) -> str:
    shown = ", ".join(map(repr, classes[:MOST_NAMED]))
    if len(classes) == 1:
        return f"class {shown}"
    more = f" and {len(classes) - MOST_NAMED} more" if len(classes) > MOST_NAMED else ""
    return f"{len(classes)} classes ({shown}{more})"


def _all(rows: int) -> str:
    return "the only row" if rows == 1 else f"all {rows} rows"

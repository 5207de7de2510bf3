"""The sections label, cleaning and split of app.yaml, as a step gets them: checked, with defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.step_io.errors import StepError

TASKS = ("auto", "binary", "multiclass", "regression")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Label:
    """What is learned: a column, or an SQL expression."""

    name: str
    column: str = ""
    sql: str = ""
    task: str = "auto"
    positive: str = ""
    max_missing: float = 0.0


@dataclass(frozen=True)
class Rule:
    """One cleaning rule: `drop` holds a condition, or `column` and `sql` a new value."""

    number: int
    because: str
    drop: str = ""
    column: str = ""
    sql: str = ""

    @property
    def name(self) -> str:
        """What errors call the rule."""
        return f"cleaning rule {self.number}"

    @property
    def text(self) -> str:
        """The rule for people."""
        return f"drop where {self.drop}" if self.drop else f"set {self.column} = {self.sql}"


@dataclass(frozen=True)
class Split:
    """How rows are divided."""

    by: str = "entity"
    key: tuple[str, ...] = ()
    validation: float = 0.15
    test: float = 0.15
    salt: str = ""


def read_label(section: Mapping[str, Any]) -> Label:
    """Return the label's settings.

    Raises:
        StepError: An unknown key, an unknown task, a share out of range, or not exactly one of
            column and sql.
    """
    given = _known("label", section, Label(""))
    label = Label(**given | {"name": given.get("name") or given.get("column") or ""})
    if bool(label.column.strip()) == bool(label.sql.strip()):
        raise StepError("label: give exactly one of column and sql")
    if not label.name:
        raise StepError("label.name is missing: a label made by sql needs a name")
    if label.task not in TASKS:
        raise StepError(f"label.task is {label.task!r}: expected one of {', '.join(TASKS)}")
    if not 0 <= label.max_missing <= 1:
        raise StepError(f"label.max_missing is {label.max_missing!r}: expected a share from 0 to 1")
    return label


def read_cleaning(section: Sequence[Any]) -> list[Rule]:
    """Return the cleaning rules in their order.

    Raises:
        StepError: A rule that neither drops nor sets, or does both.
    """
    rules = []
    for number, rule in enumerate(section, 1):
        if not isinstance(rule, Mapping):
            raise StepError(f"cleaning rule {number} is {rule!r}: expected drop or set, with because")
        unknown = sorted(set(rule) - {"drop", "set", "sql", "because"})
        if unknown:
            raise StepError(
                f"cleaning rule {number}: unknown key {unknown[0]!r}, expected drop, set, sql, because"
            )
        drop, column, sql = (str(rule.get(key) or "").strip() for key in ("drop", "set", "sql"))
        if bool(drop) == bool(column) or bool(column) != bool(sql):
            raise StepError(f"cleaning rule {number}: give drop alone, or set together with sql")
        rules.append(Rule(number, str(rule.get("because") or ""), drop, column, sql))
    return rules


def read_split(section: Mapping[str, Any]) -> Split:
    """Return how to split.

    Raises:
        StepError: An unknown key or way to split, or shares that leave nothing to a split.
    """
    given = _known("split", section, Split())
    split = Split(**given | {"key": tuple(given.get("key", ()))})
    if split.by not in ("entity", "time"):
        raise StepError(f"split.by is {split.by!r}: expected entity or time")
    if split.validation <= 0 or split.test <= 0 or split.validation + split.test >= 1:
        raise StepError(
            f"split.validation is {split.validation} and split.test is {split.test}: "
            "both must be above 0 and leave something to train"
        )
    return split


def _known(name: str, section: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
    allowed = list(vars(defaults))
    for key, value in section.items():
        if key not in allowed:
            raise StepError(f"{name}.{key} is unknown: expected one of {', '.join(allowed)}")
        wanted: type | tuple[type, ...] = type(vars(defaults)[key])
        wanted = (int, float) if wanted is float else (list, tuple) if wanted is tuple else wanted
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise StepError(f"{name}.{key} is {value!r}: expected {_words(wanted)}")
    return {key: value for key, value in section.items() if value is not None}


def _words(wanted: type | tuple[type, ...]) -> str:
    return {str: "a text", (int, float): "a number", (list, tuple): "a list of columns"}[wanted]

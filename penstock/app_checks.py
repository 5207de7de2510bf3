"""Checks of app.yaml that one value alone cannot tell: columns, metrics, and keys that must fit together.

They read the plain document, so that a fault in one place hides none in another.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.app_dates import is_empty_window
from penstock.app_metrics import METRICS, metrics_of
from penstock.app_yaml import Document, Fault, KeyPath
from penstock.components.rollout_settings.settings import PARTS, read_rollout
from penstock.components.source_files.durations import is_duration
from penstock.components.source_files.tables import is_table, parse_table, table_format
from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.settings import KINDS, SETTINGS, TUNING, Setting, problems
from penstock.nearest import did_you_mean

COLUMNS: tuple[KeyPath, ...] = (("data", "event_time"), ("data", "weight"), ("label", "column"))
COLUMN_LISTS: tuple[KeyPath, ...] = (("statistics", "slices"), ("split", "key"), ("features", "exclude"))
COLUMN_KEYS: tuple[KeyPath, ...] = (("validation", "drift_thresholds", "features"), ("model", "kinds"))


def check_sections(document: Document, folder_name: str) -> Iterator[Fault]:
    """Yield the faults that need no schema."""
    yield from _name(document, folder_name)
    yield from _table(document, "data")
    yield from _table(document, "batch_prediction")
    yield from _window(document, "data")
    yield from _window(document, "batch_prediction")
    yield from _label(document)
    yield from _cleaning(document)
    yield from _split(document)
    yield from _settings(document, "model", SETTINGS)
    yield from _settings(document, "tuning", TUNING)
    yield from _kinds(document)
    yield from _thresholds(document)
    yield from _rollout(document)


def check_columns(
    document: Document, columns: Sequence[str], schema: str, own_features: bool
) -> Iterator[Fault]:
    """Yield a fault for each name in the document that is no column of the schema.

    With `own_features` the app's features.py makes more features, which only `model.kinds` may name.
    """
    for path, name in _column_names(document.value):
        if name not in columns and not (own_features and path[:2] == ("model", "kinds")):
            yield document.fault(path, f"{name!r} is no column of {schema}{did_you_mean(name, columns)}")
    label = label_name(document.value)
    for path, name in _slice_columns(document.value):
        if name not in columns and name != label:
            near = did_you_mean(name, [*columns, label])
            yield document.fault(path, f"{name!r} is no column of {schema}{near}")
    column = text_at(document.value, ("label", "column"))
    if label in columns and label != column:
        yield document.fault(
            ("label", "name"), f"{label!r} is a column of {schema} already: give the label another name"
        )
    inputs = set(columns) - set(excluded(document.value))
    if not inputs:
        yield document.fault(
            ("features", "exclude"), "every column is excluded: nothing is left to learn from"
        )


def excluded(value: Mapping[str, Any]) -> list[str]:
    """Return the columns that are no inputs of the model, sorted: as written, and those with a role."""
    roles = {text_at(value, path) for path in COLUMNS}
    written = at(value, ("features", "exclude"))
    named = {name for name in written if isinstance(name, str)} if isinstance(written, list) else set()
    return sorted((roles | named) - {""})


def label_name(value: Mapping[str, Any]) -> str:
    """Return the label's name: as written, or that of its column."""
    return text_at(value, ("label", "name")) or text_at(value, ("label", "column"))


def at(value: Any, path: KeyPath) -> Any:
    """Return the value at a key path, or None."""
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def text_at(value: Any, path: KeyPath) -> str:
    """Return the text at a key path, or ''."""
    found = at(value, path)
    return found if isinstance(found, str) else ""


def _column_names(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and name of everything that must be a column, but for evaluation.slices."""
    for path in COLUMNS:
        if name := text_at(value, path):
            yield path, name
    for path in COLUMN_LISTS:
        found = at(value, path)
        for index, name in enumerate(found if isinstance(found, list) else []):
            if isinstance(name, str):
                yield (*path, index), name
    for path in COLUMN_KEYS:
        found = at(value, path)
        for name in found if isinstance(found, dict) else []:
            yield (*path, name), name
    segments = at(value, ("rollout", "segments"))
    for index, segment in enumerate(segments if isinstance(segments, list) else []):
        column = segment.get("column") if isinstance(segment, dict) else segment
        if isinstance(column, str) and column:
            yield ("rollout", "segments", index), column
    rules = at(value, ("cleaning",))
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if name := text_at(rule, ("set",)):
            yield ("cleaning", index, "set"), name


def _slice_columns(value: Any) -> Iterator[tuple[KeyPath, str]]:
    slices = at(value, ("evaluation", "slices"))
    for index, one in enumerate(slices if isinstance(slices, list) else []):
        if isinstance(one, str):
            yield ("evaluation", "slices", index), one
        elif isinstance(one, list):
            for position, name in enumerate(one):
                if isinstance(name, str):
                    yield ("evaluation", "slices", index, position), name


def _name(document: Document, folder_name: str) -> Iterator[Fault]:
    name = text_at(document.value, ("name",))
    if name and name != folder_name:
        yield document.fault(
            ("name",), f"{name!r} is not the name of the app's folder, {folder_name!r}: rename one"
        )


def _table(document: Document, section: str) -> Iterator[Fault]:
    """Check the source where it is a BigQuery table; whether it is there is for the steps to see."""
    source = text_at(document.value, (section, "source"))
    if not is_table(source):
        return
    try:
        parse_table(source)
    except StepError as error:
        yield document.fault((section, "source"), str(error))
    try:
        table_format(source, text_at(document.value, (section, "format")) or "auto")
    except StepError as error:
        yield document.fault((section, "format"), str(error))


def _window(document: Document, section: str) -> Iterator[Fault]:
    event_time = at(document.value, ("data", "event_time"))
    since, until = (text_at(document.value, (section, key)) for key in ("since", "until"))
    for key, text in (("since", since), ("until", until)):
        if text and event_time in (None, ""):
            yield document.fault(
                (section, key), "a window needs data.event_time, the column with the time of the event"
            )
    if is_duration(since) and not until:
        yield document.fault(
            (section, "since"),
            f"{since!r} is a duration before {section}.until, which is empty: set that as well",
        )
    if is_empty_window(since, until):
        yield document.fault(
            (section, "until"), f"{until!r} is not after {section}.since {since!r}: the window is empty"
        )


def _label(document: Document) -> Iterator[Fault]:
    label = at(document.value, ("label",))
    if not isinstance(label, dict):
        return
    given = [key for key in ("column", "sql") if label.get(key)]
    if len(given) != 1:
        found = "both are there" if given else "neither is there"
        yield document.fault(("label",), f"expected either `column` or `sql`, {found}")
    if given == ["sql"] and "name" not in label:
        yield document.fault(("label",), "a label from `sql` needs a `name`")
    if label.get("positive") and label.get("task") in ("multiclass", "regression"):
        yield document.fault(
            ("label", "positive"), f"only a binary label has a positive class, the task is {label['task']!r}"
        )


def _cleaning(document: Document) -> Iterator[Fault]:
    rules = at(document.value, ("cleaning",))
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if not isinstance(rule, dict):
            continue
        keys = {key for key in ("drop", "set", "sql") if rule.get(key)}
        if keys not in ({"drop"}, {"set", "sql"}):
            yield document.fault(("cleaning", index), "expected either `drop`, or `set` with `sql`")


def _split(document: Document) -> Iterator[Fault]:
    split = at(document.value, ("split",))
    if not isinstance(split, dict):
        return
    shares = [split.get(key, 0.15) for key in ("validation", "test")]
    if all(isinstance(share, (int, float)) and 0 < share < 1 for share in shares) and sum(shares) >= 1:
        yield document.fault(
            ("split",),
            f"validation {shares[0]:g} and test {shares[1]:g} leave no rows to train on: their sum must be below 1",
        )
    if split.get("by") == "time":
        if at(document.value, ("data", "event_time")) in (None, ""):
            yield document.fault(("split", "by"), "a split by time needs data.event_time")
        if split.get("key"):
            yield document.fault(
                ("split", "key"), "a split by time takes no key: leave it out, or split by entity"
            )


def _settings(document: Document, section: str, known: Mapping[str, Setting]) -> Iterator[Fault]:
    """Check keys and ranges of `model` or `tuning` against the list that their step keeps."""
    values = at(document.value, (section,))
    for name, value in values.items() if isinstance(values, dict) else []:
        if name not in known:
            own = "; settings of the app's own model.py go under model.custom" if section == "model" else ""
            yield document.fault(
                (section, name),
                f"{section} has no key {name!r}{did_you_mean(name, known) or '; allowed are ' + ', '.join(known)}{own}",
            )
        for sentence in problems({name: value}, known, section) if name in known else []:
            yield document.fault((section, name), sentence.removeprefix(f"{section}.{name} is "))


def _kinds(document: Document) -> Iterator[Fault]:
    kinds = at(document.value, ("model", "kinds"))
    for name, kind in kinds.items() if isinstance(kinds, dict) else []:
        if kind not in KINDS:
            near = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
            yield document.fault(
                ("model", "kinds", name), f"{kind!r} is no kind: allowed are {', '.join(KINDS)}{near}"
            )


def _rollout(document: Document) -> Iterator[Fault]:
    """Check each key by itself: so every fault has its place."""
    section = at(document.value, ("rollout",))
    for key, value in section.items() if isinstance(section, dict) else []:
        parts = value if key in PARTS and isinstance(value, dict) and value else {None: value}
        for part, inner in parts.items():
            path = ("rollout", key) if part is None else ("rollout", key, part)
            try:
                read_rollout({key: inner if part is None else {part: inner}})
            except StepError as error:
                yield document.fault(path, str(error).removeprefix(f"{'.'.join(map(str, path))} is "))


def _thresholds(document: Document) -> Iterator[Fault]:
    task = text_at(document.value, ("label", "task"))
    known = metrics_of(task)
    of_task = f"a {task} model" if task in METRICS else "any model"
    limits = at(document.value, ("thresholds", "metrics"))
    for name, bounds in limits.items() if isinstance(limits, dict) else []:
        path = ("thresholds", "metrics", name)
        if name not in known:
            near = did_you_mean(name, known) or f"; allowed are {', '.join(known)}"
            yield document.fault(path, f"{name!r} is no metric of {of_task}{near}")
            continue
        yield from _bounds(document, path, bounds, *known[name])
    for section in ("improvement", "slices"):
        metric = text_at(document.value, ("thresholds", section, "metric"))
        if metric and metric not in known:
            near = did_you_mean(metric, known) or f"; allowed are {', '.join(known)}"
            yield document.fault(
                ("thresholds", section, "metric"), f"{metric!r} is no metric of {of_task}{near}"
            )


def _bounds(document: Document, path: KeyPath, bounds: Any, low: float, high: float) -> Iterator[Fault]:
    if not isinstance(bounds, dict):
        return
    values = {key: bounds[key] for key in ("min", "max") if _is_number(bounds.get(key))}
    if not any(bounds.get(key) is not None for key in ("min", "max")):
        yield document.fault(path, "expected `min`, `max` or both")
    for key, value in values.items():
        if not low <= value <= high:
            span = f"from {low:g} to {high:g}" if high < float("inf") else f"{low:g} or more"
            span = f"{high:g} or less" if low == -float("inf") else span
            yield document.fault((*path, key), f"{value!r} is impossible: {path[-1]} is {span}")
    if len(values) == 2 and values["min"] > values["max"]:
        yield document.fault(path, f"min {values['min']!r} is above max {values['max']!r}: no model can pass")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

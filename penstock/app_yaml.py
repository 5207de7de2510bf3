"""Reads YAML with the place of every value, so that an error can say file and line.

Plain words follow YAML 1.2: only true and false are booleans. `positive: yes` and `schema_skew: off` stay text,
and so does a date.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import UserError

Key = str | int
KeyPath = tuple[Key, ...]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where (`apps/taxi/app.yaml:31`), under which key, and a sentence."""

    where: str
    path: KeyPath
    sentence: str

    def __str__(self) -> str:
        key = key_text(self.path)
        return ": ".join(part for part in (self.where, key, self.sentence) if part)


class AppError(UserError):
    """Everything that is wrong with an app at once, a line each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


@dataclass
class Document:
    """A YAML file as plain Python, with the line of each value by its key path."""

    file: str  # as errors name it
    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    overridden: dict[KeyPath, str] = field(default_factory=dict)  # key path -> the words that set it

    def where(self, path: KeyPath) -> str:
        """Return file and line of a value, or of the nearest thing around it that has a line."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.overridden:
                return self.overridden[path[:end]]
            if path[:end] in self.lines:
                return f"{self.file}:{self.lines[path[:end]]}"
        return self.file

    def fault(self, path: KeyPath, sentence: str) -> Fault:
        """Return a fault of the value at `path`."""
        return Fault(self.where(path), path, sentence)


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that takes only YAML 1.2's plain booleans, numbers and null for something else than text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # none of the parent's


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN))$"
    ),
    list("-+.0123456789"),
)


def parse(text: str) -> Any:
    """Return the value of a short YAML text, such as the right side of `--set`.

    Raises:
        yaml.YAMLError: The text is no YAML.
    """
    return yaml.load(text, _PlainLoader)


def read_document(path: Path, name: str) -> Document:
    """Read a YAML file that holds one mapping; `name` is what errors call it.

    Raises:
        AppError: The file is missing, empty, no UTF-8, no YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AppError([Fault(name, (), "there is no such file")]) from None
    except UnicodeDecodeError as error:
        raise AppError(
            [Fault(name, (), f"byte {error.start} is not UTF-8: save the file as UTF-8")]
        ) from error
    try:
        node = yaml.compose(text, _PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{name}:{mark.line + 1}" if mark else name
        column = f" at column {mark.column + 1}" if mark else ""
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise AppError([Fault(line, (), f"this is no YAML: {reason}{column}")]) from error
    except yaml.YAMLError as error:
        raise AppError([Fault(name, (), f"this is no YAML: {' '.join(str(error).split())}")]) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value == ""):
        raise AppError([Fault(name, (), "the file is empty; `penstock app new` writes one to start from")])
    document = Document(name, None)
    if not isinstance(node, yaml.MappingNode):
        line = f"{name}:{node.start_mark.line + 1}"
        raise AppError([Fault(line, (), "expected sections (`data:`, `label:`, ...) at the top of the file")])
    try:
        document.value = _walk(node, (), document)
    except RecursionError:
        raise AppError([Fault(name, (), "an anchor (&) contains its own alias (*)")]) from None
    return document


def key_text(path: KeyPath) -> str:
    """Return a key path as people write it: evaluation.slices[1]."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _walk(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    """Turn a node into plain Python, noting lines and duplicate keys on the way."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                document.faults.append(Fault(f"{document.file}:{line}", path, "a key must be a word"))
                continue
            key = key_node.value
            here = (*path, key)
            if key in mapping:
                first = document.lines[here]
                document.faults.append(
                    Fault(f"{document.file}:{line}", here, f"the key is there twice, first on line {first}")
                )
                continue
            document.lines[here] = line
            mapping[key] = _walk(value_node, here, document)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_walk(item, (*path, index), document) for index, item in enumerate(node.value)]
    constructor = _PlainLoader("")
    try:
        return constructor.construct_object(node)
    except yaml.constructor.ConstructorError:
        document.faults.append(
            document.fault(path, f"the tag {node.tag} has no meaning here: write the plain value")
        )
        return None
    finally:
        constructor.dispose()

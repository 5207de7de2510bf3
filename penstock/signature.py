"""Reads a function's signature from its source, without importing it.

Pipelines and specs import kfp, steps import their stack: neither is there on the path that only has to know
names, types and defaults.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One parameter as it is written: `type` is the annotation's text without the module (`Input[Model]`)."""

    name: str
    type: str
    required: bool
    default: Any = None


@dataclass(frozen=True)
class Signature:
    """A function's parameters in their order, and its docstring."""

    parameters: dict[str, Parameter]
    returns: str
    docstring: str


def read_signature(path: Path, function: str) -> Signature:
    """Return the signature of the function `function` in the file at `path`.

    Raises:
        LookupError: The file has no such function.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return Signature(_parameters(node), _text(node.returns), ast.get_docstring(node) or "")
    raise LookupError(f"{path} defines no function {function!r}")


def read_fields(path: Path, name: str) -> dict[str, str]:
    """Return name and annotation of the fields of a NamedTuple in the file at `path`; {} when it has none."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                field.target.id: _text(field.annotation)
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
    return {}


def _parameters(node: ast.FunctionDef) -> dict[str, Parameter]:
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults))
    defaults += node.args.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return {
        argument.arg: Parameter(
            argument.arg,
            _text(argument.annotation),
            required=default is None,
            default=None if default is None else ast.literal_eval(default),
        )
        for argument, default in pairs
    }


def _text(annotation: ast.expr | None) -> str:
    return "" if annotation is None else re.sub(r"\b\w+\.(?=\w)", "", ast.unparse(annotation))

"""Slices of explain_model are those of evaluate_model: until one module serves both, the two say the same."""

import ast
from pathlib import Path

from penstock.components.row_slices import slices

COMPONENTS = Path(slices.__file__).parents[1]


def definitions(path):
    tree = ast.parse(path.read_text())
    kept = (ast.FunctionDef, ast.ClassDef)
    found = {node.name: ast.dump(node) for node in tree.body if isinstance(node, kept)}
    found |= {
        ast.dump(node.targets[0]): ast.dump(node.value) for node in tree.body if isinstance(node, ast.Assign)
    }
    return found


def test_both_modules_define_the_same():
    ours = definitions(COMPONENTS / "row_slices" / "slices.py")
    theirs = definitions(COMPONENTS / "evaluate_model" / "slices.py")
    assert {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)} == set()

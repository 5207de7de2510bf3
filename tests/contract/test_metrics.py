"""The metrics that app.yaml may name are those that evaluate_model computes."""

import ast
from pathlib import Path

from penstock.app_metrics import METRICS
from penstock.project import find_project

PROJECT = find_project(Path(__file__).parent)


def test_metrics_and_their_ranges_are_those_of_evaluate_model() -> None:
    path = (
        PROJECT.root / "components" / "evaluate_model" / "outcomes.py"
    )  # numpy is not here: read, not imported
    table = next(
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "MEASURES" and node.value
    )
    names = {"Measure": lambda higher_is_better, lowest, highest: (lowest, highest), "INFINITY": float("inf")}
    evaluated = eval(compile(ast.Expression(table), str(path), "eval"), {"float": float, **names})
    assert evaluated == METRICS

"""The tasks of a compiled pipeline, whichever group they stand in."""

from collections.abc import Iterator, Mapping
from typing import Any


def all_tasks(ir: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and task of each DAG of an IR: of its root and of its groups. What is changed is changed there."""
    for dag in (ir["root"], *ir.get("components", {}).values()):
        yield from dag.get("dag", {}).get("tasks", {}).items()

"""How large the images are, uncompressed and over the base, against the budgets of their stacks."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from penstock.errors import UserError
from penstock.images.engine import Engine
from penstock.images.settings import read_images_file
from penstock.images.targets import Target
from penstock.local.text_table import table as text_table
from penstock.project import Project

MB = 1_000_000


@dataclass(frozen=True)
class Size:
    """One image: bytes of its stack's layers and of its own, over the base."""

    name: str
    stack: str
    stack_bytes: int
    own_bytes: int
    budget_mb: int | None

    @property
    def megabytes(self) -> float:
        """Both together, in units of 10^6 bytes."""
        return (self.stack_bytes + self.own_bytes) / MB


def sizes_over_base(project: Project, targets: Sequence[Target]) -> dict[str, int]:
    """Return the bytes over the base of those images that the engine holds; none without an engine."""
    try:
        engine = Engine()
        base = engine.size(read_images_file(project).base)
        found = {target.name: engine.size(target.reference) for target in targets}
    except UserError:
        return {}
    if base is None:
        return {}
    return {name: size - base for name, size in found.items() if size}


def measure(project: Project, targets: Sequence[Target]) -> list[Size]:
    """Return the size of each image.

    Raises:
        UserError: The engine does not answer, or an image is not built.
    """
    engine = Engine()
    engine.check()
    listed = read_images_file(project)
    base = engine.need_base(listed.base)
    found = {}
    for target in targets:
        for reference in (target.reference, target.stack_reference):
            if reference not in found:
                size = engine.size(reference)
                if size is None:
                    raise UserError(f"{reference} is not built: run `penstock images build`")
                found[reference] = size
    return [
        Size(
            target.name,
            target.stack,
            found[target.stack_reference] - base,
            found[target.reference] - found[target.stack_reference],
            listed.stack(target.stack).budget_mb,
        )
        for target in targets
    ]


def over_budget(sizes: Sequence[Size]) -> list[str]:
    """Return a sentence for each image that is larger than its stack's budget."""
    return [
        f"{size.name} is {size.megabytes:.0f} MB over the base, the budget of the stack {size.stack} is "
        f"{size.budget_mb} MB: leave out packages or files in images/images.yaml"
        for size in sizes
        if size.budget_mb is not None and size.megabytes > size.budget_mb
    ]


def table(sizes: Sequence[Size]) -> str:
    """Return the sizes for people."""
    rows = [
        [
            size.name,
            size.stack,
            f"{size.megabytes:.1f} MB",
            f"{size.own_bytes / MB:.2f} MB",
            f"{size.budget_mb} MB" if size.budget_mb else "",
        ]
        for size in sizes
    ]
    return text_table(["image", "stack", "over the base", "of it its own", "budget"], rows)


def write_results(project: Project, sizes: Sequence[Size]) -> Path:
    """Write what the README's table is made of."""
    path = results_path(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "base": read_images_file(project).base,
        "images": {size.name: {k: v for k, v in asdict(size).items() if k != "name"} for size in sizes},
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def results_path(project: Project) -> Path:
    """Return the file of measured sizes."""
    return project.root / "benchmarks" / "results" / "image_sizes.json"

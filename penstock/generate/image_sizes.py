"""The README's table of image sizes, from what `penstock images sizes --write` measured."""

import json

from penstock.errors import UserError
from penstock.images.settings import read_images_file
from penstock.images.sizes import MB, results_path
from penstock.project import Project


def sizes_table(project: Project) -> str:
    """Return a row for each stack: how many images stand on it, their size over the base, the budget.

    Raises:
        UserError: The measured file is missing or not one.
    """
    path = results_path(project)
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        stacks = {image["stack"] for image in images.values()}
        largest = {
            stack: max(
                (image["stack_bytes"] + image["own_bytes"]) / MB
                for image in images.values()
                if image["stack"] == stack
            )
            for stack in stacks
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: {error!r}; run `penstock images sizes --write`") from error
    listed = read_images_file(project)
    lines = ["| stack | images | over the base, MB | budget, MB |", "| --- | --- | --- | --- |"]
    for stack in sorted(stacks, key=lambda name: largest[name]):
        names = [name for name, image in images.items() if image["stack"] == stack]
        budget = listed.stack(stack).budget_mb
        lines.append(f"| {stack} | {', '.join(names)} | {largest[stack]:.0f} | {budget or '–'} |")
    return "\n".join(lines)

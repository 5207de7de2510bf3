"""The delivered IR: the reviewed one with digests for images, and with what each step asks of a node."""

from pathlib import Path

from penstock.compile_pipeline import check_ir, compile_to_text
from penstock.images.lock import Lock, apply_lock
from penstock.images.resources import apply_resources
from penstock.project import Project
from penstock.versions import Images


def delivered_path(name: str, project: Project) -> Path:
    """Return the place of a pipeline's delivered IR."""
    return project.root / "delivered" / f"{name}.yaml"


def delivered_text(name: str, project: Project, lock: Lock, images: Images) -> str:
    """Return the text of delivered/<name>.yaml; the same lock gives the same bytes.

    Raises:
        UserError: The pipeline does not compile, or the lock does not hold its images as they are now.
    """
    import yaml

    text = compile_to_text(name, project)
    ir = apply_lock(apply_resources(check_ir(text, name), project), lock, images)
    heading = [line for line in text.splitlines() if line.startswith("#")]
    return "\n".join([*heading, yaml.safe_dump(ir, sort_keys=True, allow_unicode=True)])

"""Where a step's process finds the package penstock."""

import secrets
from pathlib import Path

import penstock
from penstock.errors import UserError
from penstock.project import Project


def python_path(project: Project) -> Path:
    """Return the folder to put on a step's PYTHONPATH.

    In a checkout that is its root. An installed package stands among others that must not reach a step
    (kfp, another protobuf): there a folder with nothing but a link to the package is used.

    Raises:
        UserError: The command line belongs to another checkout than the project.
    """
    package = Path(penstock.__file__).resolve().parent
    own = project.root / "penstock"
    if own.is_dir():
        if not own.samefile(package):
            raise UserError(
                f"this command runs the code of {package.parent}, the project is {project.root}: "
                "use the project's own environment (`pip install -e .` there)"
            )
        return project.root
    folder = project.state / "python"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "penstock"
    if not link.is_symlink() or link.resolve() != package:
        partial = folder / f".penstock-{secrets.token_hex(4)}"
        partial.symlink_to(package)
        partial.replace(link)
    return folder

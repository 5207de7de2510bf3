"""Where things are: the project's folder and the state that local runs keep under it."""

import os
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UserError


@dataclass(frozen=True)
class Project:
    """A checkout of Penstock, or a copy of it that a team made its own."""

    root: Path

    @property
    def apps(self) -> Path:
        """One folder per app."""
        return self.root / "apps"

    @property
    def images(self) -> Path:
        """One folder per stack, and images.yaml."""
        return self.root / "images"

    @property
    def state(self) -> Path:
        """Everything local: environments, cache, runs, registry. Safe to delete."""
        return Path(os.environ.get("PENSTOCK_HOME") or self.root / ".penstock")

    @property
    def runs(self) -> Path:
        """One folder per local run."""
        return self.state / "runs"

    @property
    def registry_uri(self) -> str:
        """The local MLflow store."""
        return f"sqlite:///{self.state / 'registry.db'}"


def find_project(start: Path | None = None) -> Project:
    """Return the project that holds `start` (default: the working directory).

    Raises:
        UserError: No folder from there upwards holds images/images.yaml.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "images" / "images.yaml").is_file():
            return Project(folder)
    raise UserError(f"{start} is not inside a Penstock project (no images/images.yaml there or above)")

"""images/images.yaml: which stack each step's image is made of, budgets, and what a step asks of a node."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock.errors import UserError
from penstock.project import Project

# Kubernetes' quantities, as far as the IR takes them.
Cpu = Annotated[str, Field(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]+)?)$")]
Memory = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(Mi|Gi|M|G)$")]


class Section(BaseModel):
    """What all sections share: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Resources(Section):
    """What the scheduler keeps free for a step, and what it may not exceed; empty: nothing is said."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    cpu_limit: Cpu | None = None
    memory_limit: Memory | None = None


class Stack(Section):
    """A locked set of dependencies: the layer that the images of its steps share."""

    budget_mb: int | None = None
    builds_with: list[str] = []
    without: list[str] = []
    drop: list[str] = []


class Step(Resources):
    """The image of a step."""

    stack: str


class Service(Section):
    """An image of a server: with the code of a folder under components/, or with none of ours."""

    stack: str
    command: list[str] = ["python"]
    code: str = ""


class ImagesFile(Section):
    """All of images.yaml."""

    base: str = "python:3.11-slim-bookworm"
    source: str = ""
    stacks: dict[str, Stack] = {}
    steps: dict[str, Step]
    services: dict[str, Service] = {}

    def stack(self, name: str) -> Stack:
        """Return what is said about a stack; nothing need be."""
        return self.stacks.get(name, Stack())


def read_images_file(project: Project) -> ImagesFile:
    """Return images/images.yaml.

    Raises:
        UserError: It cannot be read or is wrong; each fault on a line.
    """
    path = project.images / "images.yaml"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> ImagesFile:
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ImagesFile.model_validate(content)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise UserError(f"{path}: {faults} (expected `steps: {{<step>: {{stack: <stack>}}}}`)") from error

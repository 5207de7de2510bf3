"""What each step's image is made of, as a hash: the tag that makes every cache tell the truth.

The hash covers the recipe of all images, the lock of the step's stack, every file of the step's folder
(spec.py included), step_io, and the shared modules beside it that the step imports, directly or not. A file
that changes none of these changes no image.
"""

import ast
import copy
import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penstock.errors import UserError
from penstock.images.settings import Service, read_images_file
from penstock.nearest import did_you_mean
from penstock.project import Project

PACKAGE = "penstock.components"
UNPINNED = "unpinned"
ALWAYS_SHARED = "step_io"
NOT_IN_AN_IMAGE = ("README.md", "component.yaml", "notes.md")
FOLDERS_NOT_IN_AN_IMAGE = ("__pycache__", "tests")
RECIPE = ("Dockerfile", "finish.py", "bootstrap.txt")  # under images/
DIGITS = 16  # of a SHA-256, in hexadecimal: 64 bits, no collision among the versions of one step


def components_folder(project: Project) -> Path:
    """Return the folder that holds the steps: the project's own, else the installed package's."""
    own = project.root / "components"
    return own if own.is_dir() else Path(__file__).parent / "components"


def stacks_by_step(project: Project) -> dict[str, str]:
    """Return the stack of each step, from images/images.yaml.

    Raises:
        UserError: The file cannot be read or is wrong.
    """
    return {step: entry.stack for step, entry in read_images_file(project).steps.items()}


@dataclass(frozen=True)
class Image:
    """The image of one step, by content."""

    step: str
    stack: str
    tag: str

    @property
    def name(self) -> str:
        """The reference as it stands in the IR."""
        return f"penstock/{self.step}:{self.tag}"


class Images:
    """The images of a project's steps, each hashed once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.components = components_folder(project)
        self._modules: dict[str, tuple[str, set[str]]] = {}
        self._images: dict[str, Image] = {}

    @cached_property
    def stacks(self) -> dict[str, str]:
        """The stack of each step."""
        return stacks_by_step(self.project)

    def image(self, step: str) -> Image:
        """Return the image of a step.

        Raises:
            UserError: images.yaml does not list the step, or its folder or its stack's lock is missing.
        """
        if step not in self._images:
            if step not in self.stacks:
                raise UserError(
                    f"images/images.yaml lists no step {step!r}{did_you_mean(step, self.stacks)}: "
                    "add it with its stack"
                )
            stack = self.stacks[step]
            digest = hashlib.sha256(stack_hash(self.project, stack).encode())
            self._add_code(digest, step)
            self._images[step] = Image(step, stack, digest.hexdigest()[:DIGITS])
        return self._images[step]

    def service(self, service: Service) -> str:
        """Return the tag of a service's image: the hash of its stack, its command and its code."""
        stack = stack_hash(self.project, service.stack)
        digest = hashlib.sha256("\0".join([stack, *service.command]).encode())
        if service.code:
            self._add_code(digest, service.code)
        return digest.hexdigest()[:DIGITS]

    def _add_code(self, digest: "hashlib._Hash", folder: str) -> None:
        for module in sorted(self.needed(folder)):
            digest.update(f"\0{module}\0{self._module(module)[0]}".encode())

    def files(self, step: str) -> dict[str, bytes]:
        """Return what the image of a step (or service) holds of our code: the path under components/ → content."""
        return {
            path.relative_to(self.components).as_posix(): path.read_bytes()
            for module in sorted(self.needed(step))
            for path in _files(self.components, module)
        }

    def needed(self, step: str) -> set[str]:
        """Return the step and every shared module that it imports, directly or not."""
        needed: set[str] = set()
        waiting = [step, ALWAYS_SHARED]
        while waiting:
            module = waiting.pop()
            if module not in needed:
                needed.add(module)
                waiting.extend(self._module(module)[1])
        return needed

    def _module(self, name: str) -> tuple[str, set[str]]:
        """Return the hash of a folder (or file) beside the steps, and the neighbours that it imports."""
        if name not in self._modules:
            digest = hashlib.sha256()
            imports: set[str] = set()
            files = list(_files(self.components, name))
            if not files:
                raise UserError(f"{self.components / name} holds no file, yet a step needs it")
            for path in files:
                content = path.read_bytes()
                digest.update(f"\0{path.relative_to(self.components)}\0{len(content)}\0".encode())
                digest.update(content)
                if path.suffix == ".py":
                    folder = path.relative_to(self.components).parts[:-1]
                    imports |= _neighbours(folder, content) - {name}
            self._modules[name] = (digest.hexdigest(), imports)
        return self._modules[name]


def stack_hash(project: Project, stack: str) -> str:
    """Return the hash of a stack's image: its lock, the recipe, and what images.yaml says of the two.

    Raises:
        UserError: The lock is missing, or images.yaml is wrong.
    """
    digest = hashlib.sha256(lock_path(project, stack).read_bytes())
    for name in RECIPE:
        path = project.images / name
        digest.update(f"\0{name}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    listed = read_images_file(project)
    left_out = listed.stack(stack).model_dump(include={"builds_with", "without", "drop"})
    digest.update(json.dumps([listed.base, left_out], sort_keys=True).encode())
    return digest.hexdigest()[:DIGITS]


def shared_modules(project: Project, step: str) -> set[str]:
    """Return the modules beside the steps that a step imports, directly or not; step_io always."""
    return Images(project).needed(step) - {step}


def lock_path(project: Project, stack: str) -> Path:
    """Return the lock of a stack.

    Raises:
        UserError: There is none.
    """
    path = project.images / stack / "uv.lock"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `uv lock` in {path.parent}, or correct images/images.yaml")
    return path


def pin(ir: dict[str, Any], images: Images) -> tuple[dict[str, Any], dict[str, Image]]:
    """Return the IR with each `penstock/<step>:unpinned` replaced, and the images by executor label."""
    ir = copy.deepcopy(ir)
    pinned = {}
    for label, executor in ir["deploymentSpec"]["executors"].items():
        container = executor.get("container", {})
        name, _, tag = container.get("image", "").rpartition(":")
        if tag == UNPINNED and name.startswith("penstock/"):
            pinned[label] = images.image(name.removeprefix("penstock/"))
            container["image"] = pinned[label].name
    return ir, pinned


def code_version(pinned_ir: dict[str, Any]) -> str:
    """Return the hash of a pipeline with all its images."""
    text = json.dumps(pinned_ir, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _files(components: Path, name: str) -> Iterator[Path]:
    """Yield the files that belong into an image, in a fixed order."""
    single = components / f"{name}.py"
    if single.is_file():
        yield single
    for path in sorted((components / name).rglob("*")):
        inside = path.relative_to(components / name).parts
        if any(part in FOLDERS_NOT_IN_AN_IMAGE or part.startswith(".") for part in inside):
            continue
        if path.is_file() and path.name not in NOT_IN_AN_IMAGE and path.suffix != ".pyc":
            yield path


@functools.lru_cache(maxsize=1024)  # a process compiles, pins and delivers the same files
def _neighbours(folder: tuple[str, ...], content: bytes) -> frozenset[str]:
    """Return the first name under penstock.components of each import in a file of a folder there."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return frozenset()  # the step itself will say so
    package = [*PACKAGE.split("."), *folder]
    return frozenset(_names_below(tree, package))


def _names_below(tree: ast.AST, package: list[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = [*above, *(node.module.split(".") if node.module else [])]
            names = [".".join([*module, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                yield name.split(".")[2]

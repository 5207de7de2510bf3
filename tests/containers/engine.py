"""The Docker engine for tests: the toy project's steps as images, and what the engine holds."""

import subprocess
from pathlib import Path

from penstock.project import Project
from penstock.versions import Images
from tests.local.toy import STEPS, Toy, write

DOCKERFILE = """FROM python:3.11-slim-bookworm
COPY penstock/__init__.py /step/penstock/__init__.py
COPY components /step/penstock/components
ENV PYTHONPATH=/step HOME=/tmp PENSTOCK_FROM_IMAGE=yes
USER 65532:65532
"""


def docker(*arguments: str) -> str:
    """Call docker and return what it prints."""
    ended = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def images_of(root: Path) -> list[str]:
    """Return the names of the images that the toy project's steps need, as they are now."""
    images = Images(Project(root))
    return [images.image(step).name for step in ("gate", *(step[0] for step in STEPS))]


def build_images(toy: Toy) -> list[str]:
    """Build the images of the toy project's steps and return their names."""
    write(toy.root / "Dockerfile", DOCKERFILE)
    write(toy.root / ".dockerignore", "**/__pycache__\n.penstock\n")
    names = images_of(toy.root)
    tags = [f"--tag={name}" for name in names]
    docker("build", "--quiet", *tags, str(toy.root))
    return names


def containers(toy: Toy, *, running: bool = False) -> list[str]:
    """Return the names of the containers of the toy project's runs."""
    every = [] if running else ["-a"]
    listed = docker(
        "ps", *every, "--format", '{{.Names}} {{.Label "penstock.folder"}}', "--filter", "label=penstock.run"
    )
    pairs = [line.split(" ", 1) for line in listed.splitlines()]
    return [name for name, folder in pairs if Path(folder).parent == toy.runs]

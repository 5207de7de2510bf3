"""images.lock.json: the digest of each image in a registry, and how it gets into the IR.

    {"registry": "localhost:5000/penstock",
     "images": {"gate": {"tag": "<16 hex>", "digest": "sha256:…", "bytes": <uncompressed, over the base>,
                         "reference": "localhost:5000/penstock/gate@sha256:…"}}}

What is delivered names images by digest only: it cannot change under a run, and both caches see the content.
"""

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock.errors import UserError
from penstock.project import Project

if TYPE_CHECKING:
    from penstock.versions import Images

NAME = "images.lock.json"
PREFIX = "penstock/"
UNPINNED = ":unpinned"
DO = "run `make images`"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class LockedImage(BaseModel):
    """One image as the registry holds it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tag: str
    digest: Digest
    reference: str
    bytes: int | None = None


class Lock(BaseModel):
    """All images of a project in one registry."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    registry: str
    images: dict[str, LockedImage]


def lock_path(project: Project) -> Path:
    """Return the place of the project's lock of images."""
    return project.root / NAME


def read_lock(path: Path) -> Lock:
    """Return a lock.

    Raises:
        UserError: It is missing, or no lock.
    """
    try:
        return Lock.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {DO}, which builds, pushes and locks the images") from None
    except (OSError, ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path} is no lock of images ({first}): {DO}, which writes it anew") from error


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lock in one act; return whether it differs from what was there."""
    text = json.dumps(lock.model_dump(), indent=2, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return True


def apply_lock(ir: dict[str, Any], lock: Lock, images: "Images") -> dict[str, Any]:
    """Return the IR with the digest of each of our images.

    Images that are not ours stay as they are; they must be given by digest already.

    Raises:
        UserError: A step is not in the lock, its code changed since, or an image of others has no digest.
    """
    ir = copy.deepcopy(ir)
    missing, stale = set(), set()
    for label, executor in ir.get("deploymentSpec", {}).get("executors", {}).items():
        container = executor.get("container")
        if container is None:
            continue  # an importer has no image
        image = container.get("image", "")
        if not (image.startswith(PREFIX) and image.endswith(UNPINNED)):
            if "@sha256:" not in image:
                raise UserError(
                    f"{label} runs in {image!r}, which is neither penstock/<step>{UNPINNED} nor given by "
                    "digest: write <name>@sha256:<digest>"
                )
            continue
        step = image.removeprefix(PREFIX).removesuffix(UNPINNED)
        locked = lock.images.get(step)
        if locked is None:
            missing.add(step)
        elif locked.tag != images.image(step).tag:
            stale.add(step)
        else:
            container["image"] = locked.reference
    faults = []
    if missing:
        faults.append(f"has no image of {', '.join(sorted(missing))}")
    if stale:
        faults.append(f"holds an earlier image of {', '.join(sorted(stale))}, whose code changed since")
    if faults:
        raise UserError(f"{NAME} {' and '.join(faults)}: {DO}")
    return ir

"""Brings a data source of this machine to where the steps of a cluster can read it: the pipeline root.

The copy is named by its content, so the same files are sent once, and a run's source says what was read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.components.source_files.listing import find_source
from penstock.components.step_io.errors import StepError
from penstock.errors import UserError
from penstock.pipeline_root import Folder, PipelineRoot

LARGEST = 2 * 2**30  # bytes: beyond, data belong in a bucket of their own
LISTING = "_files.json"  # sources leave out files whose name begins with an underscore
WILDCARD = re.compile(r"[*?\\[]")


@dataclass(frozen=True)
class PublishedSource:
    """A local source at the pipeline root: what steps are told to read, and the folder to upload before."""

    source: str
    folder: Folder


def plan_source(source: str, format: str, app: str, root: PipelineRoot) -> PublishedSource | None:
    """Return where a local source will be; None for one that lies at a URI already. Nothing is sent.

    Args:
        source: File, folder or glob of this machine, or a URI.
        format: The app's data.format.
        app: The app's name.
        root: Where the files go: <root>/data/<app>/<sha256>/.

    Raises:
        UserError: Nothing is there, it cannot be read, or it is larger than 2 GiB.
    """
    if "://" in source and not source.startswith("file://"):
        return None
    source = source.removeprefix("file://")
    try:
        found = find_source(source, format)
    except StepError as error:
        raise UserError(str(error)) from error
    if found.size_bytes > LARGEST:
        raise UserError(
            f"the source {source} holds {found.size_bytes / 2**30:.1f} GiB, too much to send with a run (at most "
            f"{LARGEST // 2**30}): put it into a bucket that the steps can read, and name it in data.source"
        )
    base, rest = _split(source)
    files = {Path(file.path).relative_to(base).as_posix(): Path(file.path) for file in found.files}
    folder = root.folder(f"data/{app}", files, LISTING)
    return PublishedSource(f"{folder.uri_for_steps}/{rest}".rstrip("/"), folder)


def _split(source: str) -> tuple[Path, str]:
    """Return the folder that all files lie under, and the rest of the source: a file's name, a pattern."""
    path = Path(source)
    if path.is_dir():
        return path, ""
    if path.exists():
        return path.parent, path.name
    parts = path.parts
    fixed = next(index for index, part in enumerate(parts) if WILDCARD.search(part))
    return Path(*parts[:fixed]), "/".join(parts[fixed:])

"""Where a model comes from: a local folder, a pointer file, or a URI that is copied here first."""

import json
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model to load: its folder or URI, and its version ("" if nobody says one)."""

    uri: str
    version: str


def resolve(model_dir: str, version: str) -> Source:
    """Return what `--model-dir` means now.

    A JSON file {"model_dir": …, "version": …} is a pointer: whoever wants another model served replaces it
    (atomically, by a rename) and sends SIGHUP.

    Raises:
        StepError: The pointer cannot be read.
    """
    path = local_path(model_dir)
    if path is None or not path.is_file():
        return Source(model_dir, version)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Source(str(found["model_dir"]), str(found.get("version", version)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f'{path} is no pointer to a model: expected {{"model_dir": …, "version": …}}'
        ) from error


def fetch(uri: str) -> tuple[Path, bool]:
    """Return the local folder of a model, and whether it is a copy to be deleted after loading.

    Raises:
        StepError: There is no such folder, or it cannot be copied.
    """
    path = local_path(uri)
    if path is not None:
        if not path.is_dir():
            raise StepError(f"the model folder {uri!r} is not there")
        return path, False
    import fsspec

    copy = Path(tempfile.mkdtemp(prefix="model-"))
    try:
        filesystem, root = fsspec.core.url_to_fs(uri)
        filesystem.get(root.rstrip("/") + "/", f"{copy}/", recursive=True)
    except Exception as error:  # every store has errors of its own
        shutil.rmtree(copy, ignore_errors=True)
        raise StepError(f"the model {uri!r} cannot be copied: {type(error).__name__}: {error}") from error
    log.info("copied the model %s", uri)
    return copy, True


def local_path(uri: str) -> Path | None:
    """Return the path that a path or a file:// URI means; None for a store."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(parsed.path)
    return None if "://" in uri else Path(uri)

"""The state between calls: fetched from its URI, put back whole."""

import os
import shutil
from pathlib import Path

from penstock.components.source_files.listing import local_errors, remote_errors


def _is_remote(uri: str) -> bool:
    return "://" in uri and not uri.startswith("file://")


def fetch(uri: str, target: Path) -> None:
    """Copy the state to `target` if there is one.

    Raises:
        StepError: It may not be read.
    """
    if not uri:
        return
    if _is_remote(uri):
        import fsspec

        with remote_errors(uri):
            filesystem, path = fsspec.core.url_to_fs(uri)
            filesystem.invalidate_cache()
            if filesystem.exists(path):
                filesystem.get_file(path, str(target))
        return
    source = Path(uri.removeprefix("file://"))
    with local_errors(uri):
        if source.exists():
            shutil.copyfile(source, target)


def put_back(source: Path, uri: str) -> None:
    """Write the state to its URI, whole or not at all.

    Of two calls at once the last one wins; each state is whole and has its own cursors, so nothing counts twice.

    Raises:
        StepError: It may not be written.
    """
    if not uri:
        return
    if _is_remote(uri):
        import fsspec

        with remote_errors(uri):
            filesystem, path = fsspec.core.url_to_fs(uri)
            filesystem.put_file(str(source), path)
        return
    target = Path(uri.removeprefix("file://"))
    with local_errors(uri):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.copyfile(source, partial)
        partial.replace(target)

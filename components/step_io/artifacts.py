"""Artifacts as a step sees them: a local path to read from or to write to."""

import shutil
from pathlib import Path
from typing import Any

# Where the KFP launcher and Vertex AI mount object stores inside a step's container.
MOUNTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/", "oci://": "/oci/"}


def local_path(uri: str) -> Path:
    """Return the path under which a container sees the artifact at `uri`."""
    for scheme, mount in MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri.removeprefix("file://"))


class InputArtifact:
    """An artifact that an earlier step wrote.

    Its metadata is left out on purpose: backends change it on the way (lists wrapped, booleans
    turned to numbers, store secrets' names added). What a step must know stands in files or in
    parameters.
    """

    def __init__(self, uri: str, path: Path | None = None) -> None:
        self.uri = uri
        self.path = path if path is not None else local_path(uri)


class OutputArtifact:
    """An artifact that this step writes, as a file or a folder at `path`.

    `path` lies beside the final place until `commit`, so that a half-written output is never seen
    under its name. On a mounted bucket (/gcs/) a folder cannot be renamed: there the output is
    written in place and the executor output, written last, is the commit.
    """

    def __init__(self, uri: str, path: Path | None = None) -> None:
        self.uri = uri
        self.metadata: dict[str, Any] = {}
        self._final = path if path is not None else local_path(uri)
        in_place = str(self._final).startswith("/gcs/")
        self.path = self._final if in_place else self._final.with_name(self._final.name + ".partial")

    def prepare(self) -> None:
        """Make the parent folder and remove what an earlier attempt left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.discard()

    def commit(self) -> None:
        """Give the written output its final name."""
        if not self.path.exists():
            raise RuntimeError(f"the step declared the output {self._final.name!r} but did not write it")
        if self.path != self._final:
            remove(self._final)
            self.path.rename(self._final)

    def discard(self) -> None:
        """Remove what has been written so far."""
        remove(self.path)


def remove(path: Path) -> None:
    """Delete a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

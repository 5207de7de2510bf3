"""Finished shards under a resume URI, keyed by all that determines them, so that a killed step goes on.

A shard counts when its entry (JSON: rows, hashes) is there, which is written after it. Locally a lock lets only
one process at a time use a key; a second one works without. At an fsspec URI (gs://, s3://) there is no lock: both
write the same shards, since the key is the same.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

CHUNK = 4 * 2**20


def batch_key(model: Path, shards: Sequence[tuple[str, int, int]], settings: Mapping[str, Any]) -> str:
    """Return the hash of what determines the predictions.

    Args:
        model: The model folder: its bytes count.
        shards: Name, rows and bytes of each shard of the dataset; its content is compared when it is its turn.
        settings: Plain values: keys, ...
    """
    digest = hashlib.sha256()
    plain = {
        "settings": settings,
        "shards": list(shards),
        "code_version": os.environ.get("PENSTOCK_CODE_VERSION", ""),
    }
    digest.update(json.dumps(plain, sort_keys=True).encode())
    for path in sorted(model.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(model)} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:32]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Progress:
    """Finished shards of one batch; a context manager that removes them when all went well.

    A store that fails is told once and not used again: predictions matter more than where to resume.
    """

    def __init__(self, uri: str, key: str) -> None:
        """Open the folder `key` under `uri`; an empty `uri` keeps nothing."""
        self.folder = f"{uri.rstrip('/')}/{key}"
        self._local: Path | None = None
        self._files: Any = None
        self._lock: int | None = None
        self._kept: list[str] = []
        if not uri:
            return
        try:
            self._open(uri, key)
        except BlockingIOError:
            log.warning("another process predicts the same batch: this one cannot be resumed")
        except Exception as error:  # noqa: BLE001 - each cloud client has its own errors; the work goes on
            self._give_up(error)

    def _open(self, uri: str, key: str) -> None:
        if "://" in uri and not uri.startswith("file://"):
            import fsspec

            files, self.folder = fsspec.core.url_to_fs(self.folder)
            files.makedirs(self.folder, exist_ok=True)
            self._files = files
            return
        folder = Path(uri.removeprefix("file://")) / key
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise
        self._local, self.folder = folder, str(folder)

    def take(self, name: str, target: Path, of: str) -> dict[str, Any] | None:
        """Bring a finished shard to `target` and return its entry; None when it must be predicted.

        Args:
            name: The shard's file.
            target: Where it goes.
            of: Hash of the shard of the dataset that it must have been made of.
        """
        try:
            entry = self._read(f"{name}.json")
            if entry is None:
                return None
            found: dict[str, Any] = json.loads(entry)
            if found["of_sha256"] != of:
                return None
            if self._local is not None:
                link_or_copy(self._local / name, target)
            else:
                self._files.get_file(f"{self.folder}/{name}", str(target))
            if file_hash(target) != found["sha256"]:
                target.unlink()
                return None
        except Exception as error:  # noqa: BLE001 - what cannot be read is predicted again
            log.warning("the finished shard %s cannot be used (%s): predicted again", name, error)
            target.unlink(missing_ok=True)
            return None
        self._kept.append(name)
        return found

    def keep(self, name: str, path: Path, entry: Mapping[str, Any]) -> None:
        """Keep a finished shard: the file, then its entry."""
        if self._local is None and self._files is None:
            return
        text = json.dumps(entry, sort_keys=True).encode()
        try:
            if self._local is not None:
                (self._local / name).unlink(missing_ok=True)
                link_or_copy(path, self._local / name)
                partial = self._local / f".{name}.json.partial"
                partial.write_bytes(text)
                partial.replace(self._local / f"{name}.json")
            else:
                self._files.put_file(str(path), f"{self.folder}/{name}")
                self._files.pipe_file(f"{self.folder}/{name}.json", text)
        except Exception as error:  # noqa: BLE001 - a full store or a cloud error must not end the work
            self._give_up(error)
            return
        if not self._kept:
            log.info("finished shards are kept in %s until the end", self.folder)
        self._kept.append(name)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._remove()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self, name: str) -> bytes | None:
        try:
            if self._local is not None:
                return (self._local / name).read_bytes()
            return bytes(self._files.cat_file(f"{self.folder}/{name}")) if self._files is not None else None
        except FileNotFoundError:
            return None

    def _remove(self) -> None:
        try:
            if self._local is not None:
                shutil.rmtree(self._local)
            elif self._files is not None and self._kept:
                self._files.rm([f"{self.folder}/{name}{end}" for name in self._kept for end in ("", ".json")])
        except Exception as error:  # noqa: BLE001 - the predictions are made; what is left does no harm
            log.warning("could not remove the finished shards in %s: %s", self.folder, error)

    def _give_up(self, error: Exception) -> None:
        log.warning(
            "this batch cannot be resumed: %s cannot be used (%s: %s)",
            self.folder,
            type(error).__name__,
            error,
        )
        self._local = self._files = None


def link_or_copy(source: Path, target: Path) -> None:
    """Give a finished file, which nobody changes any more, a second name; copy it where that cannot be."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)

"""Training states under a checkpoint URI, keyed by all that determines the training.

A state is one file, replaced atomically. Locally a lock lets only one process at a time use a key; a
second one trains without checkpoints. At an fsspec URI (gs://, s3://) there is no lock: the last
writer wins, and each writes the same states, since the key is the same.
"""

import dataclasses
import fcntl
import hashlib
import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from penstock.components.tabular_model.app_code import code_digest
from penstock.components.tabular_model.training import Epoch, State

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
OVERHEAD = 0.05  # share of the time that writing may take; slow stores are written to less often
ARRAYS = ("variables", "optimizer", "best")


def training_key(folders: Mapping[str, Path], code: Path, settings: Mapping[str, Any]) -> str:
    """Return the hash of everything that determines a training.

    Args:
        folders: Data and schema artifacts by name: their bytes count.
        code: The app's code folder.
        settings: Plain values: hyperparameters, label, seed, ...
    """
    digest = hashlib.sha256()
    plain = {"settings": settings, "code_version": os.environ.get("PENSTOCK_CODE_VERSION", "")}
    digest.update(json.dumps(plain, sort_keys=True).encode())
    for name, folder in sorted(folders.items()):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{name}/{path.relative_to(folder)} {content}\n".encode())
    digest.update(code_digest(code).encode())
    return digest.hexdigest()[:32]


class Store:
    """One folder for small files, at a local path or an fsspec URI."""

    def __init__(self, uri: str, key: str) -> None:
        """Open the folder `key` under `uri`.

        Raises:
            OSError: It cannot be written to, or another process holds it.
        """
        self.local = (
            Path(uri.removeprefix("file://")) if "://" not in uri or uri.startswith("file://") else None
        )
        self.folder = f"{uri.rstrip('/')}/{key}"
        self._lock: int | None = None
        if self.local is not None:
            self.folder = str(self.local / key)
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.local / f"{key}.lock")
            return
        import fsspec

        self.files, self.path = fsspec.core.url_to_fs(self.folder)
        self.files.makedirs(self.path, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if it is not there."""
        try:
            if self.local is not None:
                return (Path(self.folder) / name).read_bytes()
            return bytes(self.files.cat_file(f"{self.path}/{name}"))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, all of it at once."""
        if self.local is None:
            self.files.pipe_file(f"{self.path}/{name}", content)
            return
        partial = Path(self.folder) / f".{name}.partial"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(Path(self.folder) / name)

    def remove(self, names: Sequence[str]) -> None:
        """Delete files, and the folder if nothing else is in it."""
        try:
            if self.local is None:
                self.files.rm(
                    [f"{self.path}/{name}" for name in names if self.files.exists(f"{self.path}/{name}")]
                )
                return
            for name in names:
                (Path(self.folder) / name).unlink(missing_ok=True)
                (Path(self.folder) / f".{name}.partial").unlink(missing_ok=True)
            Path(self.folder).rmdir()
        except OSError as error:
            log.warning("could not remove the checkpoints in %s: %s", self.folder, error)

    def close(self) -> None:
        """Let the next process have the key."""
        if self._lock is not None and self.local is not None:
            (self.local / f"{Path(self.folder).name}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def open_store(uri: str, key: str) -> Store | None:
    """Return the store, or None (with a warning) where there can be none."""
    if not uri:
        return None
    try:
        return Store(uri, key)
    except BlockingIOError:
        log.warning("another process trains with the same inputs: this one keeps no checkpoints")
    except (OSError, ValueError, ImportError) as error:
        log.warning("no checkpoints: %s cannot be used (%s: %s)", uri, type(error).__name__, error)
    except Exception as error:  # noqa: BLE001 - each cloud client has its own errors; training goes on
        log.warning("no checkpoints: %s cannot be used (%s: %s)", uri, type(error).__name__, error)
    return None


class TrainingCheckpoints:
    """Keeps the newest state of one training; a context manager that removes it when all went well."""

    FILE = "state.npz"

    def __init__(self, store: Store | None, interval_s: float = INTERVAL_S) -> None:
        self.store = store
        self.interval_s = interval_s
        self._next = time.monotonic() + interval_s
        self._told = False

    def __enter__(self) -> "TrainingCheckpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.store is not None:
            if kind is None:
                self.store.remove([self.FILE])
            self.store.close()

    def load(self) -> State | None:
        """Return the newest state; None if there is none that can be read."""
        if self.store is None:
            return None
        try:
            content = self.store.read(self.FILE)
            return None if content is None else unpack(content)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            log.warning("the checkpoint in %s cannot be read (%s): starting anew", self.store.folder, error)
            return None

    def due(self) -> bool:
        """Return whether it is time for the next state."""
        return self.store is not None and time.monotonic() >= self._next

    def save(self, state: State) -> None:
        """Write a state; a store that fails is told once and not used again."""
        if self.store is None:
            return
        began = time.monotonic()
        try:
            self.store.write(self.FILE, pack(state))
        except Exception as error:  # noqa: BLE001 - a full disk or a cloud error must not end the training
            log.warning("no more checkpoints: %s cannot be written (%s)", self.store.folder, error)
            self.store.close()
            self.store = None
            return
        if not self._told:
            log.info("checkpoints go to %s", self.store.folder)
            self._told = True
        now = time.monotonic()
        self._next = now + max(self.interval_s, (now - began) / OVERHEAD)


def pack(state: State) -> bytes:
    """Return a state as the bytes of an .npz file."""
    plain = {f.name: getattr(state, f.name) for f in dataclasses.fields(State) if f.name not in ARRAYS}
    plain["history"] = [dataclasses.asdict(epoch) for epoch in state.history]
    arrays = {f"{name}_{i}": value for name in ARRAYS for i, value in enumerate(getattr(state, name))}
    file = io.BytesIO()
    np.savez(file, plain=np.frombuffer(json.dumps(plain).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(content: bytes) -> State:
    """Return the state that `pack` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        plain = json.loads(found["plain"].tobytes())
        for name in ARRAYS:
            count = sum(key.startswith(f"{name}_") for key in found.files)
            plain[name] = [found[f"{name}_{i}"] for i in range(count)]
    plain["history"] = [Epoch(**epoch) for epoch in plain["history"]]
    return State(**plain)


def _locked(path: Path) -> int:
    """Return a descriptor that holds the lock.

    Raises:
        BlockingIOError: Another process holds it.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor  # else its last holder removed it in between
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)

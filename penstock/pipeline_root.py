"""Folders under an environment's pipeline root, named by their content, at any place that fsspec knows.

    root = PipelineRoot(environment)
    folder = root.folder("apps/taxi", {"app.yaml": b"..."})   # nothing is sent yet
    folder.uri                                                # minio://bucket/penstock/apps/taxi/<sha256>
    folder.upload()                                           # False when it was there already

The list of a folder's files is written last: half an upload is never taken for a folder. Two uploads at once
write the same bytes to the same places.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.store_access import store_access

LISTING = "files.json"
CONNECT_S = 5
ANSWER_S = 60
CHUNK = 2**20
# KFP's launcher knows MinIO by a scheme of its own, which no library for S3 does.
FOR_LIBRARIES = {"minio": "s3"}
# Words of stores that mean: not with these credentials. The last is versitygw's.
REFUSALS = ("AccessDenied", "Forbidden", "InvalidAccessKey", "Signature", "403", "UserNotFound")


@dataclass(frozen=True)
class Folder:
    """A folder named by its content, which may not be there yet.

    `contents` are bytes, or files of this machine; `listing` is the name of the file that tells it is complete.
    """

    root: "PipelineRoot"
    parent: str
    digest: str
    contents: Mapping[str, bytes | Path]
    listing: str = LISTING

    @property
    def path(self) -> str:
        """The path below the root."""
        return f"{self.parent}/{self.digest}"

    @property
    def uri(self) -> str:
        """The URI in the scheme of the root, as KFP reads it."""
        return f"{self.root.uri}/{self.path}"

    @property
    def uri_for_steps(self) -> str:
        """The URI as libraries in a step read it."""
        return for_steps(self.uri)

    @property
    def size(self) -> int:
        """Bytes of all contents."""
        return sum(_size(content) for content in self.contents.values())

    def upload(self) -> bool:
        """Write what is not there; return whether anything was written.

        Raises:
            UserError: The root cannot be written to.
        """
        with self.root.clear_errors():
            files, folder = self.root.filesystem, f"{self.root.path}/{self.path}"
            if self._is_complete(folder):
                return False
            for name, content in self.contents.items():
                if isinstance(content, Path):
                    files.put_file(str(content), f"{folder}/{name}")
            texts = {
                f"{folder}/{name}": content
                for name, content in self.contents.items()
                if isinstance(content, bytes)
            }
            if texts:
                files.pipe(texts)
            files.pipe_file(f"{folder}/{self.listing}", listing_text(hashes_of(self.contents)).encode())
            return True

    def _is_complete(self, folder: str) -> bool:
        files = self.root.filesystem
        if not files.exists(f"{folder}/{self.listing}"):
            return False
        base = files._strip_protocol(folder).rstrip("/")
        there = {
            path.removeprefix(f"{base}/"): info["size"]
            for path, info in files.find(folder, detail=True).items()
        }
        return all(there.get(name) == _size(content) for name, content in self.contents.items())


class PipelineRoot:
    """The pipeline root of an environment, as this machine writes to it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.endpoint = environment.store.endpoint
        self.uri = environment.pipeline_root.rstrip("/")
        if not self.uri:
            raise UserError(f"the environment {environment.name} has no pipeline_root: write one")
        scheme = urlsplit(self.uri).scheme if "://" in self.uri else "file"
        self.protocol = FOR_LIBRARIES.get(scheme, scheme)
        self.path = self.uri.partition("://")[2] if "://" in self.uri else self.uri

    def folder(self, parent: str, contents: Mapping[str, bytes | Path], listing: str = LISTING) -> Folder:
        """Return the folder of contents (bytes, or files of this machine) by path, below `parent`."""
        digest = hashlib.sha256(listing_text(hashes_of(contents)).encode()).hexdigest()
        return Folder(self, parent, digest, contents, listing)

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec file system that holds the root.

        Raises:
            UserError: Its package is missing, or the keys of the store are not to be had.
        """
        import fsspec

        try:
            found = fsspec.filesystem(self.protocol, **self._options())
        except (ImportError, ValueError) as error:
            raise UserError(f"pipeline_root {self.uri!r} cannot be used: {error}") from error
        if hasattr(found, "retries"):
            found.retries = 2  # s3fs waits for minutes otherwise
        return found

    def _options(self) -> dict[str, Any]:
        if self.protocol == "file":
            return {"auto_mkdir": True}
        if self.protocol != "s3":
            return {}
        access = store_access(self.environment)
        self.endpoint = access.endpoint
        return {
            **access.s3_options,
            "use_listings_cache": False,
            "skip_instance_cache": True,
            "config_kwargs": {
                "connect_timeout": CONNECT_S,
                "read_timeout": ANSWER_S,
                "retries": {"max_attempts": 1},
            },
        }

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Turn whatever a store's library raises into one sentence.

        Raises:
            UserError: The root cannot be written to.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"the pipeline root {self.uri} cannot be written to: {self._reason(error)}"
            ) from error

    def _reason(self, error: Exception) -> str:
        words = " ".join(str(error).split())
        kind = type(error).__name__
        where = self.endpoint or "the store"
        bucket = self.path.partition("/")[0]
        if "Credentials" in kind or "credentials" in words:
            return f"no credentials are found, name their variables in `store` of {self.environment.name}, or log in"
        if "NoSuchBucket" in words or "bucket does not exist" in words or kind == "FileNotFoundError":
            return f"there is no bucket {bucket!r} at {where}, make it or correct pipeline_root"
        if isinstance(error, PermissionError) or any(sign in words for sign in REFUSALS):
            return f"access is denied, check the credentials and their rights on {bucket!r}"
        if (
            "Connect" in kind
            or "Timeout" in kind
            or "Could not connect" in words
            or "Cannot connect" in words
        ):
            return f"{where} cannot be reached from here, is it up and `store.endpoint` right?"
        return f"{words or kind} ({kind})" if words else kind


def for_steps(uri: str) -> str:
    """Return a URI as libraries in a step read it: minio:// is s3:// to them."""
    scheme, found, rest = uri.partition("://")
    return f"{FOR_LIBRARIES.get(scheme, scheme)}://{rest}" if found else uri


def hashes_of(contents: Mapping[str, bytes | Path]) -> dict[str, str]:
    """Return the SHA-256 of each content by path."""
    return {path: _hash(content) for path, content in contents.items()}


def listing_text(hashes: Mapping[str, str]) -> str:
    """Return the text of the list of a folder's files, whose hash names the folder."""
    return json.dumps(dict(hashes), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _hash(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size

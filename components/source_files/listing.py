"""Finds what is at a source: a file, a glob or a directory, on this machine or at any fsspec URI, or a BigQuery table."""

import difflib
import errno
import glob
import gzip
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from penstock.components.source_files.tables import Table, is_table, parse_table, table_format
from penstock.components.step_io.errors import StepError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
COMPRESSIONS = (".gz", ".zst")
NAMES = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}
IDENTITY_KEYS = ("etag", "ETag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    `path` is what its file system understands, `name` what people see, `version` changes when the
    file is written again, `filesystem` is None for a file of this machine.
    """

    path: str
    name: str
    size: int
    version: str
    filesystem: Any = field(default=None, compare=False, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the file lies on this machine."""
        return self.filesystem is None

    @property
    def compression(self) -> str:
        """`.gz`, `.zst` or nothing."""
        suffix = Path(self.path).suffix.lower()
        return suffix if suffix in COMPRESSIONS else ""

    @property
    def format(self) -> str:
        """The format that the file's name tells; empty when it tells none."""
        return format_of(self.path)

    def open_raw(self) -> BinaryIO:
        """Open the bytes as they are stored."""
        if self.is_local:
            return Path(self.path).open("rb")
        return cast(BinaryIO, self.filesystem.open(self.path, "rb"))

    def open(self) -> BinaryIO:
        """Open the bytes, decompressed."""
        raw = self.open_raw()
        if self.compression == ".gz":
            return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        if self.compression == ".zst":
            import pyarrow as pa

            return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))
        return raw


@dataclass(frozen=True)
class Source:
    """The files at a source, sorted by path, and their common format; or a table, and no files."""

    uri: str
    format: str
    files: tuple[SourceFile, ...]
    table: Table | None = None

    @property
    def size_bytes(self) -> int:
        """Size of all files as they are stored, or of the table's values."""
        return self.table.size_bytes if self.table else sum(file.size for file in self.files)


def format_of(path: str) -> str:
    """Return the format that a file's name tells, or an empty text."""
    name = Path(path.lower())
    if name.suffix in COMPRESSIONS:
        name = name.with_suffix("")
    return SUFFIXES.get(name.suffix, "")


def find_source(uri: str, format: str = "auto") -> Source:
    """Find the files at `uri`, or the table.

    In a directory, files whose names begin with a dot or an underscore are left out (`_SUCCESS`), and
    so are files whose names tell no format.

    Raises:
        StepError: Nothing there, no permission, no credentials, an empty file, an unknown format, or
            several formats.
    """
    if not uri.strip():
        raise StepError("source is empty: name a file, a glob, a directory or a table")
    if is_table(uri):
        from penstock.components.source_files.bigquery import inspect_table

        return Source(uri, table_format(uri, format), (), inspect_table(parse_table(uri)))
    if "://" in uri and not uri.startswith("file://"):
        with remote_errors(uri):
            files = _find_remote(uri, format)
    else:
        with local_errors(uri):
            files = _find_local(uri.removeprefix("file://"), format)
    for file in files:
        if file.size == 0:
            raise StepError(f"{file.name} is empty (0 bytes): write it again or leave it out of the source")
    return Source(uri, _common_format(uri, format, files), tuple(files))


def _find_local(path: str, format: str) -> list[SourceFile]:
    if Path(path).is_dir():
        found = [
            str(Path(folder) / name)
            for folder, folders, names in os.walk(path)
            for name in names
            if not _hidden(str((Path(folder) / name).relative_to(path)))
        ]
        paths = _of_format(path, sorted(found), format)
    elif glob.has_magic(path) and not Path(path).exists():
        paths = sorted(p for p in glob.glob(path, recursive=True) if Path(p).is_file())  # noqa: PTH207
        if not paths:
            raise StepError(f"no file matches the source {path!r}")
    else:
        paths = [path]
    return [_local_file(p) for p in paths]


def _local_file(path: str) -> SourceFile:
    try:
        info = Path(path).stat()
    except FileNotFoundError:
        raise StepError(f"the source {path!r} does not exist{_nearest(path)}") from None
    if not stat.S_ISREG(info.st_mode):
        raise StepError(f"the source {path!r} is neither a file nor a directory")
    with Path(path).open("rb"):  # may we read it?
        pass
    return SourceFile(path, path, info.st_size, f"mtime:{info.st_mtime_ns}")


def _find_remote(uri: str, format: str) -> list[SourceFile]:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.invalidate_cache()
    scheme = uri.partition("://")[0] + "://"
    if glob.has_magic(path):
        infos = [i for i in filesystem.glob(path, detail=True).values() if i["type"] == "file"]
        if not infos:
            raise StepError(f"no file matches the source {uri!r}")
    else:
        info = filesystem.info(path)
        infos = [info]
        if info["type"] == "directory":
            below = filesystem.find(path, detail=True)
            root = info["name"].rstrip("/") + "/"
            kept = [name for name in sorted(below) if not _hidden(name.removeprefix(root))]
            infos = [below[name] for name in _of_format(uri, kept, format)]
    return [
        SourceFile(i["name"], scheme + i["name"].lstrip("/"), int(i["size"]), _version(i), filesystem)
        for i in sorted(infos, key=lambda i: str(i["name"]))
    ]


def _version(info: dict[str, Any]) -> str:
    known = {key: str(info[key]) for key in IDENTITY_KEYS if info.get(key)}
    for strong in ("etag", "ETag", "generation"):
        if strong in known:
            return f"{strong.lower()}:{known[strong]}"
    return ";".join(f"{key}:{value}" for key, value in known.items())


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in Path(relative).parts)


def _of_format(folder: str, paths: list[str], format: str) -> list[str]:
    wanted = NAMES.values() if format == "auto" else [NAMES[format]]
    kept = [p for p in paths if format_of(p) and format in ("auto", format_of(p))]
    if not kept:
        raise StepError(f"the directory {folder!r} holds no {' or '.join(wanted)} file")
    return kept


def _common_format(uri: str, format: str, files: list[SourceFile]) -> str:
    if format != "auto":
        return format
    for file in files:
        if not file.format:
            raise StepError(
                f"the name of {file.name} does not tell its format: set data.format to csv, jsonl or parquet "
                "(.gz and .zst may follow .csv and .jsonl)"
            )
    formats = sorted({file.format for file in files})
    if len(formats) > 1:
        named = " and ".join(NAMES[f] for f in formats)
        raise StepError(f"the source {uri!r} holds {named} files: set data.format or name one kind by a glob")
    return formats[0]


def _nearest(path: str) -> str:
    try:
        names = [entry.name for entry in Path(path).parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(Path(path).name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@contextmanager
def local_errors(name: str) -> Iterator[None]:
    """Turn what this machine's file system raises into a StepError."""
    try:
        yield
    except PermissionError as error:
        raise StepError(
            f"no permission to read {error.filename or name}: give this user access to it"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StepError(f"{error.filename or name} is gone: run again when the source is at rest") from error


@contextmanager
def remote_errors(uri: str) -> Iterator[None]:
    """Turn what a remote file system raises into a StepError; each has exceptions of its own."""
    try:
        yield
    except StepError:
        raise
    except FileNotFoundError as error:
        raise StepError(f"the source {uri!r} does not exist: check the bucket's name and the path") from error
    except PermissionError as error:
        raise StepError(f"no permission to read {uri!r}: give this account read access to it") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the disk of the copy, not the source
        kind, text = type(error).__name__, (str(error).strip().splitlines() or [""])[0]
        if "Credentials" in kind or "DefaultCredentialsError" in text:
            raise StepError(f"no credentials for {uri!r}: {text}") from error
        if (isinstance(error, (ImportError, ValueError)) and "rotocol" in text) or isinstance(
            error, ImportError
        ):
            scheme = uri.partition("://")[0]
            raise StepError(
                f"the source {uri!r} cannot be read, this stack has no file system for {scheme}://: "
                "use file, gs, s3 or bq, or add its fsspec package to images/core"
            ) from error
        raise StepError(f"cannot read {uri!r}: {kind}: {text}") from error

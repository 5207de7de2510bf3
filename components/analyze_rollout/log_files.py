"""Finds log files at any fsspec URI and reads what is new of them, in bounded memory.

JSON Lines may grow: they are read from where the last call ended, up to the last whole line. Parquet and compressed files
are written once: they are read whole, once.
"""

import datetime
import glob
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.source_files.listing import SourceFile, format_of, local_errors, remote_errors

CHUNK = 4 * 2**20
ROWS = 10_000  # of a Parquet file at once
DATE = re.compile(r"/(\d{4}-\d{2}-\d{2})/")
LONGEST_LINE = 64 * 2**20  # beyond, it is no record but a broken file


@dataclass(frozen=True)
class Line:
    """One record or what cannot be read as one.

    Args:
        value: The parsed record, None when it cannot be parsed.
        end: Offset behind it in bytes; of Parquet and compressed files the file's size.
    """

    value: Any
    end: int


def find_files(uri: str, since: float) -> list[SourceFile]:
    """Return the log files at a URI (file, glob or folder), sorted by name; none when nothing is there yet.

    A folder named by a date before the day of `since` is left out.

    Raises:
        StepError: No permission, no credentials, no such file system.
    """
    if "://" in uri and not uri.startswith("file://"):
        with remote_errors(uri):
            files = _find_remote(uri)
    else:
        with local_errors(uri):
            files = _find_local(uri.removeprefix("file://"))
    first_day = datetime.datetime.fromtimestamp(max(since, 0), datetime.UTC).date().isoformat()
    return [f for f in files if not (found := DATE.search(f.path)) or found[1] >= first_day]


def _find_local(path: str) -> list[SourceFile]:
    if Path(path).is_dir():
        names = [str(Path(folder) / name) for folder, _, found in os.walk(path) for name in found]
    elif Path(path).exists():
        names = [path]
    else:
        names = [p for p in glob.glob(path, recursive=True) if Path(p).is_file()]  # noqa: PTH207
    files = []
    for name in sorted(names):
        if _is_log(name, whole=name == path):
            info = Path(name).stat()
            files.append(SourceFile(name, name, info.st_size, f"{info.st_size}:{info.st_mtime_ns}"))
    return files


def _find_remote(uri: str) -> list[SourceFile]:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.invalidate_cache()
    if glob.has_magic(path):
        found = filesystem.glob(path, detail=True)
    elif filesystem.isfile(path):
        found = {path: filesystem.info(path)}
    else:
        found = filesystem.find(path, detail=True) if filesystem.exists(path) else {}
    scheme = uri.partition("://")[0] + "://"
    return [
        SourceFile(
            name,
            scheme + name.lstrip("/"),
            int(info["size"]),
            f"{info['size']}:{info.get('ETag') or info.get('etag') or ''}",
            filesystem,
        )
        for name, info in sorted(found.items())
        if info["type"] == "file" and _is_log(name, whole=name == path)
    ]


def _is_log(name: str, whole: bool = False) -> bool:
    hidden = Path(name).name.startswith((".", "_"))
    return format_of(name) in ("jsonl", "parquet") and (whole or not hidden)


def grows(file: SourceFile) -> bool:
    """Return whether a file is read on from an offset."""
    return file.format == "jsonl" and not file.compression


def read_lines(file: SourceFile, offset: int = 0) -> Iterator[Line]:
    """Yield the records of a file behind `offset`; a last line without its end is left for the next call.

    Raises:
        StepError: The file is gone or may not be read.
    """
    with local_errors(file.name) if file.is_local else remote_errors(file.name):
        if file.format == "parquet":
            yield from _rows(file)
        elif grows(file):
            with file.open_raw() as stream:
                stream.seek(offset)
                yield from _split(stream, offset, file.size)
        else:
            with file.open() as stream:
                for line in _split(stream, 0, None):
                    yield Line(line.value, file.size)


def _split(stream: Any, offset: int, size: int | None) -> Iterator[Line]:
    """Yield whole lines up to `size`, the size when the file was listed; None: up to the end, also an open last line."""
    rest = b""
    while True:
        want = CHUNK if size is None else min(CHUNK, size - offset - len(rest))
        chunk = stream.read(want) if want > 0 else b""
        if not chunk:
            break
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            offset += len(line) + 1
            if line.strip():
                yield Line(_parse(line), offset)
        if len(rest) > LONGEST_LINE:
            offset += len(rest)
            rest = b""
            yield Line(None, offset)
    if rest.strip() and size is None:
        yield Line(_parse(rest), offset + len(rest))


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _rows(file: SourceFile) -> Iterator[Line]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.open_raw() as stream:
        try:
            content = pq.ParquetFile(stream)
            for batch in content.iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    yield Line(row, file.size)
        except pa.ArrowInvalid:
            yield Line(None, file.size)

"""Identity of what a read would give, without reading more than that takes."""

import hashlib
import json
from pathlib import Path

from penstock.components.source_files.listing import Source, SourceFile
from penstock.components.source_files.selection import Selection

HASHED_UP_TO_BYTES = 64 * 2**20  # above, a local file is told by size and time: hashing would take long
CHUNK = 2**20


def fingerprint(source: Source, selection: Selection) -> str:
    """Return a hash that is equal for two reads exactly when they would give the same.

    Local files up to 64 MiB count by their content, wherever they lie (a fresh clone has new times);
    other files by size and by etag, generation or time. The order of the files counts, their names do
    not, except where the content is not looked at. A table counts by its name and its last change.
    """
    described = {
        "format": source.format,
        "files": [identity(file) for file in source.files],
        **({"table": source.table.identity()} if source.table else {}),
        "query": selection.query,
        "event_time": selection.event_time,
        "unit": selection.unit if selection.event_time else "",
        "since_us": selection.since_us,
        "until_us": selection.until_us,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]


def identity(file: SourceFile) -> list[str]:
    """Return what tells one state of a file from another."""
    if file.is_local and file.size <= HASHED_UP_TO_BYTES:
        return [file.compression, "sha256:" + content_hash(Path(file.path))]
    return [file.compression, file.name, str(file.size), file.version]


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

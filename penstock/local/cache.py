"""The cache of step outputs: one small JSON file for each call of a step that succeeded.

An entry points at the outputs where the step wrote them, in the folder of some run; it lists every file
with its size, and counts only while all of them are there.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """The outputs of one call of a step."""

    run: str  # id of the run that computed them
    task: str
    image: str
    outputs: dict[str, Any]  # as kfp.local serializes them
    files: dict[str, int]  # size of each output file, bytes, by absolute path
    record: dict[str, Any] | None

    def is_whole(self) -> bool:
        """Tell whether every output file is still there, with its size."""
        try:
            return all(Path(path).stat().st_size == size for path, size in self.files.items())
        except OSError:
            return False


def read_entry(path: Path) -> Entry | None:
    """Return an entry, or None when there is none or it cannot be read."""
    try:
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_entry(path: Path, entry: Entry) -> None:
    """Write an entry at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(json.dumps(asdict(entry), default=str), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def files_below(path: Path) -> dict[str, int]:
    """Return the size of each file at or below a path."""
    if path.is_file():
        return {str(path): path.stat().st_size}
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            found[str(file)] = file.stat().st_size
    return found

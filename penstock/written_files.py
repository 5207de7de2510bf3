"""Writes generated files, or says which of them are stale."""

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_compare(texts: Mapping[Path, str], root: Path, check: bool, make_target: str) -> bool:
    """Write each text to its file, or with `check` only compare; return whether all is current.

    Names of written files go to stdout, those of stale ones to stderr.
    """
    stale = [
        path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        name = path.relative_to(root).as_posix()
        if check:
            print(f"{name} is stale", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
            print(f"wrote {name}")
    if stale and check:
        print(f"run `make {make_target}`, review the difference and commit it", file=sys.stderr)
        return False
    if not stale:
        print(
            f"{len(texts)} generated files are current" if len(texts) != 1 else "1 generated file is current"
        )
    return True

"""Runs inside an image, with its Python and as its user; prints one JSON object of what it sees there.

python - <names of the image's folders under penstock.components>
"""

import errno
import importlib
import json
import os
import pkgutil
import sys
from hashlib import sha256
from pathlib import Path

STEP, STACK = Path("/step"), Path("/stack")
NOT_RUN_HERE = ("spec", "__main__")  # the one needs kfp, the other runs


def main(folders: list[str]) -> None:
    """Look at everything."""
    seen = {
        "uid": os.getuid(),
        "home": os.environ["HOME"],
        "writing": {
            place: writing(Path(place)) for place in ("/", "/stack", "/step", "/home", "/var/tmp", "/tmp")
        },
        "code": {
            str(path.relative_to(STEP)): sha256(path.read_bytes()).hexdigest()
            for path in STEP.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        },
        "uncompiled": [str(path) for path in STEP.rglob("*.py") if not is_compiled(path)],
        "programs": sorted(path.name for path in (STACK / "bin").iterdir()),
        "packages": sorted(path.name for path in STACK.glob("lib/python3*/site-packages/*")),
        "headers": [str(path) for path in STACK.rglob("*.h")][:3],
        "times": sorted({int(path.lstat().st_mtime) for top in (STEP, STACK) for path in top.rglob("*")}),
        "modules": [name for folder in folders for name in imported(folder)],
    }
    seen["installed_at_import"] = sorted(path.name for path in Path("/tmp").iterdir())
    print(json.dumps(seen))


def writing(folder: Path) -> str:
    """Return "works" or the name of the error."""
    try:
        (folder / "probe").touch()
        (folder / "probe").unlink()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "works"


def is_compiled(source: Path) -> bool:
    """Tell whether the bytecode of a file is there."""
    return Path(importlib.util.cache_from_source(str(source))).is_file()


def imported(folder: str) -> list[str]:
    """Import every module of a folder and return their names; what a step imports late, too."""
    package = importlib.import_module(f"penstock.components.{folder}")
    names = [package.__name__]
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
        if found.name.rpartition(".")[2] not in NOT_RUN_HERE:
            module = importlib.import_module(found.name)
            getattr(module, "warm_up", lambda: None)()
            names.append(found.name)
    return names


if __name__ == "__main__":
    import importlib.util

    main(sys.argv[1:])

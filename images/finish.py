"""Makes a folder ready for a layer: leaves out what only builders need, compiles, fixes all times.

Runs inside the image build with the standard library only: `python finish.py FOLDER [--drop "GLOB GLOB"]`.
The same folder gives the same bytes: bytecode is checked by nothing but the lock (unchecked-hash, PEP 552),
and is compiled by a fixed number of processes, each with its fixed share in a fixed order, because what
else a process holds decides how `marshal` writes references.
"""

import argparse
import os
import py_compile
import shutil
import struct
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

EPOCH = 315532800  # 1980-01-01, the first time that a zip file can hold
SHARES = 8  # the same on every machine
# Headers, tests and build files; within site-packages.
FOLDERS = {"tests", "include", "__pycache__"}
SUFFIXES = {
    ".h",
    ".hpp",
    ".hh",
    ".cuh",
    ".inc",
    ".a",
    ".lib",
    ".pxd",
    ".pyx",
    ".pxi",
    ".pyi",
    ".proto",
    ".c",
    ".cc",
    ".cpp",
}
LEAST_SAVING = 64 * 1024


def main() -> None:
    """Do all of it, and say how much it left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drop", default="", help="globs within site-packages, separated by spaces")
    arguments = parser.parse_args()
    before = size_of(arguments.folder)
    for packages in sorted(arguments.folder.glob("lib/python3*/site-packages")):
        leave_out(packages, arguments.drop.split())
        for library in sorted(packages.rglob("*.so*")):
            if library.is_file() and not library.is_symlink():
                drop_symbols(library)
    left = size_of(arguments.folder)
    compile_all(arguments.folder)
    fix_times(arguments.folder)
    after = size_of(arguments.folder)
    print(f"{before / 1e6:.0f} MB, left out {(before - left) / 1e6:.0f}, bytecode {(after - left) / 1e6:.0f}")


def leave_out(packages: Path, globs: list[str]) -> None:
    """Delete headers, tests and what `globs` name."""
    kept = {path for pattern in globs if pattern.startswith("!") for path in packages.glob(pattern[1:])}
    for pattern in globs:
        found = [] if pattern.startswith("!") else list(packages.glob(pattern))
        if not found and not pattern.startswith("!"):
            sys.exit(f"images.yaml: drop {pattern!r} matches nothing in the stack: take it out")
        for path in found:
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for folder, folders, files in os.walk(packages):
        for name in sorted(folders):
            if name in FOLDERS:
                shutil.rmtree(Path(folder, name))
        folders[:] = [name for name in folders if name not in FOLDERS]
        for name in files:
            if Path(name).suffix in SUFFIXES:
                Path(folder, name).unlink()


def drop_symbols(library: Path) -> None:
    """Cut off what follows the last loaded segment of an ELF file: symbol tables for linkers and debuggers.

    The dynamic symbols, which loading needs, lie in a loaded segment. (What `sstrip` does; binutils would
    have to be installed for `strip`.)
    """
    with library.open("r+b") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
            return
        (headers,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        end = max(64, headers + size * count)
        for number in range(count):
            file.seek(headers + size * number)
            offset, _, _, length = struct.unpack_from("<QQQQ", file.read(size), 8)
            end = max(end, offset + length)
        if library.stat().st_size - end < LEAST_SAVING:
            return
        file.truncate(end)
        file.seek(40)
        file.write(struct.pack("<Q", 0))  # no section headers …
        file.seek(58)
        file.write(struct.pack("<HHH", 0, 0, 0))  # … of no size, none of them, none with names


def compile_all(folder: Path) -> None:
    """Compile every .py file; the path in a traceback is the one in the image."""
    sources = sorted(path for path in folder.rglob("*.py") if path.is_file())
    shares = [sources[number::SHARES] for number in range(SHARES)] if len(sources) > 200 else [sources]
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as pool:
        list(pool.map(compile_share, shares, [folder.parent] * len(shares)))


def compile_share(sources: list[Path], out: Path) -> None:
    """Compile files one after another; one that is no valid Python (a template) is left alone."""
    for source in sources:
        try:
            py_compile.compile(
                str(source),
                dfile=f"/{source.relative_to(out)}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, SyntaxError, ValueError):
            continue


def fix_times(folder: Path) -> None:
    """Give every file and folder the same time, and rights that do not depend on who checked it out."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def size_of(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main()

"""Finds what can be removed from the state folder, and what has to stay because something needs it."""

import os
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from penstock.local.cache import read_entry
from penstock.local.envs import current_environments
from penstock.local.runs import is_alive, run_folders
from penstock.project import Project


@dataclass
class Plan:
    """What goes, and what stays with the reason."""

    remove: list[Path] = field(default_factory=list)
    keep: dict[Path, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Size of all that goes; hard-linked files count once."""
        seen: set[tuple[int, int]] = set()
        return sum(_size(path, seen) for path in self.remove)


def tidy_plan(
    project: Project,
    runs: bool = False,
    cache: bool = False,
    envs: bool = False,
    registry: bool = False,
    keep: int = 0,
) -> Plan:
    """Return what can be removed.

    Args:
        project: The project whose state folder is meant.
        runs: Remove run folders.
        cache: Remove the cache, and with it what only it needs: published apps and checkpoints.
        envs: Remove environments that no present lock stands for.
        registry: Remove the local registry, with all registered models.
        keep: Number of newest runs that stay.
    """
    plan = Plan()
    alive = [folder for folder in run_folders(project) if is_alive(folder)]
    if cache:
        if alive:
            plan.keep[project.state / "cache"] = f"the run {alive[0].name} is running"
        else:
            plan.remove += _there(project.state / name for name in ("cache", "apps", "checkpoints", "python"))
    if runs:
        gone = project.state / "cache" in plan.remove
        needed = set() if gone else _runs_in_cache(project)
        registered = "" if registry else _registered_uris(project)
        for number, folder in enumerate(run_folders(project)):
            if folder in alive:
                plan.keep[folder] = "it is running"
            elif number < keep:
                plan.keep[folder] = f"it is one of the {keep} newest"
            elif str(folder) in registered:
                plan.keep[folder] = "a registered model lies in it (--registry removes both)"
            elif folder.name in needed:
                plan.keep[folder] = "the cache reuses its outputs (--cache removes both)"
            else:
                plan.remove.append(folder)
    if envs:
        current = current_environments(project)
        for path in sorted((project.state / "envs").glob("*")):
            if path.is_dir() and path not in current:
                plan.remove += [
                    path,
                    *_there([path.with_name(f"{path.name}.log"), path.with_name(f"{path.name}.lock")]),
                ]
    if registry and not alive:
        plan.remove += sorted([*project.state.glob("registry*"), *project.state.glob("mlflow-artifacts")])
    elif registry:
        plan.keep[project.state / "registry.db"] = f"the run {alive[0].name} is running"
    return plan


def carry_out(plan: Plan, project: Project) -> None:
    """Remove what the plan says, and links that then lead nowhere."""
    for path in plan.remove:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    latest = project.runs / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink()


def _runs_in_cache(project: Project) -> set[str]:
    entries = [read_entry(path) for path in (project.state / "cache").glob("*.json")]
    return {
        Path(file).relative_to(project.runs).parts[0]
        for entry in entries
        if entry is not None and entry.is_whole()
        for file in entry.files
        if Path(file).is_relative_to(project.runs)
    }


def _registered_uris(project: Project) -> str:
    """Return all places that the local registry points at, as one text."""
    path = project.state / "registry.db"
    if not path.is_file():
        return ""
    found = []
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for table, column in (
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
            ("model_version_tags", "value"),
        ):
            try:
                found += [str(row[0]) for row in database.execute(f"SELECT {column} FROM {table}")]
            except sqlite3.Error:
                continue
    finally:
        database.close()
    return "\n".join(found)


def _there(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    files = (
        [path]
        if path.is_file()
        else [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    )
    total = 0
    for file in files:
        try:
            status = file.lstat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_size
    return total

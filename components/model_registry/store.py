"""What Penstock asks of MLflow: registered versions, aliases, runs. Two modules answer it, behind `open_store`."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    model: str
    number: int
    source: str  # URI of the model folder
    run_id: str  # MLflow run
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()
    created_ms: int = 0


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow holds it."""

    id: str
    name: str
    status: str  # RUNNING FINISHED FAILED KILLED
    artifact_uri: str
    started_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """An open MLflow store. Every method raises StepError when the store cannot do it."""

    uri: str

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes of this machine from registering and promoting; nothing for a server."""

    def transaction(self) -> AbstractContextManager[None]:
        """Write what happens inside at once, where the store can; otherwise one by one."""

    def versions(self, model: str, tags: Mapping[str, str] = {}) -> list[Version]:
        """Return the versions that carry all `tags`, newest first; none when there is no such model."""

    def version_of(self, model: str, alias: str) -> Version | None:
        """Return the version that an alias points at."""

    def create_version(
        self, model: str, source: str, run_id: str, description: str, tags: Mapping[str, str]
    ) -> Version:
        """Register a version, and the model with its first one."""

    def delete_version(self, model: str, number: int) -> None:
        """Take a version back."""

    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a version, in one move."""

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away, if it is there."""

    def runs(
        self, experiment: str, tags: Mapping[str, str], most: int = 1, but_not: Mapping[str, str] = {}
    ) -> list[StoredRun]:
        """Return the runs that carry all of `tags` and none of `but_not`, last started first."""

    def start_run(
        self, experiment: str, name: str, started_ms: int, tags: Mapping[str, str], parent: str = ""
    ) -> StoredRun:
        """Begin a run, and the experiment with its first one."""

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, str] = {},
        metrics: Mapping[str, float] = {},
        tags: Mapping[str, str] = {},
        at_ms: int = 0,
    ) -> None:
        """Write parameters, metrics and tags of a run; a parameter that is there already stays as it is."""

    def end_run(self, run_id: str, status: str, ended_ms: int) -> None:
        """Say how a run ended: FINISHED, FAILED or KILLED."""

    def put_folders(self, run: StoredRun, folders: Mapping[str, Path]) -> dict[str, str]:
        """Copy folders into a run's artifacts under these names and return their URIs."""

    def fetch_folder(self, uri: str, target: Path) -> None:
        """Copy a folder of artifacts to `target`, which is not there yet."""


def carries(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether all wanted tags are there."""
    return all(found.get(key) == value for key, value in wanted.items())


def newest_first(versions: Sequence[Version]) -> list[Version]:
    """Return versions by number, the highest first."""
    return sorted(versions, key=lambda version: -version.number)

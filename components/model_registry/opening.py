"""Opens the MLflow store of a run, with a clear sentence when it cannot be opened."""

import contextlib
import os
from pathlib import Path

from penstock.components.model_registry.locks import file_lock
from penstock.components.model_registry.store import Store
from penstock.components.step_io.errors import StepError

VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
HEADER = b"SQLite format 3\0"  # of the file format


def open_store(registry_uri: str) -> Store:
    """Return the store at a URI; a local one is made if it is not there.

    Args:
        registry_uri: sqlite:///<path>, http(s)://<server>, or any other URI that MLflow knows; empty
            takes MLFLOW_TRACKING_URI.

    Raises:
        StepError: No URI is given, or the store cannot be reached, read or made.
    """
    uri = registry_uri or os.environ.get(VARIABLE, "")
    if not uri:
        raise StepError(
            "no model registry is given: set the parameter registry_uri or the environment variable "
            f"{VARIABLE} to an MLflow URI, for instance sqlite:///registry.db or http://mlflow:5000"
        )
    if not uri.startswith(SQLITE) or ":memory:" in uri or "?" in uri:
        return Store(uri)
    path = Path(uri.removeprefix(SQLITE)).absolute()
    _check(path)
    with _lock(path):  # MLflow may create or migrate tables: one process at a time
        return Store(uri, path)


def _check(path: Path) -> None:
    """Refuse a file that is no database; MLflow would tell of it in a page of SQL."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        if file.read(len(HEADER)) != HEADER:
            raise StepError(
                f"{path} is no SQLite database, or a damaged one: correct registry_uri or restore the file"
            )


def _lock(path: Path) -> contextlib.AbstractContextManager[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock")
        lock.touch()
    except OSError as error:
        raise StepError(
            f"the folder of the MLflow database {path} cannot be written ({error.strerror}): "
            "correct registry_uri or the folder's permissions"
        ) from error
    return file_lock(lock)


def import_client() -> None:
    """Import MLflow's client ahead of its use, while another step works."""
    import mlflow.tracking  # noqa: F401

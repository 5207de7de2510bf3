"""Opens the MLflow store of a run, with a clear sentence when it cannot be opened."""

import contextlib
import os
from pathlib import Path

from penstock.components.model_registry import sqlite_store
from penstock.components.model_registry.locks import file_lock
from penstock.components.model_registry.store import Store
from penstock.components.step_io.errors import StepError

VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"


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
        from penstock.components.model_registry.mlflow_store import MlflowStore

        return MlflowStore(uri)
    path = Path(uri.removeprefix(SQLITE)).absolute()
    found = _prepared(path)
    if sqlite_store.is_current(found):
        return sqlite_store.SqliteStore(uri, path)
    from penstock.components.model_registry.mlflow_store import MlflowStore

    with _lock(path):  # MLflow may create or migrate tables: one process at a time
        return MlflowStore(uri, path)


def _prepared(path: Path) -> str:
    """Make the database if there is none and return its revision."""
    if path.is_file() and (found := sqlite_store.revision(path)):
        return found
    with _lock(path):
        if not path.is_file() or not sqlite_store.revision(path):
            sqlite_store.create_database(path)
    return sqlite_store.revision(path)


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

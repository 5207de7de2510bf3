"""Fixtures that tests of several steps share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# As steps set it before they import TensorFlow: with oneDNN the same training gives other last digits, and
# a test that imports TensorFlow by itself would turn it on for all that come after.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@pytest.fixture(scope="session")
def new_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database as it is when new: MLflow takes a second or two to make one."""
    from penstock.components.model_registry.opening import open_store

    path = tmp_path_factory.mktemp("new-registry") / "registry.db"
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def registry_in_place(new_registry: Path, tmp_path: Path) -> None:
    """Put a new MLflow database at tmp_path / registry.db."""
    shutil.copy(new_registry, tmp_path / "registry.db")


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Serve BigQuery from this process, and lead its clients there; what passes is tried again at once."""
    from penstock.components.source_files import bigquery as calls
    from tests.components.source_files.bigquery_server import BigQuery

    server = BigQuery()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.001)
    yield server
    server.close()

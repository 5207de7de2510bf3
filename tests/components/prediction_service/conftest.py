"""Models trained small by the steps' own code, and a running service that answers for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.prediction_service.running import Running
from tests.components.tabular_model.tables import (
    MIXED_TYPES,
    SMALL,
    SPECS,
    mixed_rows,
    write_code,
    write_schema,
    write_shards,
)

TASKS = ("binary", "multiclass", "regression")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model folder for each task; `amount` is required."""
    from penstock.components.tabular_model.quiet import import_tensorflow

    import_tensorflow()
    from penstock.components.tabular_model.job import Job
    from penstock.components.train_model.result import train_and_write

    root = tmp_path_factory.mktemp("models")
    for task in TASKS:
        data = root / "data" / task
        schema = write_schema(data / "schema", MIXED_TYPES) / "schema.pbtxt"
        schema.write_text(schema.read_text().replace('"amount"', '"amount" presence { min_fraction: 1.0 }'))
        job = Job.read(
            write_shards(data / "train", mixed_rows(200, 1, task)),
            write_shards(data / "validation", mixed_rows(100, 2, task)),
            data / "schema",
            write_code(data / "code"),
            SPECS[task],
            {},
            "",
            0,
            {"model_settings": SMALL},
        )
        train_and_write(job, "", root / task, data / "metrics", data / "report")
    return root


@pytest.fixture(scope="session")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with the binary model; other models may be loaded, if the test puts it back."""
    folder = tmp_path_factory.mktemp("service")
    running = Running(
        folder,
        models / "binary",
        log_uri=str(folder / "logs"),
        model_control="true",
        max_rows="50",
        max_body_bytes="50000",
    )
    with running:
        yield running

"""Columns whose names are no Python identifiers, with models as train_model exports them."""

import numpy as np
import pytest

from penstock.components.predict_batch.table import output_fields
from penstock.components.serving_model.folder import ModelFolder
from tests.components.predict_batch.batches import predict, write_dataset
from tests.components.tabular_model.tables import SPECS, make_job, mixed_rows

NAMES = {"amount": "trip miles", "count": "a-b", "area": "größe", "member": "1st?", "color": "naïve 色"}
KINDS = {"trip miles": "FLOAT", "a-b": "INT", "größe": "CATEGORY", "1st?": "BOOL", "naïve 色": "BYTES"}


def odd_rows(rows, seed, task):
    """Return rows of all kinds of columns under odd names."""
    return {NAMES.get(name, name): values for name, values in mixed_rows(rows, seed, task).items()}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_odd_column_names_reach_the_model(tmp_path, task):
    from penstock.components.train_model.result import train_and_write

    train, validation = odd_rows(200, 1, task), odd_rows(100, 2, task)
    job = make_job(tmp_path / "job", train, validation, KINDS, SPECS[task])
    train_and_write(job, "", tmp_path / "model", tmp_path / "metrics", tmp_path / "report")
    data = write_dataset(tmp_path / "d", {**odd_rows(50, 3, task), "Kunden-Nr.": np.arange(50)}, 2)
    results, rows = predict(tmp_path / "t", tmp_path / "model", data, key=["Kunden-Nr."])
    assert (results["verdict"], results["rows"]) == ("pass", 50)
    made = [field.name for field in output_fields(ModelFolder.read(tmp_path / "model"))]
    assert list(rows) == ["Kunden-Nr.", *made, "unscored"]
    assert len({str(value) for value in rows[made[-1]]}) > 1

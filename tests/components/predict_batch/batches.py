"""Small datasets and models for the tests of predict_batch; the models are formulas, so that results are known."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.predict_batch.step import run
from penstock.components.step_io.main import execute
from tests.components.evaluate_model.tiny_models import save_model
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"predictions": "system.Dataset", "metrics": "system.Metrics", "report": "system.HTML"}


def make_model(folder, task="regression", kinds=None, **more):
    """Write a model: 0.5 x + 1 for red; `kinds` gives type and required of inputs, as newer models say them."""
    more = {"numbers": {"x": 0.5}, "texts": {"color": {"red": 1.0}}, **more}
    save_model(folder, task, **more)
    described = json.loads((folder / "model.json").read_text())
    for found in described["inputs"]:
        found.update((kinds or {}).get(found["name"], {}))
    (folder / "model.json").write_text(json.dumps(described))
    return folder


def write_dataset(folder, columns, shards=1, schema=None):
    """Write columns as the shards of a Dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns, schema=schema)
    size = -(-table.num_rows // shards) or 1
    for i in range(shards):
        pq.write_table(table.slice(i * size, size), folder / f"part-{i:05d}.parquet")
    return folder


def step_input(folder: Path, model: Path, dataset: Path, **parameters):
    """Return the executor input of a task in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return executor_input(folder, parameters, {"dataset": dataset, "model": model}, OUTPUTS)


def predict(folder: Path, model: Path, dataset: Path, **parameters):
    """Run the step in this process; return its output parameters, and all predictions as columns."""
    assert execute(run, "predict_batch", step_input(folder, model, dataset, **parameters)) == 0
    values, artifacts = read_outputs(folder)
    return values, read_predictions(artifacts["predictions"]).to_pydict()


def failure(capsys, folder: Path, model: Path, dataset: Path, **parameters):
    """Run the step, which must end with a sentence, and return it."""
    assert execute(run, "predict_batch", step_input(folder, model, dataset, **parameters)) == 2
    assert not (folder / "predictions").exists()
    return json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def read_predictions(folder: Path) -> pa.Table:
    """Return all shards as one table, in their order."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))])

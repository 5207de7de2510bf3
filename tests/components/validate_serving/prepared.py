"""A small model folder with test data, offline predictions of it, and the step's arguments."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from tests.components.evaluate_model.tiny_models import save_model
from tests.executor_input import executor_input

OUTPUTS = {"evidence": "system.Artifact", "report": "system.HTML"}
QUICK = {"rate": 20, "load_s": 2, "p99_ms": 1000, "start_s": 90, "cpu": 4}
ROWS = 30


def prepare(folder: Path, task: str) -> Path:
    """Write them; `task` is binary, multiclass or regression."""
    classes = {"binary": ["no", "yes, ñ"], "multiclass": ["a", "b b", "c"], "regression": []}[task]
    positive = "yes, ñ" if task == "binary" else ""
    (folder / "model").mkdir()
    save_model(
        folder / "model",
        task,
        classes=classes,
        positive=positive,
        numbers={"trip_miles": 0.3, "hour": -0.1},
        texts={"company": {"ñ & co": 2.0}},
    )
    miles = np.linspace(0, 20, ROWS)
    miles[4] = np.nan
    company = np.array(["ñ & co" if i % 3 else "" for i in range(ROWS)], dtype=object)
    hour = np.arange(ROWS) % 24
    columns = {"trip_miles": miles, "hour": hour.astype(float), "company": company}
    found = Predictor(ModelFolder.read(folder / "model")).predict(columns)
    for name in ("data", "predictions"):
        (folder / name).mkdir()
    data = {
        "trip_miles": pa.array(miles),
        "hour": pa.array(hour, pa.int64()),
        "company": pa.array([text or None for text in company], pa.string()),
    }
    pq.write_table(pa.table(data), folder / "data" / "part-00000.parquet")
    offline = {f"challenger_{name}": values for name, values in found.items() if name != "probabilities"}
    for at, name in enumerate(classes if task == "multiclass" else []):
        offline[f"challenger_probability_{name}"] = found["probabilities"][:, at]
    pq.write_table(
        pa.table({name: pa.array(values.tolist()) for name, values in offline.items()}),
        folder / "predictions" / "part-00000.parquet",
    )
    return folder


def arguments(folder: Path, out: Path, trial: dict[str, Any] | None = None, **serving: Any) -> str:
    """Return the executor input of the step; with `trial` the server is a pod."""
    inputs = {
        "model": folder / "model",
        "test_data": folder / "data",
        "predictions": folder / "predictions",
    }
    parameters = {"model_name": "tips", "serving": {**QUICK, **serving}, "trial": trial or {}}
    return executor_input(out, parameters, inputs, OUTPUTS)

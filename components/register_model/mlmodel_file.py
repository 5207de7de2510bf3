"""The file MLmodel, by which MLflow's tools know a folder as a model: its flavor and its signature.

Format: mlflow.models.Model of MLflow 3. Written by hand, so that the step needs neither TensorFlow nor numpy.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MLMODEL = "MLmodel"
MLFLOW_VERSION = "3.17.2"  # whose format this is

# dtype and shape of each output; -1 is the number of rows.
OUTPUTS = {
    "score": ("float32", [-1]),
    "label": ("str", [-1]),
    "probabilities": ("float32", [-1, -1]),
    "prediction": ("float32", [-1]),
}


def write_mlmodel(folder: Path, model: Mapping[str, Any], run_id: str, key: str, created_ms: int) -> None:
    """Write MLmodel into a model folder.

    Args:
        folder: Holds saved_model/ and model.json.
        model: The content of model.json.
        run_id: MLflow run that the model is registered from.
        key: The model's content key; its first digits are the model's UUID.
        created_ms: Milliseconds since the epoch.
    """
    import yaml

    inputs = [_tensor(put["name"], _dtype(put["dtype"]), [-1, 1]) for put in model["inputs"]]
    outputs = [_tensor(name, *OUTPUTS[name]) for name in model["outputs"] if name in OUTPUTS]
    created = datetime.datetime.fromtimestamp(created_ms / 1000, datetime.UTC)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != MLMODEL)
    content = {
        "artifact_path": "model",
        # tf2-module is what mlflow.tensorflow loads by tf.saved_model.load. No python_function flavor: it calls
        # a Keras object, and this is a SavedModel with a signature.
        "flavors": {
            "tensorflow": {"code": None, "model_type": "tf2-module", "saved_model_dir": "saved_model"}
        },
        "mlflow_version": MLFLOW_VERSION,
        "model_size_bytes": size,
        "model_uuid": key[:32],
        "run_id": run_id,
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None},
        "utc_time_created": f"{created:%Y-%m-%d %H:%M:%S.%f}",
    }
    (folder / MLMODEL).write_text(yaml.safe_dump(content, default_flow_style=False, allow_unicode=True))


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}


def _dtype(dtype: str) -> str:
    return "str" if dtype == "string" else dtype

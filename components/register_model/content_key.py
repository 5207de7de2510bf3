"""What makes two models the same: their inputs and their weights."""

import hashlib
import json
from pathlib import Path

from penstock.components.step_io.errors import StepError

MODEL_JSON = "model.json"
WEIGHTS = "saved_model/variables"


def content_key(model: Path, fingerprint: str, app_version: str, code_version: str) -> str:
    """Return a hash that is equal for a model trained again to the same weights from the same inputs.

    The graph (saved_model.pb) is left out: TensorFlow numbers functions in it by what else a process did.

    Raises:
        StepError: The folder is no model.
    """
    description = model / MODEL_JSON
    weights = sorted(path for path in (model / WEIGHTS).rglob("*") if path.is_file())
    if not description.is_file() or not weights:
        raise StepError(f"{model} is no model: it holds no {MODEL_JSON} or nothing in {WEIGHTS}")
    digest = hashlib.sha256()
    for path in [description, *weights]:
        digest.update(f"\0{path.relative_to(model).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    made_of = [fingerprint, app_version, code_version, digest.hexdigest()]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

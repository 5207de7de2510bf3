"""An example request for a model: the curl line that people try first."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.serving_model.folder import Input, ModelFolder

LONGEST_LINE = 2_000  # characters of a body in the line itself; a longer one goes to a file
MADE_UP = {"int": 1, "float": 1.0, "bool": True, "string": "a"}


def example_body(folder: Path) -> bytes:
    """Return the body of a prediction request for one row: a stored example, or a row made of the inputs.

    Raises:
        StepError: The model folder cannot be read.
    """
    model = ModelFolder.read(folder)
    row = model.examples[0] if model.examples else _made_up(model.inputs)
    return json.dumps({"instances": [row]}, ensure_ascii=False).encode()


def curl_line(url: str, model: str, body: bytes, file: Path) -> str:
    """Return a line for a shell; a long body is written to `file`."""
    text = body.decode()
    if len(text) > LONGEST_LINE:
        file.write_bytes(body + b"\n")
        text = f"@{file}"
    quoted = shlex.quote(text) if "'" in text or text.startswith("@") else f"'{text}'"
    return f"curl -s {predict_url(url, model)} -H 'content-type: application/json' -d {quoted}"


def predict_url(url: str, model: str) -> str:
    """Return where predictions are asked for."""
    return f"{url}/v1/models/{model}:predict"


def _made_up(inputs: tuple[Input, ...]) -> Mapping[str, Any]:
    return {one.name: MADE_UP[one.type or ("string" if one.dtype == "string" else "float")] for one in inputs}

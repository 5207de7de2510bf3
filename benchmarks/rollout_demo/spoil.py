"""Makes a copy of a model that is worse, in a way that happens: a broken join fills one input with one value.

    python -m benchmarks.rollout_demo.spoil MODEL_FOLDER INPUT VALUE INTO

The weights stay as they are; in front of them the input is replaced by the value. Needs the tensorflow stack.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

SIGNATURE = "serving_default"
DTYPES = {"string": "string", "float64": "float64"}


def spoil(folder: Path, name: str, value: str, into: Path) -> None:
    """Write the copy.

    Args:
        folder: A model folder of train_model.
        name: The input.
        value: What it always is in the copy.
        into: The new folder.
    """
    import tensorflow as tf

    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    inputs = {one["name"]: one["dtype"] for one in described["inputs"]}
    if name not in inputs:
        sys.exit(f"{folder} has no input {name!r} (there are: {', '.join(inputs)})")
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    constant = value if inputs[name] == "string" else float(value)

    class Spoilt(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded  # which holds the weights

    module = Spoilt()
    specs = {key: tf.TensorSpec((None, 1), DTYPES[dtype], key) for key, dtype in inputs.items()}

    def serve(raw: dict[str, Any]) -> dict[str, Any]:
        filled = tf.fill(tf.shape(raw[name]), tf.constant(constant, DTYPES[inputs[name]]))
        return module.model.signatures[SIGNATURE](**{**raw, name: filled})

    graph = tf.function(serve, autograph=False, input_signature=[specs])
    shutil.rmtree(into, ignore_errors=True)
    tf.saved_model.save(module, str(into / "saved_model"), signatures={SIGNATURE: graph})
    (into / "model.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    spoil(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))

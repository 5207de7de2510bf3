"""A model that fails for one value: 2 x, but not for x = 13."""

import json
from pathlib import Path


def save_fragile_model(folder: Path) -> Path:
    """Write the model folder."""
    import tensorflow as tf

    module = tf.Module()

    def serve(raw):
        x = raw["x"][:, 0]
        with tf.control_dependencies([tf.debugging.assert_none_equal(x, tf.constant(13.0, tf.float64))]):
            return {"prediction": 2 * x}

    specs = {"x": tf.TensorSpec((None, 1), tf.float64, "x")}
    module.serve = tf.function(serve, input_signature=[specs])
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    described = {"task": "regression", "label": "y", "classes": [], "positive": ""}
    inputs = [{"name": "x", "dtype": "float64"}]
    (folder / "model.json").write_text(json.dumps({**described, "inputs": inputs}))
    return folder

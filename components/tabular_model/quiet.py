"""TensorFlow, imported without its noise. Import it from here before anything else that needs it."""

import os
from typing import Any


def import_tensorflow() -> Any:
    """Return the module tensorflow with its start-up messages, and those of its C++ side, turned off.

    The results of an operation do not depend on timing afterwards: op determinism is on.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    return tf

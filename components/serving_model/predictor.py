"""The SavedModel as a function of columns. TensorFlow is imported when a model is loaded."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.components.serving_model.folder import ModelFolder
from penstock.components.step_io.errors import StepError

Packed = tuple[np.ndarray, np.ndarray]


class Predictor:
    """A loaded model. Safe to call from several threads."""

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        """Load the SavedModel.

        Args:
            folder: The model.
            threads: Threads of TensorFlow for one operation and between operations; it counts for the
                whole process, from the first model loaded. None leaves it to TensorFlow.

        Raises:
            StepError: The SavedModel cannot be loaded, or has other inputs than model.json.
        """
        self.folder = folder
        tf = self._tf = import_tensorflow(threads)
        try:
            self._model = tf.saved_model.load(str(folder.saved_model))
            signature = self._model.signatures["serving_default"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise StepError(
                f"the SavedModel in {folder.saved_model} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        taken, given = self._taken(), {found.name for found in folder.inputs}
        if taken != given:
            raise StepError(
                f"{folder.path}: the SavedModel takes {sorted(taken - given)} which model.json does not name, "
                f"and model.json names {sorted(given - taken)} which it does not take"
            )
        self._numbers = [found.name for found in folder.inputs if found.dtype == "float64"]
        self._texts = [found.name for found in folder.inputs if found.dtype == "string"]
        self._words = {text.encode(): text for text in folder.classes}
        self._call = self._packed(signature)

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs for columns of shape (n,), which `columns_of` gives; labels are str.

        The shapes are (n,): score, label, prediction; (n, classes): probabilities.
        """
        return self.predict_packed(*self.pack(columns))

    def pack(self, columns: Mapping[str, np.ndarray]) -> Packed:
        """Return columns as two blocks, numbers (n, …) and texts (n, …), which several requests can join."""
        n = len(next(iter(columns.values())))
        numbers, texts = np.empty((n, len(self._numbers))), np.empty((n, len(self._texts)), object)
        for at, name in enumerate(self._numbers):
            numbers[:, at] = columns[name]
        for at, name in enumerate(self._texts):
            texts[:, at] = columns[name]
        return numbers, texts

    def predict_packed(self, numbers: np.ndarray, texts: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `predict` returns, for blocks that `pack` made."""
        constant = self._tf.constant
        outputs = self._call(constant(numbers), constant(texts, self._tf.string))
        found = {name: tensor.numpy() for name, tensor in outputs.items()}
        if "label" in found:
            labels = found["label"].reshape(-1).tolist()
            found["label"] = np.array([self._words.get(text) or text.decode() for text in labels], object)
        return {
            name: values if name == "probabilities" else values.reshape(-1) for name, values in found.items()
        }

    def _taken(self) -> set[str]:
        """Return the names of the signature's inputs, from the file.

        The loaded function tells what they were called in Python, where "trip miles" is no name.
        """
        from tensorflow.core.protobuf import saved_model_pb2

        saved = saved_model_pb2.SavedModel.FromString(
            (self.folder.saved_model / "saved_model.pb").read_bytes()
        )
        return set(saved.meta_graphs[0].signature_def["serving_default"].inputs)

    def _packed(self, signature: Any) -> Any:
        """Return the signature with two arguments, all numbers and all texts: a tenth of the Python work."""
        tf = self._tf
        numbers, texts = list(self._numbers), list(self._texts)

        def call(number_block: Any, text_block: Any) -> Any:
            raw = {name: number_block[:, at : at + 1] for at, name in enumerate(numbers)}
            raw |= {name: text_block[:, at : at + 1] for at, name in enumerate(texts)}
            return signature(**raw)

        specs = [
            tf.TensorSpec((None, len(numbers)), tf.float64),
            tf.TensorSpec((None, len(texts)), tf.string),
        ]
        return tf.function(call, autograph=False, input_signature=specs).get_concrete_function()


def import_tensorflow(threads: int | None = None) -> Any:
    """Return the module tensorflow, quiet, on the CPU, and without scikit-learn, which Keras would import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    hide = "tensorflow" not in sys.modules and "sklearn" not in sys.modules
    if hide:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        import tensorflow as tf
    finally:
        if hide:
            del sys.modules["sklearn"]
    tf.get_logger().setLevel("ERROR")
    if threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # TensorFlow has begun to work in this process: what it began with stays
    return tf

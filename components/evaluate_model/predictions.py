"""Predictions of a SavedModel on the test split."""

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.evaluate_model.outcomes import Floats, Outcome, Scored
from penstock.components.evaluate_model.settings import Settings
from penstock.components.evaluate_model.split import Split
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 16_384


class ModelMisfit(Exception):
    """A model that cannot be scored on this data; the message goes on after "the challenger"."""


def score_both(
    challenger: Path, champion: Path, split: Split, outcome: Outcome, settings: Settings
) -> tuple[dict[str, Scored], str]:
    """Return the outputs of the challenger and, where it can be compared, of the champion, and a note.

    A champion that does not fit this data (a column is gone, the classes have changed) is no reason to stop:
    the note, else empty, says why there is nothing to compare with.

    Raises:
        StepError: The challenger cannot be scored.
    """
    try:
        models = {"challenger": score_model(challenger, split, outcome, settings.label)}
    except ModelMisfit as error:
        raise StepError(f"the challenger {error}") from error
    if not settings.champion_version:
        return models, ""
    try:
        models["champion"] = score_model(champion, split, outcome, settings.label)
    except ModelMisfit as error:
        note = f"champion {settings.champion_version} cannot be scored on this data: it {error}"
        log.warning("%s; nothing is compared", note)
        return models, note
    return models, ""


def score_model(folder: Path, split: Split, outcome: Outcome, label: str) -> Scored:
    """Load the model in `folder` and return its outputs for all rows.

    Raises:
        ModelMisfit: It cannot be read, predicts something else, needs columns that the data does not have,
            or predicts NaN.
    """
    described = read_model_json(folder)
    check_fit(described, split, outcome, label)
    inputs = [(entry["name"], entry["dtype"]) for entry in described["inputs"]]
    tf = import_tensorflow()
    try:
        model = tf.saved_model.load(str(folder / "saved_model"))
        signature = model.signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ModelMisfit(
            f"has a SavedModel that cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    outputs: dict[str, list[np.ndarray]] = {}
    for batch in split.batches([name for name, _ in inputs], ROWS_AT_ONCE):
        tensors = {name: input_tensor(batch.column(name), dtype) for name, dtype in inputs}
        for name, tensor in signature(**tensors).items():
            outputs.setdefault(name, []).append(tensor.numpy())
    return read_outputs({name: np.concatenate(parts) for name, parts in outputs.items()}, outcome)


def read_model_json(folder: Path) -> dict[str, Any]:
    """Return model.json.

    Raises:
        ModelMisfit: It is not there, is no JSON, or lacks a key that scoring needs.
    """
    try:
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        missing = [key for key in ("task", "label", "classes", "positive", "inputs") if key not in described]
    except (OSError, ValueError, TypeError) as error:
        raise ModelMisfit(f"has no readable model.json: {type(error).__name__}: {error}") from error
    if missing:
        raise ModelMisfit(f"has a model.json without {', '.join(missing)}")
    return described


def check_fit(described: Mapping[str, Any], split: Split, outcome: Outcome, label: str) -> None:
    """Check that a model predicts the label of this data from columns that it has.

    Raises:
        ModelMisfit: It does not; the message names each difference.
    """
    faults = []
    if described["task"] != outcome.task:
        faults.append(f"predicts a {described['task']} label, this data has a {outcome.task} one")
    elif described["label"] != label:
        faults.append(f"predicts {described['label']!r}, this data's label is {label!r}")
    elif tuple(described["classes"]) != outcome.classes:
        faults.append(
            f"knows the classes {_list(described['classes'])}, this data has {_list(outcome.classes)}"
        )
    elif outcome.task == "binary" and described["positive"] != outcome.classes[outcome.positive]:
        faults.append(
            f"scores the class {described['positive']!r}, here {outcome.classes[outcome.positive]!r} is positive"
        )
    absent = [entry["name"] for entry in described["inputs"] if entry["name"] not in split.types]
    if absent:
        faults.append(f"needs {_list(absent)}, which the test data does not have")
    texts = [
        entry["name"]
        for entry in described["inputs"]
        if entry["dtype"] != "string" and pa.types.is_string(split.types.get(entry["name"], pa.null()))
    ]
    if texts:
        faults.append(f"takes {_list(texts)} as numbers, the test data holds text")
    if faults:
        raise ModelMisfit("; it ".join(faults))


def input_tensor(column: pa.Array, dtype: str) -> Any:
    """Return a column as the (n, 1) tensor that a model takes: "" or NaN where it is missing."""
    tf = import_tensorflow()
    if dtype == "string":
        coded = pc.fill_null(pc.cast(column, pa.string()), "").dictionary_encode()
        words = tf.constant(coded.dictionary.to_pylist() or [""], tf.string)
        return tf.gather(words, coded.indices.to_numpy(zero_copy_only=False))[:, None]
    numbers = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return tf.constant(numbers[:, None])


def read_outputs(outputs: Mapping[str, np.ndarray], outcome: Outcome) -> Scored:
    """Return what a signature gave back.

    Raises:
        ModelMisfit: An output is absent, has the wrong shape, or holds NaN or no probability.
    """
    task, rows, k = outcome.task, outcome.rows, len(outcome.classes)
    name, shape = {
        "binary": ("score", (rows,)),
        "multiclass": ("probabilities", (rows, k)),
        "regression": ("prediction", (rows,)),
    }[task]
    absent = [o for o in (name, "label")[: 1 if task == "regression" else 2] if o not in outputs]
    if absent:
        raise ModelMisfit(f"has no output {_list(absent)} (it has {_list(sorted(outputs))})")
    scores = np.asarray(outputs[name], np.float64)
    if scores.size != np.prod(shape):
        raise ModelMisfit(f"gives {name} the shape {scores.shape}, expected {shape}")
    scores = np.ascontiguousarray(scores.reshape(shape))
    bad = ~np.isfinite(scores) if task == "regression" else ~((scores >= -1e-6) & (scores <= 1 + 1e-6))
    wrong = int(bad.any(axis=1).sum() if bad.ndim > 1 else bad.sum())
    if wrong:
        kind = "NaN or infinity" if task == "regression" else "no probability (NaN, or outside 0 to 1)"
        raise ModelMisfit(f"predicts {kind} for {wrong} of {rows} test rows")
    if task == "regression":
        return Scored(scores, np.empty(0, np.int32))
    return Scored(np.clip(scores, 0.0, 1.0), _codes(outputs["label"], outcome.classes))


def import_tensorflow() -> Any:
    """Return the module tensorflow, quiet, and without scikit-learn.

    Keras imports scikit-learn for its wrappers when it can; a SavedModel needs none of it, and without it
    the import takes 1.8 s instead of 2.6 s.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    hide = "sklearn" not in sys.modules
    if hide:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        import tensorflow as tf
    finally:
        if hide:
            del sys.modules["sklearn"]
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    return tf


def _codes(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    texts = pa.array(labels.reshape(-1), pa.binary()).cast(pa.string())
    codes = pc.index_in(texts, value_set=pa.array(classes, pa.string()))
    if codes.null_count:
        raise ModelMisfit(
            f"predicts for {codes.null_count} test rows a label that is none of {_list(classes)}"
        )
    return codes.to_numpy(zero_copy_only=False).astype(np.int32)


def _list(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def prediction_columns(name: str, scored: Scored, outcome: Outcome) -> dict[str, pa.Array | Floats]:
    """Return a model's outputs as columns of the predictions dataset."""
    if outcome.task == "regression":
        return {f"{name}_prediction": scored.scores}
    labels = pa.DictionaryArray.from_arrays(scored.predicted, pa.array(outcome.classes, pa.string()))
    columns: dict[str, Any] = {}
    if outcome.task == "binary":
        columns[f"{name}_score"] = scored.scores
    columns[f"{name}_label"] = labels.cast(pa.string())
    if outcome.task == "multiclass":
        for code, text in enumerate(outcome.classes):
            columns[f"{name}_probability_{text}"] = scored.scores[:, code]
    return columns

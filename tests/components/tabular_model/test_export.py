import json

import numpy as np
import pytest

from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.export import save_model, write_model_json
from penstock.components.tabular_model.training import predict, train
from tests.components.tabular_model.tables import SMALL, make_job, mixed_job

FEATURES = """
import tensorflow as tf

def features(inputs):
    return {
        "per_item": tf.math.divide_no_nan(inputs["amount"], inputs["count"]),
        "shout": tf.strings.upper(inputs["color"]),
        "member": None,
    }
"""
EXTREMES = [1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan, 0.0, -0.0, 2.0**63, 1e15 + 0.5]
TEXTS = [
    b"",
    b"red",
    b"unseen",
    b"\xff\xfe",
    b"x" * 1_000_000,
    b"\n\t ",
    "größe".encode(),
    b"0:red",
    b"1e308",
    b"nan",
]


def exported(folder, job):
    examples = job.examples()
    trained = train(examples, job.settings, job.seed, job.own)
    save_model(examples, trained.network, folder / "model")
    return examples, trained.network, tf.saved_model.load(str(folder / "model")).signatures["serving_default"]


def serve(function, raw):
    return {n: v.numpy() for n, v in function(**{n: t[:, None] for n, t in raw.items()}).items()}


@pytest.mark.parametrize(
    ("task", "output"),
    [("binary", "score"), ("multiclass", "probabilities"), ("regression", "prediction")],
)
def test_served_raw_rows_equal_offline_predictions(tmp_path, task, output):
    job = mixed_job(tmp_path, task, features=FEATURES)
    examples, network, function = exported(tmp_path, job)
    offline = predict(network, examples, examples.validation.blocks())
    raw = next(examples.validation.shards.blocks()).inputs
    served = serve(function, raw)
    np.testing.assert_allclose(served[output], offline, rtol=1e-6, atol=1e-6)
    alone = [serve(function, {n: t[i : i + 1] for n, t in raw.items()})[output][0] for i in range(5)]
    np.testing.assert_allclose(alone, offline[:5], rtol=1e-5, atol=1e-6)
    if task == "binary":
        assert served["label"].tolist() == [b"yes" if score >= 0.5 else b"no" for score in offline]
    if task == "multiclass":
        assert served["label"].tolist() == [b"abc"[k : k + 1] for k in offline.argmax(axis=1)]
        np.testing.assert_allclose(offline.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_extreme_inputs_give_finite_outputs(tmp_path, task):
    _, _, function = exported(tmp_path, mixed_job(tmp_path, task, features=FEATURES))
    numbers = tf.constant(EXTREMES, tf.float64)
    raw = dict.fromkeys(("amount", "count", "area", "member"), numbers) | {"color": tf.constant(TEXTS)}
    served = serve(function, raw)
    values = served.get("score", served.get("probabilities", served.get("prediction")))
    assert np.isfinite(values).all()
    if task != "regression":
        assert ((values >= 0) & (values <= 1)).all()


def test_no_rows_give_no_outputs(tmp_path):
    _, _, function = exported(tmp_path, mixed_job(tmp_path))
    none = {name: tf.zeros([0], tf.float64) for name in ("amount", "count", "area", "member")}
    served = serve(function, none | {"color": tf.constant([], tf.string)})
    assert {name: value.shape for name, value in served.items()} == {"score": (0,), "label": (0,)}


def test_inputs_keep_names_that_are_no_identifiers(tmp_path):
    columns = {
        "trip miles": np.arange(60.0),
        "Größe": np.arange(60.0) % 7,
        "a/b": ["x", "y", "z"] * 20,
        "1st": np.arange(60.0),
        "input_2": np.arange(60.0) % 5,
        "y": ["no"] * 30 + ["yes"] * 30,
    }
    types = {"trip miles": "FLOAT", "Größe": "FLOAT", "a/b": "BYTES", "1st": "FLOAT", "input_2": "FLOAT"}
    job = make_job(tmp_path, columns, columns, types)
    examples, network, function = exported(tmp_path, job)
    raw = next(examples.train.shards.blocks()).inputs
    np.testing.assert_allclose(
        serve(function, raw)["score"], predict(network, examples, examples.train.blocks()), atol=1e-6
    )


def test_model_json_describes_the_model(tmp_path):
    job = mixed_job(tmp_path, seed=3, settings={**SMALL, "epochs": 1})
    examples = job.examples()
    write_model_json(tmp_path / "model.json", examples, job.settings, job.seed)
    found = json.loads((tmp_path / "model.json").read_text())
    assert sorted(found.pop("versions")) == ["keras", "python", "tensorflow"]
    assert found.pop("parameters")["epochs"] == 1
    assert found == {
        "format": 1,
        "task": "binary",
        "label": "y",
        "classes": ["no", "yes"],
        "positive": "yes",
        "inputs": [
            {"name": "amount", "dtype": "float64", "type": "float", "required": False},
            {"name": "count", "dtype": "float64", "type": "int", "required": False},
            {"name": "area", "dtype": "float64", "type": "int", "required": False},
            {"name": "member", "dtype": "float64", "type": "bool", "required": False},
            {"name": "color", "dtype": "string", "type": "string", "required": False},
        ],
        "outputs": ["score", "label"],
        "seed": 3,
        "train_rows": 200,
        "validation_rows": 100,
    }

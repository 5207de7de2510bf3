import numpy as np
import pyarrow as pa
import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model import metrics
from penstock.components.tabular_model.checkpoints import pack, unpack
from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.network import Network
from penstock.components.tabular_model.training import Diverged, losses, predict, train
from tests.components.tabular_model.tables import (
    BINARY,
    MIXED_TYPES,
    SMALL,
    SPECS,
    make_job,
    mixed_job,
    mixed_rows,
)

OVERFIT = {"epochs": 120, "patience": 120, "batch_size": 20, "learning_rate": 0.02, "min_count": 1}


def weights(trained):
    return [variable.numpy() for variable in trained.network.variables]


def run(job, **more):
    examples = job.examples()
    return examples, train(examples, job.settings, job.seed, job.own, **more)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_it_overfits_twenty_rows(tmp_path, task):
    rows = mixed_rows(20, 3, task)
    examples, trained = run(make_job(tmp_path, rows, rows, MIXED_TYPES, SPECS[task], OVERFIT))
    assert trained.best.validation_loss < 0.02
    if task != "regression":
        predicted = predict(trained.network, examples, examples.train.blocks())
        target = examples.train.memory.target.numpy()
        assert metrics.measure(examples.label, target, predicted, np.ones(20))["accuracy"] == 1.0


def test_a_gradient_step_lowers_the_loss_of_its_batch(tmp_path):
    job = mixed_job(tmp_path, settings={**SMALL, "learning_rate": 0.001})
    examples = job.examples()
    network = Network(examples.encoder, job.settings, examples.label, examples.start)
    rows = examples.train.memory
    optimizer = tf.keras.optimizers.SGD(0.01)

    def loss():
        return tf.reduce_mean(losses(examples.label, rows.target, network(rows.codes)))

    with tf.GradientTape() as tape:
        before = loss()
    variables = network.trainable_variables
    gradients = tape.gradient(before, variables)
    assert all(gradient is not None for gradient in gradients)
    optimizer.apply(gradients, variables)
    assert float(loss()) < float(before)


def test_the_first_output_is_the_share_of_positives(tmp_path):
    job = mixed_job(tmp_path, settings={**SMALL, "learning_rate": 1e-7, "epochs": 1})
    examples, trained = run(job)
    share = examples.train.memory.target.numpy().mean()
    predicted = predict(trained.network, examples, examples.train.blocks())
    np.testing.assert_allclose(predicted, share, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    settings = {**SMALL, "dropout": 0.2}
    first, second, other = (
        weights(run(mixed_job(tmp_path / str(i), settings=settings, seed=seed))[1])
        for i, seed in enumerate((7, 7, 8))
    )
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    assert not all(a.tobytes() == b.tobytes() for a, b in zip(first, other, strict=True))


class Interrupting:
    """Keeps each state and stops the training behind the n-th."""

    def __init__(self, stop_at):
        self.states, self.stop_at = [], stop_at

    def load(self):
        return unpack(self.states[-1]) if self.states else None

    def due(self):
        return True

    def save(self, state):
        self.states.append(pack(state))
        if len(self.states) == self.stop_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("most_rows", [10_000, 100])  # in memory, and streamed from three shards
def test_training_that_was_interrupted_ends_with_the_same_weights(tmp_path, monkeypatch, most_rows):
    monkeypatch.setattr("penstock.components.tabular_model.training.CHUNK_ROWS", 64)  # also inside an epoch
    settings = {**SMALL, "dropout": 0.2, "weight_decay": 0.01, "max_rows_in_memory": most_rows}
    jobs = [mixed_job(tmp_path / name, settings=settings, rows=300, shards=3) for name in ("a", "b", "c")]
    _, whole = run(jobs[0])
    checkpoints = Interrupting(6)
    with pytest.raises(KeyboardInterrupt):
        run(jobs[1], checkpoints=checkpoints)
    _, resumed = run(jobs[2], checkpoints=checkpoints)
    assert resumed.history == whole.history
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_streamed_rows_train_as_well_as_rows_in_memory(tmp_path):
    more = {"epochs": 10, "learning_rate": 0.02, "batch_size": 16}
    _, kept = run(mixed_job(tmp_path / "a", settings={**SMALL, **more}, rows=600))
    examples, streamed = run(
        mixed_job(tmp_path / "b", settings={**SMALL, **more, "max_rows_in_memory": 100}, rows=600, shards=3)
    )
    assert examples.train.memory is None
    assert streamed.best.validation_primary > 0.9
    assert abs(streamed.best.validation_primary - kept.best.validation_primary) < 0.02


def test_training_stops_early_and_keeps_the_best_epoch(tmp_path):
    settings = {**SMALL, "epochs": 60, "patience": 2, "learning_rate": 0.05}
    _, trained = run(mixed_job(tmp_path, settings=settings))
    history = [epoch.validation_loss for epoch in trained.history]
    assert len(history) == trained.best_epoch + 2 < 60
    assert trained.best.validation_loss == min(history)


def test_rows_of_weight_zero_do_not_count(tmp_path):
    rows = mixed_rows(200, 1)
    wrong = {name: rows[name] for name in rows} | {"y": ["no" if y == "yes" else "yes" for y in rows["y"]]}
    both = {n: [*_list(rows[n]), *_list(wrong[n])] for n in rows} | {"w": [1.0] * 200 + [0.0] * 200}
    valid = mixed_rows(100, 2) | {"w": [1.0] * 100}
    settings = {**SMALL, "epochs": 8}
    job = make_job(tmp_path, both, valid, MIXED_TYPES, BINARY, settings, weight="w")
    assert run(job)[1].best.validation_primary > 0.9


def _list(column):
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def test_without_validation_rows_all_epochs_are_trained(tmp_path):
    empty = {name: column[:0] for name, column in mixed_rows(10, 2).items()}
    empty["y"] = pa.array([], "string")
    _, trained = run(make_job(tmp_path, mixed_rows(200, 1), empty, MIXED_TYPES, settings=SMALL))
    assert (len(trained.history), trained.best_epoch) == (3, 3)


def test_loss_that_is_no_number_names_epoch_and_feature(tmp_path):
    rows = mixed_rows(200, 1, "regression")
    settings = {
        **SMALL,
        "learning_rate": 10.0,
        "hidden_units": [64, 64, 64, 64, 64],
        "epochs": 500,
        "patience": 500,
    }
    job = make_job(tmp_path, rows, rows, MIXED_TYPES, SPECS["regression"], settings)
    examples = job.examples()
    with pytest.raises(Diverged) as error:
        train(examples, job.settings, 0)
    assert "the loss became " in str(error.value)
    assert "the feature with the largest normalised magnitude is 'amount' (up to " in str(error.value)
    assert str(error.value).endswith("lower model.learning_rate (now 10) or fix the feature")


def test_label_that_is_the_same_in_all_training_rows_is_an_error(tmp_path):
    rows = mixed_rows(50, 1) | {"y": ["no"] * 50}
    with pytest.raises(StepError) as error:
        make_job(tmp_path, rows, rows, MIXED_TYPES).examples()
    assert str(error.value) == "train_data: the label 'y' is 'no' in all rows: nothing to learn"


OWN = """
import keras
import tensorflow as tf

def build_model(inputs, settings, label):
    joined = keras.layers.Concatenate()(list(inputs.values()))
    hidden = keras.layers.Dense(settings["custom"].get("units", 4), activation="relu")(joined)
    return keras.Model(inputs, keras.layers.Dense(label.outputs)(hidden))
"""


def test_own_model_is_trained_on_the_features_by_name(tmp_path):
    settings = {**SMALL, "custom": {"units": 16}, "epochs": 10}
    _, trained = run(mixed_job(tmp_path, settings=settings, model=OWN))
    assert trained.best.validation_primary > 0.9
    assert sorted(trained.network.body.input) == ["amount", "area", "color", "count", "member"]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            "def build_model(inputs, settings, label):\n    return settings['depth']\n",
            "model.py, line 2: KeyError: 'depth' (in: build_model(inputs, settings, label))",
        ),
        (
            "def build_model(inputs):\n    return 1\n",
            "model.py: build_model must take (inputs, settings, label): too many positional arguments",
        ),
        (
            "def build_model(inputs, settings, label):\n    return 1\n",
            "model.py: build_model returned a int, expected a keras.Model",
        ),
        (
            OWN.replace("Dense(label.outputs)", "Dense(3)"),
            "model.py: build_model returned a model whose output for 2 rows is (2, 3), expected (2, 1): "
            "label.outputs = 1 raw numbers for each row",
        ),
        (
            OWN.replace("Dense(label.outputs)", "Dense(label.outputs, activation='sigmoid')"),
            "model.py: build_model ends in a sigmoid; return logits (no activation), the probability is made from them",
        ),
        (
            OWN.replace(
                "Dense(label.outputs)", "Dense(1, bias_initializer=keras.initializers.Constant(float('nan')))"
            ),
            "model.py: build_model returned a model that gives [nan nan] before any training",
        ),
    ],
)
def test_own_model_that_cannot_be_used_is_an_error(tmp_path, model, sentence):
    with pytest.raises(StepError) as error:
        run(mixed_job(tmp_path, model=model))
    assert str(error.value) == sentence


def test_own_model_that_turns_nan_while_training_names_the_file(tmp_path):
    model = OWN.replace(
        "(hidden))",
        "(keras.layers.Lambda(lambda h: tf.math.log(h - 1e9 * tf.reduce_max(tf.abs(h))))(hidden)))",
    )
    with pytest.raises(StepError) as error:
        run(mixed_job(tmp_path, model=model))
    assert "model.py" in str(error.value)

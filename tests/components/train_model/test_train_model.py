import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.components.step_io.main import execute
from penstock.components.train_model.step import run
from tests.components.tabular_model.tables import (
    BINARY,
    MIXED_TYPES,
    SMALL,
    SPECS,
    mixed_rows,
    write_code,
    write_schema,
    write_shards,
)
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"model": "system.Model", "metrics": "system.Metrics", "report": "system.HTML"}
ROOT = Path(__file__).parents[3]


def step_input(folder, task="binary", rows=200, code=None, **parameters):
    """Write the inputs once per folder and return the executor input of a task in it."""
    inputs = {
        "train_data": write_shards(folder / "in/train", mixed_rows(rows, 1, task)),
        "validation_data": write_shards(folder / "in/validation", mixed_rows(rows // 2, 2, task)),
        "schema": write_schema(folder / "in/schema", MIXED_TYPES),
        "code": write_code(folder / "in/code", **(code or {})),
    }
    values = {"label_spec": SPECS[task], "model_settings": SMALL, **parameters}
    return executor_input(folder, values, inputs, OUTPUTS)


def digests(model):
    """Return the hashes of what must be the same in two trainings of the same inputs."""
    names = ["model.json", "saved_model/variables/variables.data-00000-of-00001"]
    return {name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in names}


def test_step_writes_exactly_the_declared_outputs(tmp_path):
    assert execute(run, "train_model", step_input(tmp_path)) == 0
    parameters, artifacts = read_outputs(tmp_path)
    assert parameters == {"epochs": 3}
    assert sorted(artifacts) == ["metrics", "model", "report"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "executor_output.json",
        "in",
        "metrics",
        "model",
        "report",
    ]
    assert sorted(path.name for path in artifacts["model"].iterdir()) == [
        "examples.json",
        "model.json",
        "saved_model",
    ]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_examples_are_rows_of_the_schema_with_the_answers_of_the_saved_model(tmp_path, task):
    from penstock.components.serving_model.answers import answers
    from penstock.components.serving_model.folder import ModelFolder
    from penstock.components.serving_model.predictor import Predictor
    from penstock.components.serving_model.rows import columns_of

    text = step_input(tmp_path, task)
    schema = tmp_path / "in/schema/schema.pbtxt"
    schema.write_text(schema.read_text().replace('"amount"', '"amount" presence { min_fraction: 1.0 }'))
    assert execute(run, "train_model", text) == 0
    folder = ModelFolder.read(tmp_path / "model")
    assert [found.name for found in folder.inputs if found.required] == ["amount"]
    assert len(folder.examples) == 16
    assert {type(row["count"]) for row in folder.examples} == {int}
    assert {type(row["member"]) for row in folder.examples} == {bool}
    assert None in [row["color"] for row in folder.examples]  # missing in a tenth of the rows
    found = answers(folder, Predictor(folder).predict(columns_of(folder.examples, folder.inputs)))
    for answer, stored in zip(found, folder.example_answers, strict=True):
        assert answer.pop("label", None) == stored.pop("label", None)
        assert answer.keys() == stored.keys()
        for name, value in stored.items():
            assert answer[name] == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_metrics_stand_in_the_file_and_in_the_metadata(tmp_path):
    execute(run, "train_model", step_input(tmp_path))
    output = json.loads((tmp_path / "executor_output.json").read_text())
    metadata = output["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    assert json.loads((tmp_path / "metrics").read_text()) == metadata
    names = ["accuracy", "auc", "brier", "f1", "log_loss", "pr_auc", "precision", "recall"]
    assert sorted(metadata) == [f"train_{n}" for n in names] + [f"validation_{n}" for n in names]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_report_shows_curves_features_and_settings(tmp_path, task):
    assert execute(run, "train_model", step_input(tmp_path, task)) == 0
    page = (tmp_path / "report").read_text()
    for part in ("Learning curves", "<svg", "hidden_units", "5 features used", "missing indicator", "200"):
        assert part in page


def test_report_says_which_features_are_not_used_and_why(tmp_path):
    rows = mixed_rows(100, 1) | {"amount": [1.0] * 100}
    text = json.loads(step_input(tmp_path))
    write_shards(tmp_path / "in/train", rows)
    execute(run, "train_model", json.dumps(text))
    assert "it has the same value in all training rows" in (tmp_path / "report").read_text()


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert execute(run, "train_model", step_input(tmp_path / name, seed=5)) == 0
    assert digests(tmp_path / "a/model") == digests(tmp_path / "b/model")


def test_best_parameters_override_the_settings(tmp_path):
    execute(run, "train_model", step_input(tmp_path, best_parameters={"epochs": 2, "depth": 7}))
    parameters = json.loads((tmp_path / "model/model.json").read_text())["parameters"]
    assert read_outputs(tmp_path)[0] == {"epochs": 2}
    assert (parameters["epochs"], parameters["custom"]) == (2, {"depth": 7})


def test_weight_and_excluded_columns_are_no_inputs(tmp_path):
    text = step_input(tmp_path, features={"exclude": ["color"]}, weight="count")
    assert execute(run, "train_model", text) == 0
    found = json.loads((tmp_path / "model/model.json").read_text())["inputs"]
    assert [item["name"] for item in found] == ["amount", "area", "member"]


def test_wrong_setting_ends_with_one_sentence_and_no_output(tmp_path, capsys):
    assert execute(run, "train_model", step_input(tmp_path, model_settings={"epoch": 3})) == 2
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["error"] == "model.epoch is no setting; did you mean 'epochs'?"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_model_that_raises_ends_with_its_file_and_line(tmp_path, capsys):
    code = {"model": "def build_model(inputs, settings, label):\n    raise RuntimeError('no')\n"}
    assert execute(run, "train_model", step_input(tmp_path, code=code)) == 2
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["error"] == (
        "model.py, line 2: RuntimeError: no (in: build_model(inputs, settings, label))"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_killed_training_goes_on_and_ends_with_the_same_weights(tmp_path):
    settings = {"hidden_units": [16], "batch_size": 16, "patience": 10_000, "dropout": 0.1}
    text = step_input(tmp_path / "cut", rows=3000, model_settings={**settings, "epochs": 10_000})
    uri = tmp_path / "checkpoints"
    given = json.loads(text)
    given["inputs"]["parameterValues"]["checkpoint_uri"] = str(uri)
    command = [sys.executable, "-m", "penstock.components.train_model.step", "--executor_input"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PENSTOCK_LOG_FORMAT": "text"}
    with subprocess.Popen(
        [*command, json.dumps(given)],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stderr is not None
        written = next((line for line in child.stderr if "checkpoints go to" in line), "")
        child.send_signal(signal.SIGKILL)
    assert written
    assert not (tmp_path / "cut/model").exists()
    done = _finished_epochs(uri)
    assert done >= 1

    # The same training, ended soon after the point where it was killed; its key differs only in `epochs`.
    from penstock.components.tabular_model import checkpoints

    short = {**settings, "epochs": done + 2}
    for name in ("whole", "cut"):
        text = step_input(tmp_path / name, rows=3000, model_settings=short)
        given = json.loads(text)
        if name == "cut":
            given["inputs"]["parameterValues"]["checkpoint_uri"] = str(uri)
            _rekey(uri, given, checkpoints)
        assert execute(run, "train_model", json.dumps(given)) == 0
    assert read_outputs(tmp_path / "cut")[0] == {"epochs": done + 2}
    assert digests(tmp_path / "cut/model") == digests(tmp_path / "whole/model")
    assert list(uri.glob("*/state.npz")) == []


def _finished_epochs(uri):
    from penstock.components.tabular_model.checkpoints import unpack

    (state,) = uri.glob("*/state.npz")
    return unpack(state.read_bytes()).epoch


def _rekey(uri, given, checkpoints):
    """Move the state to the key of the shorter training."""
    from penstock.components.tabular_model.job import Job

    values, folder = given["inputs"]["parameterValues"], Path(given["outputs"]["outputFile"]).parent / "in"
    job = Job.read(
        folder / "train",
        folder / "validation",
        folder / "schema",
        folder / "code",
        BINARY,
        {},
        "",
        0,
        {"model_settings": values["model_settings"]},
    )
    (state,) = uri.glob("*/state.npz")
    store = checkpoints.open_store(str(uri), job.key("train"))
    store.write("state.npz", state.read_bytes())
    store.close()
    state.unlink()

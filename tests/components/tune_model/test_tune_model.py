import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.components.step_io.main import execute
from penstock.components.tune_model.step import run
from penstock.components.tune_model.trials import Search, TrialResult
from tests.components.tabular_model.tables import (
    BINARY,
    MIXED_TYPES,
    SMALL,
    mixed_rows,
    write_code,
    write_schema,
    write_shards,
)
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"trials_table": "system.Artifact", "report": "system.HTML"}
ROOT = Path(__file__).parents[3]
SPACE = """
def search_space(trial):
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 0.1, log=True),
        "hidden_units": [trial.suggest_int("units", 2, 16)],
    }
"""


def step_input(folder, model=SPACE, **parameters):
    inputs = {
        "train_data": write_shards(folder / "in/train", mixed_rows(200, 1)),
        "validation_data": write_shards(folder / "in/validation", mixed_rows(100, 2)),
        "schema": write_schema(folder / "in/schema", MIXED_TYPES),
        "code": write_code(folder / "in/code", **({"model": model} if model else {})),
    }
    return executor_input(
        folder, {"label_spec": BINARY, "model_settings": SMALL, **parameters}, inputs, OUTPUTS
    )


def trials(folder):
    return json.loads((folder / "trials_table/trials.json").read_text())


def error(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_no_trials_give_no_parameters(tmp_path):
    assert execute(run, "tune_model", step_input(tmp_path)) == 0
    assert read_outputs(tmp_path)[0] == {"best_parameters": {}}
    assert (trials(tmp_path)["trials"], trials(tmp_path)["best"]) == ([], None)
    assert "Tuning is off" in (tmp_path / "report").read_text()


def test_no_trials_import_neither_tensorflow_nor_optuna(tmp_path):
    program = (
        "import sys\n"
        "from penstock.components.step_io.main import execute\n"
        "from penstock.components.tune_model.step import run\n"
        "assert execute(run, 'tune_model', sys.argv[1]) == 0\n"
        "sys.exit(' '.join({'tensorflow', 'optuna', 'numpy', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, step_input(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_search_writes_exactly_the_declared_outputs(tmp_path):
    assert execute(run, "tune_model", step_input(tmp_path, trials=5)) == 0
    parameters, artifacts = read_outputs(tmp_path)
    found = trials(tmp_path)
    assert sorted(artifacts) == ["report", "trials_table"]
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2, 3, 4]
    best = found["trials"][found["best"]]
    assert best["value"] == min(trial["value"] for trial in found["trials"] if trial["state"] == "complete")
    assert parameters == {"best_parameters": best["parameters"]}
    assert sorted(best["parameters"]) == ["hidden_units", "learning_rate"]
    assert sorted(found["importance"]) == ["learning_rate", "units"]
    page = (tmp_path / "report").read_text()
    for part in ("Best parameters", "Validation loss of each trial", "Importance of the parameters"):
        assert part in page


def test_the_same_seed_gives_the_same_trials_and_another_does_not(tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        execute(run, "tune_model", step_input(tmp_path / name, trials=2, seed=seed))
        found.append((tmp_path / name / "trials_table/trials.json").read_bytes())
    assert found[0] == found[1] != found[2]


def test_killed_search_goes_on_and_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    from penstock.components.tune_model import study

    uri, kept = str(tmp_path / "checkpoints"), study._keep

    def killed(store, found):
        kept(store, found)
        if len(found) == 3:
            raise KeyboardInterrupt
        return True

    text = step_input(tmp_path / "cut", trials=6, checkpoint_uri=uri)
    monkeypatch.setattr(study, "_keep", killed)
    assert execute(run, "tune_model", text) == 130
    monkeypatch.setattr(study, "_keep", kept)
    assert execute(run, "tune_model", text) == 0
    assert execute(run, "tune_model", step_input(tmp_path / "whole", trials=6)) == 0
    assert trials(tmp_path / "cut") == trials(tmp_path / "whole")
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_timeout_ends_the_search_after_the_running_trial(tmp_path):
    text = step_input(tmp_path, trials=50, tuning={"timeout_s": 1e-6})
    assert execute(run, "tune_model", text) == 0
    assert len(trials(tmp_path)["trials"]) == 1


def test_default_space_is_searched_without_a_model_file(tmp_path):
    assert execute(run, "tune_model", step_input(tmp_path, model=None, trials=1)) == 0
    assert sorted(read_outputs(tmp_path)[0]["best_parameters"]) == [
        "batch_size",
        "dropout",
        "embedding_size",
        "hidden_units",
        "learning_rate",
        "weight_decay",
    ]


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (
            "return {'dropout': trial.sugest_float('d', 0, 1)}",
            "model.py, line 2: AttributeError: 'Trial' object has no attribute 'sugest_float'",
        ),
        ("return {}", "model.py: search_space returned {}, expected a dict of hyperparameters"),
        ("return {'dropout': 2}", "best_parameters.dropout is 2, expected a number from 0 to 0.9"),
        (
            "return {'dropout': float('nan')}",
            "model.py: search_space returned no plain values: Out of range float values are not JSON compliant",
        ),
    ],
)
def test_search_space_that_cannot_be_used_is_an_error(tmp_path, capsys, space, sentence):
    text = step_input(tmp_path, model=f"def search_space(trial):\n    {space}\n", trials=1)
    assert execute(run, "tune_model", text) == 2
    assert error(capsys).startswith(sentence)


def test_diverging_trials_fail_alone_and_an_all_failing_search_is_an_error(tmp_path, capsys):
    model = (
        "import keras\n"
        "def search_space(trial):\n    return {'x': 1}\n"
        "def build_model(inputs, settings, label):\n"
        "    h = keras.layers.Concatenate()(list(inputs.values()))\n"
        "    h = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(1e30))(h)\n"
        "    return keras.Model(inputs, keras.layers.Rescaling(1e30)(h))\n"
    )
    assert execute(run, "tune_model", step_input(tmp_path, model=model, trials=2)) == 2
    assert error(capsys).startswith("none of 2 trials was completed: the loss became ")


def test_first_of_equal_trials_is_the_best():
    found = [
        TrialResult(0, "pruned", 0.1, {}, [0.1]),
        *(TrialResult(n, "complete", 0.2, {}, [0.2]) for n in (1, 2)),
    ]
    best = Search(found).best
    assert best is not None
    assert best.number == 1

"""Data that the project has never seen: only app.yaml and a schema that `penstock schema infer` drafted."""

import json
from pathlib import Path

import pytest

from tests.training.conftest import customers, write_app, write_csv

LABELS = {
    "binary": ("column: churned", "[Customer ID, segment, lifetime value]", "auc", 0.7),
    "multiclass": ("column: segment", "[Customer ID, churned, lifetime value]", "accuracy", 0.5),
    "regression": ("column: lifetime value", "[Customer ID, churned, segment]", "r2", 0.8),
}


@pytest.fixture(scope="module")
def home(make_home):
    return make_home("other")


@pytest.mark.parametrize("task", LABELS)
def test_table_becomes_a_registered_model_with_no_python(home, tmp_path, task):
    label, exclude, metric, at_least = LABELS[task]
    app = write_app(tmp_path / "customers", label, exclude, f"model_name: customers-{task}\n")
    write_csv(app / "customers.csv", customers(1500))

    drafted = home("schema", "infer", "--app", app)
    assert drafted.code == 0, drafted.stderr
    result = home.train(
        app, "--set", "model_settings={hidden_units: [16], epochs: 25, learning_rate: 0.01, batch_size: 64}"
    )

    assert result.code == 0, result.stderr
    evaluation = json.loads(
        (
            Path(result.step("evaluate-model")["record"]["outputs"]["evaluation"]) / "evaluation.json"
        ).read_text()
    )
    assert evaluation["task"] == task
    assert evaluation["overall"]["challenger"][metric]["value"] > at_least
    assert result.step("register-model")["record"]["results"]["promoted"] is True

    batch = home("run", "batch_prediction", "--app", app, "--json", "--set", "key=[Customer ID]")
    assert batch.code == 0, batch.stderr
    predicted = batch.step("predict-batch")["record"]
    assert (predicted["results"]["rows"], predicted["results"]["unscored"]) == (1500, 0)
    manifest = json.loads((Path(predicted["outputs"]["predictions"]) / "manifest.json").read_text())
    assert (manifest["rows"], manifest["keys"], manifest["model"]["version"]) == (1500, ["Customer ID"], "1")


def test_new_app_is_four_commands_away(home, tmp_path):
    table = tmp_path / "customers.csv"
    write_csv(table, customers(1500))
    app = tmp_path / "fresh"

    made = home("app", "new", app, "--source", table, "--label", "churned")
    drafted = home("schema", "infer", "--app", app)
    checked = home("validate-app", app)
    trained = home.train(app)

    assert [made.code, drafted.code, checked.code, trained.code] == [0, 0, 0, 0], trained.stderr

"""`penstock predict`, as people call it: real steps, in their stacks, with a model of train_model's own."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.local.envs import ensure_stacks
from penstock.local.one_step import run_step
from penstock.project import Project, find_project

ROOT = find_project(Path(__file__).parent)
SCHEMA = """
feature { name: "Monthly fee (€)" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "plan" type: BYTES }
"""
LABEL = {"name": "churned", "task": "binary", "classes": ["No", "Yes"], "positive": "Yes"}


def write_customers(path: Path, rows: int, seed: int) -> Path:
    """Write a CSV file of customers."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Customer ID", "Monthly fee (€)", "plan", "churned"])
        for i in range(rows):
            fee, plan = round(draw.uniform(5, 90), 2), draw.choice(["Basic", "Größe L"])
            writer.writerow([f"C-{i:04d}", fee, plan, "Yes" if fee > 50 else "No"])
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a checkout's code with one app, `churn`, and a model in the folder `model`."""
    root = tmp_path_factory.mktemp("project")
    for name in ("components", "penstock", "images", "pipelines", "manifests"):
        (root / name).symlink_to(ROOT.root / name)
    (root / "state").mkdir()
    (root / "state" / "envs").symlink_to(ROOT.state / "envs")
    app = root / "apps" / "churn"
    app.mkdir(parents=True)
    write_customers(app / "customers.csv", 300, 1)
    settings = {
        "data": {"source": "customers.csv", "query": "SELECT * FROM source WHERE plan IS NOT NULL"},
        "label": {"column": "churned"},
        "features": {"exclude": ["Customer ID"]},
        "batch_prediction": {"key": ["Customer ID"]},
    }
    (app / "app.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True))
    (app / "schema.pbtxt").write_text(SCHEMA)
    work = root / "work"
    (work / "code").mkdir(parents=True)
    (work / "schema").mkdir()
    (work / "schema" / "schema.pbtxt").write_text(SCHEMA)
    python = ensure_stacks(ROOT, ["core", "tensorflow"])
    source = {"source": str(app / "customers.csv"), "fingerprint": ""}
    run_step(ROOT, python["core"], "extract_data", source, {}, ["dataset"], work)
    parameters = {"label_spec": LABEL, "model_settings": {"hidden_units": [8], "epochs": 2}}
    parameters["features"] = {"exclude": ["Customer ID"]}
    inputs = {"train_data": work / "dataset", "validation_data": work / "dataset"}
    inputs |= {"schema": work / "schema", "code": work / "code"}
    outputs = {"model": root / "model", "metrics": work / "metrics", "report": work / "report"}
    run_step(ROOT, python["tensorflow"], "train_model", parameters, inputs, outputs, work)
    return Project(root)


def predict(project: Project, *arguments: Any) -> "subprocess.CompletedProcess[str]":
    """Call the command in the project's folder."""
    command = [sys.executable, "-m", "penstock.cli", "predict", "--app", "churn", *map(str, arguments)]
    environment = {
        **os.environ,
        "PENSTOCK_HOME": str(project.root / "state"),
        "PYTHONPATH": str(ROOT.root),
    }
    return subprocess.run(
        command, cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )


def test_new_file_is_predicted_with_a_model_folder(project: Project, tmp_path: Path) -> None:
    data = write_customers(tmp_path / "new.csv", 120, 2)
    out = tmp_path / "scored"
    done = predict(project, "--model", "model", "--data", data, "--out", out)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("120 rows, 0 of them without a prediction; model churn folder-")
    assert lines[1].split() == ["verdict", "pass"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["rows"], manifest["keys"]) == (120, ["Customer ID"])
    assert [column["name"] for column in manifest["columns"]] == ["Customer ID", "score", "label", "unscored"]
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json",
        "metrics.json",
        "part-00000.parquet",
        "report.html",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "scored"]
    assert list((project.root / "state" / "checkpoints").glob("*")) == []
    again = predict(project, "--model", "model", "--data", data, "--out", out)
    assert (again.returncode, again.stderr) == (2, f"penstock: {out} is there already: --force replaces it\n")


def test_file_without_a_needed_column_is_blocked_and_put_aside(project: Project, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("Customer ID,monthly fee (€),plan\nC-1,5.0,Basic\n", encoding="utf-8")
    out = tmp_path / "scored"
    done = predict(project, "--model", "model", "--data", data, "--out", out, "--json")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["reasons"] == [
        "the data have no column 'Monthly fee (€)', which the model needs in every row "
        "(is 'monthly fee (€)' meant for 'Monthly fee (€)'?)"
    ]
    assert found["folder"] == str(tmp_path / "scored.blocked")
    assert not out.exists()
    assert "Blocked" in (tmp_path / "scored.blocked" / "report.html").read_text()


def test_file_without_rows_gives_empty_predictions(project: Project, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("Customer ID,Monthly fee (€),plan\n", encoding="utf-8")
    done = predict(project, "--model", "model", "--data", data, "--out", tmp_path / "scored")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("0 rows")
    assert json.loads((tmp_path / "scored" / "manifest.json").read_text())["shards"][0]["rows"] == 0


def test_what_is_not_there_ends_with_a_sentence(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "scored"
    done = predict(project, "--model", "modle/", "--out", out)
    assert done.returncode == 2
    assert "--model 'modle/' is neither an alias" in done.stderr
    done = predict(project, "--model", "model", "--data", "nothing.csv", "--out", out)
    assert (done.returncode, done.stderr) == (
        2,
        "penstock: --data nothing.csv: there is no such file or folder\n",
    )
    done = predict(project, "--model", "model", "--key", "Customer", "--out", out)
    assert done.returncode == 2
    assert "the key column 'Customer' is not in the data; did you mean 'Customer ID'?" in done.stderr
    assert list(tmp_path.iterdir()) == []

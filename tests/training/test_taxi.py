"""The default app, from nothing to a champion and on: what `make run` promises."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.training.conftest import PENSTOCK, PROJECT

TRAINING = ["fetch-champion", "extract-data", "compute-statistics", "validate-data", "prepare-data"]
UNTIL_GATE = ["tune-model", "train-model", "evaluate-model", "validate-model"]


@pytest.fixture(scope="module")
def home(make_home):
    return make_home("taxi")


@pytest.fixture(scope="module")
def first(home):
    return home.train("taxi")


@pytest.fixture(scope="module")
def second(home, first):
    return home.train("taxi")


@pytest.fixture(scope="module")
def window(home, second):
    return home.train("taxi", "--set", "until=2016-01-01")


def test_first_run_ends_with_a_champion(first):
    assert first.code == 0, first.stderr
    assert first.run["state"] == "succeeded"
    registered = first.step("register-model")["record"]["results"]
    assert registered["version"] == "1"
    assert registered["promoted"] is True
    assert (Path(registered["model_uri"].removeprefix("file://"))).exists()


def test_the_registered_model_brings_the_rows_that_its_explanations_compare_with(first):
    registered = first.step("register-model")["record"]["results"]
    folder = Path(registered["model_uri"].removeprefix("file://"))
    found = json.loads((folder / "background.json").read_text())["instances"]
    inputs = json.loads((folder / "model.json").read_text())["inputs"]
    assert len(found) == 64
    assert found[0].keys() == {one["name"] for one in inputs}


def test_first_run_is_better_than_guessing(first):
    metrics = first.step("evaluate-model")["record"]["metrics"]
    assert metrics["auc"] > 0.9
    assert metrics["auc_low"] < metrics["auc"] < metrics["auc_high"]


def test_every_step_gives_exactly_what_its_spec_declares(first):
    ir = yaml.safe_load((PROJECT.root / "pipelines" / "compiled" / "training.yaml").read_text())
    differing = {}
    for step in first.run["steps"]:
        component = ir["components"].get(f"comp-{step['task']}")
        if component is None or "dag" in component or step["record"] is None:
            continue
        declared = component.get("outputDefinitions", {})
        given = (set(step["record"]["results"]), set(step["record"]["outputs"]))
        wanted = (set(declared.get("parameters", {})), set(declared.get("artifacts", {})))
        if given != wanted:
            differing[step["task"]] = (given, wanted)
    assert differing == {}


def test_reports_open_with_no_network(home, first):
    folder = home.folder / "runs" / first.run["id"]
    pages = [folder / "index.html", *sorted((folder / "reports").glob("*.html"))]
    names = {page.name for page in pages}
    assert {"index.html", "compute-statistics-report.html", "validate-data-report.html"} < names
    assert {"train-model-report.html", "evaluate-model-report.html", "register-model-card.html"} < names
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"""<script[^>]+src|<link|@import|(src|href)=["']https?:""", text), page
        assert len(text) < 1_000_000, page


def test_second_run_skips_the_rest_and_says_so(second):
    assert second.code == 0
    assert second.run["state"] == "unchanged"
    states = second.states()
    assert states["resolve-champion"] == "succeeded"
    assert states["notify"] == "succeeded"
    assert {states[task] for task in [*TRAINING, *UNTIL_GATE, "register-model"]} == {"skipped"}


def test_forced_run_is_served_from_the_cache_and_registers_nothing_new(home, second):
    forced = home.train("taxi", "--force")
    assert forced.code in (0, 3)
    # A champion is there now, so what compares with it runs; the data steps are the same.
    assert forced.states()["extract-data"] == "cached"
    assert forced.states()["train-model"] == "cached"
    if forced.code == 0:
        assert forced.step("register-model")["record"]["results"]["version"] == "1"


def test_window_meets_the_champion_compares_and_decides(window):
    assert window.code in (0, 3), window.stderr
    evaluation = json.loads(
        (
            Path(window.step("evaluate-model")["record"]["outputs"]["evaluation"]) / "evaluation.json"
        ).read_text()
    )
    assert evaluation["champion_version"] == "1"
    assert evaluation["overall"]["difference"]["auc"]["value"] is not None
    assert window.states()["register-model"] == ("succeeded" if window.code == 0 else "skipped")


def test_compare_shows_what_differs(home, first, window):
    compared = home("runs", "compare", first.run["id"], window.run["id"])
    assert compared.code == 0
    assert "until" in compared.stdout
    assert "2016-01-01" in compared.stdout


def test_change_of_the_features_reruns_only_what_depends_on_them(home, second, tmp_path):
    app = tmp_path / "taxi"
    shutil.copytree(PROJECT.apps / "taxi", app)
    code = app / "features.py"
    code.write_text(code.read_text() + "\n# a new idea\n")

    # The copy's data lie elsewhere: another source, as far as a cache can know.
    changed = home.train(app, "--set", f"source={PROJECT.apps / 'taxi' / 'data' / 'trips.csv.gz'}")

    # validate_data is left out: since the last run there is another champion to compare the data with.
    states = changed.states()
    assert {states[task] for task in ["extract-data", "compute-statistics", "prepare-data"]} == {"cached"}
    assert states["train-model"] == "succeeded"


def test_change_of_a_threshold_retrains_nothing(home, second, tmp_path):
    changed = home.train("taxi", "--set", "thresholds={metrics: {auc: {min: 0.6}}}")

    assert changed.states()["train-model"] == "cached"
    assert changed.states()["validate-model"] == "succeeded"


def test_run_killed_in_the_middle_of_training_goes_on(home, first):
    arguments = ["run", "training", "--app", "taxi", "--json", "--set", "seed=5"]
    runner = subprocess.Popen(
        [*PENSTOCK, *arguments],
        cwd=PROJECT.root,
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    killed = wait_for_running(home.folder / "runs", "train-model", {first.run["id"]}, runner)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()

    again = home(*arguments)

    assert again.code in (0, 3), again.stderr
    assert again.states()["prepare-data"] == "cached"
    assert again.states()["train-model"] == "succeeded"
    dead = json.loads((killed / "run.json").read_text())
    assert dead["state"] == "interrupted"
    assert not list((killed / "artifacts").rglob("train-model/model"))


def wait_for_running(runs: Path, task: str, known: set[str], runner: subprocess.Popen) -> Path:
    """Return the folder of the run that this runner started, once its task is running."""
    for _ in range(1200):
        for folder in runs.iterdir():
            file = folder / "run.json"
            if folder.is_symlink() or not file.exists():
                continue
            run = json.loads(file.read_text())
            if run["state"] == "running" and any(
                s["task"] == task and s["state"] == "running" for s in run["steps"]
            ):
                return folder
        assert runner.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError(f"{task} never ran")

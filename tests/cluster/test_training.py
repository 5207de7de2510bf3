"""The training pipeline on the taxi app: to SUCCEEDED, equal to the local run, and served from the cache."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Show, run_penstock
from tests.cluster.projects import ROOT

Wait = Callable[[str], Any]

NEVER_FROM_THE_CACHE = {"inspect-source", "resolve-champion", "register-model", "notify"}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, own: list[str], model: str) -> dict[str, Any]:
    """run.json of the same run on this machine, with an empty registry and nothing cached."""
    state = tmp_path_factory.mktemp("state")
    environments = ROOT / ".penstock" / "envs"
    environments.mkdir(parents=True, exist_ok=True)
    (state / "envs").symlink_to(environments)
    done = run_penstock(
        "run",
        "training",
        "--app",
        "taxi",
        "--set",
        f"model_name={model}",
        *own,
        "--json",
        env={"PENSTOCK_HOME": str(state)},
    )
    assert done.code == 0
    run: dict[str, Any] = done.json
    return {**run, "steps": {step["title"]: step for step in run["steps"]}}


def test_the_run_succeeds_with_every_step_run(trained):
    assert trained["state"] == "succeeded"
    states = {title: step["state"] for title, step in trained["steps"].items()}
    # Without a champion there is nothing of this run's own in what this step is given.
    assert states.pop("fetch-champion") in ("succeeded", "cached")
    assert set(states.values()) == {"succeeded"}
    assert len(states) >= 17


def test_metrics_and_verdicts_equal_the_local_runs(trained, local):
    compared = 0
    for title, step in local["steps"].items():
        mine, theirs = step["record"], trained["steps"].get(title, {}).get("record") or {}
        if title in ("notify", "fetch-champion") or not mine:
            continue
        assert theirs.get("verdict") == mine.get("verdict"), title
        numbers = {k: v for k, v in (mine.get("metrics") or {}).items() if isinstance(v, int | float)}
        for name, value in numbers.items():
            assert theirs["metrics"][name] == pytest.approx(value, rel=1e-6, abs=1e-9), f"{title}: {name}"
            compared += 1
    assert compared > 10


def test_the_mlflow_server_holds_the_model_and_calls_it_champion(trained, mlflow, model):
    told = trained["steps"]["register-model"]["record"]["results"]
    assert (told["version"], told["promoted"]) == ("1", True)
    found = mlflow(f"model-versions/get?name={model}&version=1")["model_version"]
    assert any(trained["id"] in tag["value"] for tag in found["tags"])
    # Later runs of this session may have taken over.
    assert mlflow.champion(model)["status"] == "READY"


def test_the_models_files_lie_in_the_store(trained, mlflow, model, store):
    folder = mlflow.champion(model)["source"].removeprefix("mlflow-artifacts:/")
    files = store.find(f"mlpipeline/mlflow/{folder}")
    assert any(file.endswith("saved_model.pb") for file in files)


def test_the_same_submission_finds_its_run(submit, trained, model, own):
    assert submit("--set", f"model_name={model}", *own) == trained["id"]


@pytest.fixture(scope="module")
def second(followed: dict[str, str], wait: Wait, show: Show) -> dict[str, str]:
    """The states of a second run, by step: the first one's model is the champion now, and evaluate_model another."""
    assert wait(followed["changed"]).code == 0
    return {title: step["state"] for title, step in show(followed["changed"])["steps"].items()}


def test_a_second_run_is_served_from_the_cache_up_to_where_it_must_not_be(second):
    for title in ("extract-data", "compute-statistics", "prepare-data", "train-model"):
        assert second[title] == "cached", title
    for title in NEVER_FROM_THE_CACHE:
        assert second[title] == "succeeded", title


def test_a_changed_image_of_one_step_reruns_it_and_what_follows(followed, second):
    before = json.loads((ROOT / "images.lock.json").read_text())["images"]
    after = json.loads(Path(followed["changed_lock"]).read_text())["images"]
    assert [name for name in after if after[name]["digest"] != before[name]["digest"]] == ["evaluate_model"]
    assert {second[title] for title in ("evaluate-model", "validate-model", "gate: model")} == {"succeeded"}

"""The section batch_prediction of app.yaml, as the pipeline's parameters."""

from pathlib import Path
from typing import Any

import pytest

from penstock.app_config import load_app
from penstock.app_overrides import BATCH_PREDICTION, FROM_THE_RUNNER, defaults_for
from penstock.app_yaml import AppError
from penstock.project import Project, find_project
from penstock.signature import read_signature

SCHEMA = 'feature { name: "plan" type: BYTES }\nfeature { name: "signup" type: INT }\nfeature { name: "y" type: INT }\n'
SETTINGS = "data: {source: old.csv, query: SELECT * FROM source, event_time: signup}\nlabel: {column: y}\nsplit: {by: time}\n"


def arguments(folder: Path, section: str = "", **overrides: Any) -> dict[str, Any]:
    """Return the pipeline's parameters for an app with a section."""
    app = folder / "apps" / "churn"
    app.mkdir(parents=True, exist_ok=True)
    (app / "app.yaml").write_text(SETTINGS + section)
    (app / "schema.pbtxt").write_text(SCHEMA)
    for name in ("old.csv", "new.csv"):
        (app / name).write_text("plan,signup\n")
    return load_app(Project(folder), "churn").arguments(overrides, "batch_prediction")


def test_without_a_section_the_apps_data_are_predicted_whole(tmp_path: Path) -> None:
    found = arguments(tmp_path)
    assert found == {
        "app": "churn",
        "model_name": "churn",
        "source": str(tmp_path / "apps/churn/old.csv"),
        "format": "auto",
        "query": "SELECT * FROM source",
        "event_time": "",
        "event_time_unit": "s",
        "since": "",
        "until": "",
        "rows_per_shard": 250_000,
        "key": [],
        "max_unscored": 0.0,
    }


def test_source_of_its_own_comes_with_its_own_query(tmp_path: Path) -> None:
    found = arguments(tmp_path, "batch_prediction: {source: new.csv, key: [plan], max_unscored: 0.1}\n")
    assert (found["source"], found["query"]) == (str(tmp_path / "apps/churn/new.csv"), "")
    assert (found["key"], found["max_unscored"]) == (["plan"], 0.1)


def test_window_brings_the_event_time(tmp_path: Path) -> None:
    found = arguments(tmp_path, since="P1D", until="2016-01-02")
    assert (found["event_time"], found["since"], found["until"]) == ("signup", "P1D", "2016-01-02")


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("batch_prediction: {source: nwe.csv}\n", "there is no file or folder"),
        (
            "batch_prediction: {since: P1D}\n",
            "'P1D' is a duration before batch_prediction.until, which is empty",
        ),
        ("batch_prediction: {max_unscored: 2}\n", "batch_prediction.max_unscored"),
        ("batch_prediction: {keys: [plan]}\n", "keys"),
    ],
)
def test_wrong_section_is_told_with_its_line(tmp_path: Path, section: str, sentence: str) -> None:
    with pytest.raises(AppError) as caught:
        arguments(tmp_path, section)
    assert sentence in str(caught.value)
    assert "app.yaml:4" in str(caught.value)


def test_parameter_of_training_is_none_of_batch_prediction(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="'seed' is no parameter of the batch_prediction pipeline"):
        arguments(tmp_path, seed=1)


def test_defaults_of_an_environment_are_for_the_pipelines_that_have_them() -> None:
    defaults = {"seed": 1, "max_unscored": 0.1, "until": "2016-01-01", "sead": 2}
    assert defaults_for(defaults, "training") == {"seed": 1, "until": "2016-01-01", "sead": 2}
    assert defaults_for(defaults, "batch_prediction") == {
        "max_unscored": 0.1,
        "until": "2016-01-01",
        "sead": 2,
    }


def test_every_parameter_of_the_pipeline_has_one_origin() -> None:
    path = find_project(Path(__file__).parent).root / "pipelines" / "batch_prediction.py"
    declared = read_signature(path, "batch_prediction").parameters.keys()
    assert declared - BATCH_PREDICTION.keys() == {"app", "registry_uri", "checkpoint_uri"}
    assert declared - BATCH_PREDICTION.keys() <= FROM_THE_RUNNER.keys()
    assert BATCH_PREDICTION.keys() <= declared

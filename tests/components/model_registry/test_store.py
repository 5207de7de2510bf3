"""The store, on a real MLflow database."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.store import Store
from penstock.components.step_io.errors import StepError

Open = Callable[[], Store]


@pytest.fixture
def database(new_registry: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(new_registry, tmp_path / "registry.db"))


@pytest.fixture
def store(database: Path) -> Store:
    return open_store(f"sqlite:///{database}")


def registered(store: Store, model: str = "taxi", **tags: str) -> int:
    run = store.start_run(f"penstock/{model}", "register_model", 1_000, {})
    return store.create_version(model, f"{run.artifact_uri}/model", run.id, "a model", tags).number


def test_versions_are_none_when_there_is_no_such_model(store: Store) -> None:
    assert store.versions("taxi") == []
    assert store.version_of("taxi", "champion") is None


def test_versions_count_up_and_come_newest_first(store: Store) -> None:
    registered(store, penstock_key="a")
    registered(store, penstock_key="b")
    assert [version.number for version in store.versions("taxi")] == [2, 1]


def test_versions_are_found_by_all_of_their_tags(store: Store) -> None:
    registered(store, **{"penstock.key": "a", "colour": "red"})
    registered(store, **{"penstock.key": "a", "colour": "it's"})
    found = store.versions("taxi", {"penstock.key": "a", "colour": "it's"})
    assert [version.number for version in found] == [2]


def test_models_have_versions_of_their_own(store: Store) -> None:
    registered(store, "taxi")
    assert registered(store, "churn") == 1


def test_a_tag_that_is_set_again_is_replaced(store: Store) -> None:
    number = registered(store, colour="red")
    store.tag_version("taxi", number, {"colour": "blue", "size": "7"})
    assert dict(store.versions("taxi")[0].tags) == {"colour": "blue", "size": "7"}


def test_an_alias_moves(store: Store) -> None:
    registered(store)
    registered(store)
    store.set_alias("taxi", "champion", 1)
    store.set_alias("taxi", "champion", 2)
    champion = store.version_of("taxi", "champion")
    assert champion is not None
    assert (champion.number, champion.aliases) == (2, frozenset({"champion"}))


def test_a_deleted_alias_may_be_deleted_again(store: Store) -> None:
    registered(store)
    store.set_alias("taxi", "challenger", 1)
    store.delete_alias("taxi", "challenger")
    store.delete_alias("taxi", "challenger")
    assert store.version_of("taxi", "challenger") is None


def test_an_alias_of_an_unknown_version_is_refused(store: Store) -> None:
    registered(store)
    with pytest.raises(StepError):
        store.set_alias("taxi", "champion", 7)


def test_a_deleted_version_is_gone_and_its_number_stays_taken(store: Store) -> None:
    registered(store)
    store.delete_version("taxi", 1)
    assert store.versions("taxi") == []
    assert registered(store) == 2


def test_runs_are_found_by_tags_and_the_last_started_comes_first(store: Store) -> None:
    for started, state in ((1_000, "failed"), (3_000, "succeeded"), (2_000, "succeeded")):
        store.start_run("penstock/taxi", f"run at {started}", started, {"state": state})
    found = store.runs("penstock/taxi", {"state": "succeeded"}, most=5)
    assert [run.name for run in found] == ["run at 3000", "run at 2000"]


def test_runs_with_an_unwanted_tag_are_left_out_and_those_without_it_are_not(store: Store) -> None:
    store.start_run("penstock/taxi", "same data", 3_000, {"trained": "true", "data": "a"})
    store.start_run("penstock/taxi", "other data", 2_000, {"trained": "true", "data": "b"})
    store.start_run("penstock/taxi", "unknown data", 1_000, {"trained": "true"})
    found = store.runs("penstock/taxi", {"trained": "true"}, most=5, but_not={"data": "a"})
    assert [run.name for run in found] == ["other data", "unknown data"]


def test_runs_are_none_when_there_is_no_such_experiment(store: Store) -> None:
    assert store.runs("penstock/churn", {"state": "succeeded"}) == []


def test_a_parameter_that_is_there_stays_and_a_long_one_is_shortened(store: Store, database: Path) -> None:
    run = store.start_run("penstock/taxi", "run", 1_000, {})
    store.log(run.id, parameters={"seed": "1"})
    store.log(run.id, parameters={"seed": "2", "query": "x" * 7_000})
    logged = mlflow_run(database, run.id).data.params
    assert logged["seed"] == "1"
    assert logged["query"] == "x" * 5_999 + "…"


def test_more_parameters_than_a_batch_holds_are_all_written(store: Store, database: Path) -> None:
    run = store.start_run("penstock/taxi", "run", 1_000, {})
    store.log(run.id, parameters={f"p{i}": str(i) for i in range(250)}, metrics={"auc": 0.5})
    assert len(mlflow_run(database, run.id).data.params) == 250


def test_metrics_are_the_last_written(store: Store, database: Path) -> None:
    run = store.start_run("penstock/taxi", "run", 1_000, {})
    store.log(run.id, metrics={"auc": 0.5}, at_ms=1_000)
    store.log(run.id, metrics={"auc": 0.75, "rows": 10}, at_ms=2_000)
    assert mlflow_run(database, run.id).data.metrics == {"auc": 0.75, "rows": 10.0}


def test_a_run_ends(store: Store, database: Path) -> None:
    run = store.start_run("penstock/taxi", "run", 1_000, {}, parent="0" * 32)
    store.end_run(run.id, "FAILED", 5_000)
    info = mlflow_run(database, run.id)
    assert (info.info.status, info.info.start_time, info.info.end_time) == ("FAILED", 1_000, 5_000)
    assert info.data.tags["mlflow.parentRunId"] == "0" * 32


def test_folders_go_beside_the_database_and_come_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "deep" / "weights").write_bytes(b"\0\1")
    run = store.start_run("penstock/taxi", "run", 1_000, {})
    uris = store.put_folders(run, {"model": tmp_path / "made"})
    assert (tmp_path / "mlflow-artifacts") in Path(uris["model"]).parents
    store.fetch_folder(uris["model"], tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "weights").read_bytes() == b"\0\1"


def test_a_folder_that_is_gone_is_said_to_be(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StepError) as error:
        store.fetch_folder(str(tmp_path / "nothing"), tmp_path / "back")
    assert str(error.value) == (
        f"{tmp_path / 'nothing'} is gone: restore it, or point the alias at another version"
    )


def test_a_deleted_experiment_is_brought_back(store: Store, database: Path) -> None:
    from mlflow.tracking import MlflowClient

    run = store.start_run("penstock/taxi", "run", 1_000, {"state": "old"})
    client = MlflowClient(f"sqlite:///{database}")
    client.delete_experiment(client.get_run(run.id).info.experiment_id)
    assert store.runs("penstock/taxi", {"state": "old"}) == []
    store.start_run("penstock/taxi", "run", 2_000, {"state": "new"})
    assert len(store.runs("penstock/taxi", {"state": "new"})) == 1


def mlflow_run(database: Path, run_id: str):  # type: ignore[no-untyped-def]
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{database}").get_run(run_id)

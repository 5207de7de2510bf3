from pathlib import Path

import pytest

from penstock.components.model_registry.names import PARENT, RUN_ID, STEP
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.run_record import publish_run
from penstock.components.model_registry.store import Store, StoredRun
from tests.components.model_registry.accounts import step, trained_run

pytestmark = pytest.mark.usefixtures("registry_in_place")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'registry.db'}")


def nested(store: Store, whole: StoredRun) -> dict[str, StoredRun]:
    return {run.name: run for run in store.runs("penstock/taxi", {PARENT: whole.id}, 100)}


def stored(store: Store, run: StoredRun) -> StoredRun:
    return next(found for found in store.runs("penstock/taxi", {}, 100) if found.id == run.id)


def test_a_run_and_its_steps_are_there(store: Store) -> None:
    whole = publish_run(store, trained_run())
    assert set(nested(store, whole)) == {
        "inspect source",
        "compute statistics",
        "validate data",
        "train model",
        "evaluate model",
        "register model",
    }
    found = stored(store, whole)
    assert (found.name, found.status) == ("run-1", "FINISHED")
    assert {
        name: found.tags[f"penstock.{name}"] for name in ("state", "fingerprint", "trained", "statistics_uri")
    } == {
        "state": "succeeded",
        "fingerprint": "f1",
        "trained": "true",
        "statistics_uri": "/runs/run-1/statistics",
    }


def test_mlflow_shows_times_parameters_and_metrics(store: Store, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    whole = publish_run(store, trained_run())
    client = MlflowClient(f"sqlite:///{tmp_path / 'registry.db'}")
    run = client.get_run(whole.id)
    assert run.data.params == {"label": '{"name": "big_tip"}', "model_name": "taxi", "until": "2015-01-01"}
    assert run.data.metrics == {"auc": 0.75, "auc_low": 0.7, "auc_high": 0.8, "seconds": 40.0}
    assert run.info.end_time - run.info.start_time == 40_000
    train = client.get_run(nested(store, whole)["train model"].id)
    assert (train.data.params, train.data.metrics) == ({"seed": "7"}, {"seconds": 2.0})
    assert train.data.tags["penstock.image"] == "penstock/train_model:1"


def test_publishing_again_adds_nothing(store: Store) -> None:
    publish_run(store, trained_run())
    publish_run(store, trained_run())
    assert len(store.runs("penstock/taxi", {}, 100)) == 7


def test_the_run_that_holds_the_model_becomes_the_step_that_registered_it(store: Store) -> None:
    tags = {RUN_ID: "run-1", STEP: "register_model"}
    holds_the_model = store.start_run("penstock/taxi", "register_model", 5, tags)
    whole = publish_run(store, trained_run())
    assert stored(store, holds_the_model).tags[PARENT] == whole.id
    assert len(store.runs("penstock/taxi", {}, 100)) == 7


def test_a_run_whose_data_were_blocked_is_no_baseline(store: Store) -> None:
    steps = [step("inspect_source", results={"fingerprint": "f1"}), step("gate", "blocked", error="no rows")]
    whole = publish_run(store, trained_run(state="blocked", steps=steps))
    found = stored(store, whole)
    assert found.status == "FAILED"
    assert "penstock.trained" not in found.tags
    assert found.tags["penstock.error"] == "no rows"


def test_steps_that_never_ran_are_left_out(store: Store) -> None:
    steps = [step("inspect_source"), step("train_model", "skipped"), step("tune_model", "pending")]
    whole = publish_run(store, trained_run(state="failed", steps=steps))
    assert set(nested(store, whole)) == {"inspect source"}


def test_a_parameter_beyond_mlflows_limit_is_shortened(store: Store, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    whole = publish_run(store, trained_run(arguments={"model_name": "taxi", "query": "x" * 10_000}))
    run = MlflowClient(f"sqlite:///{tmp_path / 'registry.db'}").get_run(whole.id)
    assert run.data.params["query"] == "x" * 5_999 + "…"

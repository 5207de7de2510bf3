import json
from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry.names import (
    APP_VERSION,
    CHAMPION,
    CODE_VERSION,
    FINGERPRINT,
    METRICS,
    PREVIOUS,
    STATISTICS_URI,
    TRAINED,
    UNTIL,
)
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.store import Store
from penstock.components.resolve_champion.step import Outputs, run
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

pytestmark = pytest.mark.usefixtures("registry_in_place")


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture
def store(uri: str) -> Store:
    return open_store(uri)


def resolve(uri: str, **changed: Any) -> Outputs:
    given: dict[str, Any] = {
        "model_name": "taxi",
        "fingerprint": "f1",
        "app_version": "a1",
        "code_version": "c1",
        "registry_uri": uri,
    }
    return run(**{**given, **changed})


def add_version(store: Store, folder: Path, alias: str = CHAMPION, **tags: str) -> Path:
    """Register a version with artifacts and give it an alias."""
    started = store.start_run("penstock/taxi", "register_model", 1, {})
    model = folder / started.id / "model"
    statistics = folder / started.id / "statistics"
    model.mkdir(parents=True)
    statistics.mkdir()
    made_of = {FINGERPRINT: "f1", APP_VERSION: "a1", CODE_VERSION: "c1", STATISTICS_URI: str(statistics)}
    version = store.create_version("taxi", str(model), started.id, "", {**made_of, **tags})
    store.set_alias("taxi", alias, version.number)
    return model


def test_the_first_run_trains(uri: str) -> None:
    assert resolve(uri) == Outputs("train", "there is no champion yet", "", "", {}, "", "")


def test_a_model_without_a_champion_trains(store: Store, uri: str, tmp_path: Path) -> None:
    add_version(store, tmp_path, alias="challenger")
    assert resolve(uri).reason == "there is no champion yet"


def test_nothing_to_train_when_nothing_changed(store: Store, uri: str, tmp_path: Path) -> None:
    model = add_version(store, tmp_path, **{METRICS: '{"auc": 0.75, "rows": 10}'})
    assert resolve(uri) == Outputs(
        decision="unchanged",
        reason="the data, the app and the steps' code are those of champion version 1",
        champion_version="1",
        champion_uri=str(model),
        champion_metrics={"auc": 0.75, "rows": 10.0},
        baseline_name="champion version 1",
        baseline_uri=str(model.with_name("statistics")),
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"fingerprint": "f2"}, "the data changed since champion version 1"),
        ({"app_version": "a2"}, "the app changed since champion version 1"),
        ({"code_version": "c2"}, "the steps' code changed since champion version 1"),
        ({"fingerprint": "f2", "app_version": "a2"}, "the data and the app changed since champion version 1"),
        (
            {"fingerprint": "f2", "app_version": "a2", "code_version": "c2"},
            "the data, the app and the steps' code changed since champion version 1",
        ),
        (
            {"code_version": ""},
            "the version of the steps' code is not known, so champion version 1 may be out of date",
        ),
        ({"force": True}, "--force: nothing has changed since champion version 1"),
    ],
)
def test_the_reason_says_what_differs(
    changed: dict[str, Any], reason: str, store: Store, uri: str, tmp_path: Path
) -> None:
    add_version(store, tmp_path)
    resolved = resolve(uri, **changed)
    assert (resolved.decision, resolved.reason) == ("train", reason)


def test_a_champion_that_somebody_else_registered_is_trained_against(
    store: Store, uri: str, tmp_path: Path
) -> None:
    started = store.start_run("penstock/taxi", "by hand", 1, {})
    store.create_version("taxi", str(tmp_path), started.id, "", {})
    store.set_alias("taxi", CHAMPION, 1)
    resolved = resolve(uri)
    assert (resolved.decision, resolved.champion_version, resolved.baseline_uri) == ("train", "1", "")


def test_metrics_that_are_no_json_are_left_out(store: Store, uri: str, tmp_path: Path) -> None:
    add_version(store, tmp_path, **{METRICS: "0.75"})
    assert resolve(uri).champion_metrics == {}


def test_a_champion_without_its_artifacts_stops_the_run(store: Store, uri: str, tmp_path: Path) -> None:
    model = add_version(store, tmp_path)
    model.rename(tmp_path / "moved")
    with pytest.raises(StepError) as error:
        resolve(uri)
    assert str(error.value) == (
        f"the artifacts of the champion (taxi version 1) are gone from {model}: "
        "restore that folder, or take the alias 'champion' away to begin anew"
    )


def test_a_champion_without_its_artifacts_names_the_version_to_roll_back_to(
    store: Store, uri: str, tmp_path: Path
) -> None:
    add_version(store, tmp_path, PREVIOUS)
    model = add_version(store, tmp_path)
    model.rename(tmp_path / "moved")
    with pytest.raises(StepError) as error:
        resolve(uri)
    assert str(error.value) == (
        f"the artifacts of the champion (taxi version 2) are gone from {model}: "
        "restore that folder, or roll back to version 1"
    )


def add_run(store: Store, tmp_path: Path, started_ms: int, fingerprint: str, until: str) -> Path:
    folder = tmp_path / f"run-{started_ms}"
    folder.mkdir()
    tags = {TRAINED: "true", FINGERPRINT: fingerprint, STATISTICS_URI: str(folder), UNTIL: until}
    store.start_run("penstock/taxi", f"run-{started_ms}", started_ms, tags)
    return folder


def test_the_previous_span_is_the_last_run_on_other_data(store: Store, uri: str, tmp_path: Path) -> None:
    add_version(store, tmp_path)
    add_run(store, tmp_path, 1_000, "f0", "2014-01-01")
    before = add_run(store, tmp_path, 2_000, "f2", "2015-01-01")
    add_run(store, tmp_path, 3_000, "f1", "2016-01-01")
    resolved = resolve(uri, baseline="previous_span")
    assert (resolved.baseline_name, resolved.baseline_uri) == (
        "the run before (until 2015-01-01)",
        str(before),
    )


def test_a_previous_span_whose_statistics_are_gone_is_passed_over(
    store: Store, uri: str, tmp_path: Path
) -> None:
    older = add_run(store, tmp_path, 1_000, "f0", "2014-01-01")
    add_run(store, tmp_path, 2_000, "f2", "2015-01-01").rmdir()
    assert resolve(uri, baseline="previous_span").baseline_uri == str(older)


def test_no_previous_span_falls_back_to_the_champion(store: Store, uri: str, tmp_path: Path) -> None:
    add_version(store, tmp_path)
    assert resolve(uri, baseline="previous_span").baseline_name == "champion version 1"


def test_neither_previous_span_nor_champion_is_no_baseline(uri: str) -> None:
    assert resolve(uri, baseline="previous_span").baseline_name == ""


def test_an_unknown_baseline_is_refused(uri: str) -> None:
    with pytest.raises(StepError) as error:
        resolve(uri, baseline="last_week")
    assert str(error.value) == "baseline is 'last_week': it must be 'champion' or 'previous_span'"


def test_the_step_gives_what_its_spec_declares(uri: str, tmp_path: Path) -> None:
    given = {"model_name": "taxi", "fingerprint": "f1", "app_version": "a1", "code_version": "c1"}
    code = execute(run, "resolve_champion", executor_input(tmp_path, {**given, "registry_uri": uri}))
    parameters, artifacts = read_outputs(tmp_path)
    assert (code, artifacts) == (0, {})
    assert set(parameters) == set(Outputs._fields)


def test_an_unreachable_registry_ends_the_step_with_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = {"model_name": "taxi", "fingerprint": "f1", "app_version": "a1", "code_version": "c1"}
    uri = "http://127.0.0.1:9"  # the discard port: nobody listens
    assert execute(run, "resolve_champion", executor_input(tmp_path, {**given, "registry_uri": uri})) == 2
    assert not (tmp_path / "executor_output.json").exists()
    assert json.loads(capfd.readouterr().out)["error"] == (
        "the model registry http://127.0.0.1:9 cannot be reached ([Errno 111] Connection refused): "
        "start it, or correct registry_uri"
    )

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.components.fetch_champion.step import run
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

pytestmark = pytest.mark.usefixtures("registry_in_place")

OUTPUTS = {"model": "system.Model", "statistics": "system.Artifact"}


def fetch(folder: Path, **parameters: Any) -> int:
    given = {"champion_version": "", "champion_uri": "", "baseline_uri": "", **parameters}
    given["registry_uri"] = f"sqlite:///{folder / 'registry.db'}"
    return execute(run, "fetch_champion", executor_input(folder, given, outputs=OUTPUTS))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What register_model keeps of a champion."""
    folder = tmp_path / "kept"
    (folder / "model" / "saved_model").mkdir(parents=True)
    (folder / "model" / "saved_model" / "saved_model.pb").write_bytes(b"\0graph")
    (folder / "model" / "model.json").write_text("{}")
    (folder / "model" / "MLmodel").write_text("flavors: {}")
    (folder / "statistics").mkdir()
    (folder / "statistics" / "statistics.pb").write_bytes(b"\0statistics")
    return folder


def test_model_and_statistics_come_as_they_were_written(kept: Path, tmp_path: Path) -> None:
    code = fetch(
        tmp_path,
        champion_version="1",
        champion_uri=str(kept / "model"),
        baseline_uri=str(kept / "statistics"),
    )
    parameters, artifacts = read_outputs(tmp_path)
    assert (code, parameters, set(artifacts)) == (0, {}, set(OUTPUTS))
    assert files(artifacts["model"]) == {"saved_model/saved_model.pb": b"\0graph", "model.json": b"{}"}
    assert files(artifacts["statistics"]) == {"statistics.pb": b"\0statistics"}


def test_no_champion_gives_folders_that_say_so(tmp_path: Path) -> None:
    assert fetch(tmp_path) == 0
    assert files(tmp_path / "model") == {"none.json": b'{"none": "model"}\n'}
    assert files(tmp_path / "statistics") == {"none.json": b'{"none": "statistics"}\n'}


def test_a_champion_without_statistics_gives_its_model(kept: Path, tmp_path: Path) -> None:
    assert fetch(tmp_path, champion_version="1", champion_uri=str(kept / "model")) == 0
    assert "model.json" in files(tmp_path / "model")
    assert set(files(tmp_path / "statistics")) == {"none.json"}


def test_a_folder_that_is_gone_ends_the_step_without_outputs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    assert fetch(tmp_path, champion_version="1", champion_uri=str(gone)) == 2
    assert not (tmp_path / "model").exists()
    assert json.loads(capfd.readouterr().out)["error"] == (
        f"the champion's model cannot be fetched: {gone} is gone: restore it, or point the alias at another version"
    )


def test_what_mlflow_alone_can_reach_comes_through_mlflow(kept: Path, tmp_path: Path) -> None:
    from penstock.components.model_registry.opening import open_store

    store = open_store(f"sqlite:///{tmp_path / 'registry.db'}")
    started = store.start_run("penstock/taxi", "register_model", 1, {})
    store.put_folders(started, {"statistics": kept / "statistics"})
    assert fetch(tmp_path, baseline_uri=f"runs:/{started.id}/statistics") == 0
    assert files(tmp_path / "statistics") == {"statistics.pb": b"\0statistics"}

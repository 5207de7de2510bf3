import json
from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry import names
from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.promotion import promote, rollback
from penstock.components.model_registry.store import Store
from penstock.components.register_model.content_key import content_key
from penstock.components.register_model.step import run
from penstock.components.step_io.main import execute
from tests.components.register_model.samples import OUTPUTS, PARAMETERS, write_inputs
from tests.executor_input import executor_input, read_outputs

pytestmark = pytest.mark.usefixtures("registry_in_place")


class Registry:
    """A registry in a folder, and the step that registers into it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, 0
        self.uri = f"sqlite:///{folder / 'registry.db'}"

    @property
    def store(self) -> Store:
        return open_store(self.uri)

    def register(self, weights: bytes = b"\0weights", **changed: Any) -> dict[str, Any]:
        """Run the step in a folder of its own and return its output parameters."""
        self.calls += 1
        folder = self.folder / f"call-{self.calls}"
        folder.mkdir()
        inputs = write_inputs(folder, weights)
        given = {**PARAMETERS, "registry_uri": self.uri, **changed}
        assert execute(run, "register_model", executor_input(folder, given, inputs, OUTPUTS)) == 0
        self.outputs, self.artifacts = read_outputs(folder)
        return self.outputs

    def aliases(self) -> dict[str, int]:
        return {alias: version.number for version in self.store.versions("taxi") for alias in version.aliases}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_a_model_becomes_the_champion(registry: Registry) -> None:
    outputs = registry.register()
    version = registry.store.versions("taxi")[0]
    assert outputs == {"version": "1", "model_uri": version.source, "promoted": True}
    assert registry.aliases() == {"champion": 1}


def test_the_step_gives_what_its_spec_declares(registry: Registry) -> None:
    assert set(registry.register()) == {"version", "model_uri", "promoted"}
    assert set(registry.artifacts) == set(OUTPUTS)


def test_the_registry_keeps_everything_when_the_run_is_deleted(registry: Registry) -> None:
    kept = Path(registry.register()["model_uri"])
    assert {path.name for path in kept.iterdir()} == {
        "MLmodel",
        "background.json",
        "model.json",
        "saved_model",
    }
    assert {path.name for path in kept.parent.iterdir()} == {
        "card",
        "evaluation",
        "explanation",
        "model",
        "rules",
        "statistics",
    }
    assert not any(path.is_symlink() for path in kept.parent.rglob("*"))


def test_the_rows_that_explanations_compare_with_lie_in_the_model_folder(registry: Registry) -> None:
    kept = Path(registry.register()["model_uri"])
    found = json.loads((kept / "background.json").read_text())
    assert found == {"instances": [{"fare": 7.5, "payment": "Cash"}]}


def test_the_version_tells_its_lineage(registry: Registry) -> None:
    registry.register(champion_version="")
    tags = dict(registry.store.versions("taxi")[0].tags)
    statistics = tags.pop(names.STATISTICS_URI)
    assert Path(statistics, "statistics.pb").read_bytes() == b"\0statistics"
    assert tags.pop(names.PROMOTED_AT)
    assert json.loads(tags.pop(names.METRICS)) == {"auc": 0.8, "log_loss": 0.5}
    assert len(tags.pop(names.KEY)) == len(tags.pop("penstock.schema_hash")) == 64
    assert tags == {
        "penstock.run_id": "run-1",
        "penstock.app": "taxi",
        "penstock.app_version": "a" * 64,
        "penstock.code_version": "c" * 16,
        "penstock.fingerprint": "f" * 64,
        "penstock.data_fingerprint": "d" * 64,
        "penstock.until": "2015-01-01",
        "penstock.watermark": "2014-12-31T23:00:00Z",
        "penstock.source": "s3://***@bucket/trips.csv",
        "penstock.rows": "10000",
        "penstock.split_rows": '{"test": 1500, "train": 7000, "validation": 1500}',
        "penstock.verdict": "pass",
        "penstock.drift": "none",
        "penstock.task": "binary",
        "penstock.label": "big_tip",
    }


def test_a_model_that_is_to_be_rolled_out_challenges_the_champion(registry: Registry) -> None:
    assert registry.register(challenge=True)["promoted"]  # there is no champion to roll it out beside
    outputs = registry.register(b"\0better", run_id="run-2", fingerprint="g" * 64, challenge=True)
    assert (outputs["version"], outputs["promoted"]) == ("2", False)
    assert registry.aliases() == {"champion": 1, "challenger": 2}
    assert "a rollout promotes it" in registry.artifacts["card_markdown"].read_text()


def test_the_next_model_pushes_the_champion_to_previous(registry: Registry) -> None:
    registry.register()
    outputs = registry.register(b"\0better", run_id="run-2", fingerprint="g" * 64, champion_version="1")
    assert (outputs["version"], outputs["promoted"]) == ("2", True)
    assert registry.aliases() == {"champion": 2, "previous": 1}
    assert registry.store.versions("taxi")[0].tags["penstock.parent_version"] == "1"


def test_without_promotion_it_is_the_challenger(registry: Registry) -> None:
    registry.register()
    outputs = registry.register(b"\0better", run_id="run-2", promote=False)
    assert (outputs["version"], outputs["promoted"]) == ("2", False)
    assert registry.aliases() == {"champion": 1, "challenger": 2}


def test_a_challenger_is_promoted_when_its_run_is_repeated_with_promotion(registry: Registry) -> None:
    registry.register(promote=False)
    outputs = registry.register()
    assert (outputs["version"], outputs["promoted"]) == ("1", True)
    assert registry.aliases() == {"champion": 1}


def test_the_same_run_registers_once(registry: Registry) -> None:
    first = registry.register()
    assert registry.register() == first
    assert len(registry.store.versions("taxi")) == 1


def test_another_run_with_the_same_inputs_and_weights_registers_nothing(registry: Registry) -> None:
    registry.register()
    assert registry.register(run_id="run-2")["version"] == "1"
    assert len(registry.store.runs("penstock/taxi", {}, 10)) == 1


def test_other_weights_of_the_same_inputs_are_another_version(registry: Registry) -> None:
    registry.register()
    assert registry.register(b"\0others", run_id="run-2")["version"] == "2"


def test_an_old_window_that_runs_again_does_not_take_the_championship_back(registry: Registry) -> None:
    registry.register()
    registry.register(b"\0newer", run_id="run-2", fingerprint="g" * 64)
    outputs = registry.register(run_id="run-3")
    assert (outputs["version"], outputs["promoted"]) == ("1", False)
    assert registry.aliases() == {"champion": 2, "previous": 1}
    assert (
        "version 1 is registered, not the champion: version 1 was champion before and version 2 has taken its place"
        in registry.artifacts["card_markdown"].read_text()
    )


def test_a_scheduled_run_does_not_undo_a_rollback(registry: Registry) -> None:
    registry.register()
    registry.register(b"\0newer", run_id="run-2", fingerprint="g" * 64)
    rollback(registry.store, "taxi")
    outputs = registry.register(b"\0newer", run_id="run-3", fingerprint="g" * 64)
    assert (outputs["version"], outputs["promoted"]) == ("2", False)
    assert registry.aliases() == {"champion": 1, "previous": 2}


def test_a_person_can_promote_what_a_run_may_not(registry: Registry) -> None:
    registry.register()
    registry.register(b"\0newer", run_id="run-2", fingerprint="g" * 64)
    promote(registry.store, "taxi", 1)
    assert registry.aliases() == {"champion": 1, "previous": 2}


def test_a_folder_that_is_no_model_is_refused(
    registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = write_inputs(tmp_path)
    (inputs["model"] / "model.json").unlink()
    given = {**PARAMETERS, "registry_uri": registry.uri}
    assert execute(run, "register_model", executor_input(tmp_path / "out", given, inputs, OUTPUTS)) == 2
    assert not (tmp_path / "out" / "card").exists()
    said = json.loads(capfd.readouterr().out)["error"]
    assert said.startswith(f"{inputs['model'] / 'model.json'} cannot be read (")


def test_the_key_does_not_depend_on_the_graph(tmp_path: Path) -> None:
    model = write_inputs(tmp_path)["model"]
    before = content_key(model, "f", "a", "c")
    (model / "saved_model" / "saved_model.pb").write_bytes(b"\0the same graph, numbered otherwise")
    assert content_key(model, "f", "a", "c") == before


@pytest.mark.parametrize("inputs", [("x", "a", "c"), ("f", "x", "c"), ("f", "a", "x")])
def test_the_key_depends_on_data_app_and_code(tmp_path: Path, inputs: tuple[str, str, str]) -> None:
    model = write_inputs(tmp_path)["model"]
    assert content_key(model, *inputs) != content_key(model, "f", "a", "c")


def test_mlflow_reads_the_signature_and_the_flavor(registry: Registry) -> None:
    from mlflow.models.model import Model

    model = Model.load(registry.register()["model_uri"])
    assert model.flavors == {
        "tensorflow": {"code": None, "model_type": "tf2-module", "saved_model_dir": "saved_model"}
    }
    assert model.signature.inputs.to_dict() == [
        {"name": "fare", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": (-1, 1)}},
        {"name": "payment", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": (-1, 1)}},
    ]
    assert model.signature.outputs.input_names() == ["score", "label"]
    assert model.run_id == registry.store.versions("taxi")[0].run_id

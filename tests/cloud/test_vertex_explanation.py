"""The explanation spec that explain_model writes is one that Vertex AI's own messages can hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from google.cloud.aiplatform_v1.types import ExplanationSpec
from google.protobuf.json_format import MessageToDict, ParseDict

from penstock.components.explain_model.vertex import explanation_spec
from penstock.components.serving_model.folder import ModelFolder

INPUTS = [
    {"name": "trip miles", "dtype": "float64"},
    {"name": "größe", "dtype": "string"},
    {"name": "never there", "dtype": "float64"},
    {"name": "empty", "dtype": "string"},
]
BACKGROUND = {
    "trip miles": np.array([3.5, np.nan, 1.0, 2.0]),
    "größe": np.array(["klein", "groß", "", "groß"], object),
    "never there": np.full(4, np.nan),
    "empty": np.full(4, "", object),
}
TASKS = {
    "binary": (["no", "yes"], "yes", "score"),
    "multiclass": (["a", "b", "c"], "", "probabilities"),
    "regression": ([], "", "prediction"),
}


def model_of(path: Path, task: str) -> ModelFolder:
    """Return a model folder of a task; explaining needs no more of it than model.json."""
    classes, positive, _ = TASKS[task]
    (path / "saved_model").mkdir()
    (path / "saved_model" / "saved_model.pb").touch()
    described = {"task": task, "label": "y", "classes": classes, "positive": positive, "inputs": INPUTS}
    (path / "model.json").write_text(json.dumps(described))
    return ModelFolder.read(path)


def parsed(spec: dict) -> ExplanationSpec:
    """Parse as the client does before it uploads a model; a key that the message does not have is an error."""
    return ExplanationSpec(ParseDict(spec, ExplanationSpec.pb(ExplanationSpec())))


@pytest.mark.parametrize("task", TASKS)
def test_spec_is_a_message_of_the_api_and_loses_nothing(tmp_path: Path, task: str) -> None:
    spec = json.loads(json.dumps(explanation_spec(model_of(tmp_path, task), BACKGROUND, 20)))
    message = parsed(spec)
    assert MessageToDict(ExplanationSpec.pb(message)) == spec
    assert message.parameters.sampled_shapley_attribution.path_count == 20
    assert list(message.metadata.outputs) == [TASKS[task][2]]  # the API takes one output


def test_each_input_has_a_baseline_of_its_kind(tmp_path: Path) -> None:
    message = parsed(explanation_spec(model_of(tmp_path, "binary"), BACKGROUND, 20))
    baselines = {name: list(one.input_baselines) for name, one in message.metadata.inputs.items()}
    assert baselines == {"trip miles": [2.0], "größe": ["groß"], "never there": [0.0], "empty": [""]}
    assert message.metadata.inputs["größe"].modality == "categorical"
    assert message.metadata.inputs["trip miles"].input_tensor_name == "trip miles"


@pytest.mark.parametrize(("paths", "taken"), [(1, 1), (128, 50)])
def test_number_of_paths_keeps_within_the_api(tmp_path: Path, paths: int, taken: int) -> None:
    message = parsed(explanation_spec(model_of(tmp_path, "regression"), BACKGROUND, paths))
    assert message.parameters.sampled_shapley_attribution.path_count == taken


def test_classes_name_the_places_of_the_probabilities(tmp_path: Path) -> None:
    message = parsed(explanation_spec(model_of(tmp_path, "multiclass"), BACKGROUND, 20))
    names = message.metadata.outputs["probabilities"].index_display_name_mapping
    assert list(names) == ["a", "b", "c"]

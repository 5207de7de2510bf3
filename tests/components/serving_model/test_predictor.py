import json

import numpy as np
import pytest

from penstock.components.serving_model.answers import answers, scores_of
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from penstock.components.serving_model.rows import columns_of
from penstock.components.step_io.errors import StepError
from tests.components.evaluate_model.tiny_models import save_model

ROWS = [{"x": 1.0, "color": "red"}, {"x": None}, {"x": -2, "color": None}]
NUMBERS, TEXTS = {"x": 0.5}, {"color": {"red": 1.0}}
SCORES = np.array([1.5, 0.0, -1.0])  # 0.5 x + 1 for red


def loaded(path, task, **more):
    folder = ModelFolder.read(save_model(path / "m", task, numbers=NUMBERS, texts=TEXTS, **more))
    return folder, Predictor(folder)


def test_binary_model_answers_score_and_label(tmp_path):
    folder, predictor = loaded(tmp_path, "binary", classes=["no", "ja"], positive="ja")
    outputs = predictor.predict(columns_of(ROWS, folder.inputs))
    np.testing.assert_allclose(outputs["score"], 1 / (1 + np.exp(-SCORES)), rtol=1e-6)
    assert outputs["label"].tolist() == ["ja", "ja", "no"]
    rows = answers(folder, outputs)
    assert rows[2] == {"score": pytest.approx(0.26894, abs=1e-5), "label": "no"}
    assert json.loads(json.dumps(rows)) == rows
    assert scores_of(folder, outputs, 2) == outputs["score"].tolist()[:2]


def test_multiclass_model_answers_probabilities_by_class(tmp_path):
    folder, predictor = loaded(tmp_path, "multiclass", classes=["a", "b", "ü"])
    outputs = predictor.predict(columns_of(ROWS, folder.inputs))
    assert outputs["probabilities"].shape == (3, 3)
    rows = answers(folder, outputs)
    assert list(rows[0]["probabilities"]) == ["a", "b", "ü"]
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1)
    assert [row["label"] for row in rows] == ["ü", "a", "a"]
    assert scores_of(folder, outputs, 1) == [max(rows[0]["probabilities"].values())]


def test_regression_model_answers_predictions(tmp_path):
    folder, predictor = loaded(tmp_path, "regression")
    outputs = predictor.predict(columns_of(ROWS, folder.inputs))
    assert answers(folder, outputs) == [{"prediction": 1.5}, {"prediction": 0.0}, {"prediction": -1.0}]
    assert answers(folder, {"prediction": np.array([np.nan])}) == [{"prediction": None}]


def test_no_rows_give_no_answers(tmp_path):
    folder, predictor = loaded(tmp_path, "multiclass", classes=["a", "b"])
    outputs = predictor.predict(columns_of([], folder.inputs))
    assert answers(folder, outputs) == []
    assert scores_of(folder, outputs, 5) == []


def test_model_json_that_names_other_inputs_is_refused(tmp_path):
    path = save_model(tmp_path / "m", "regression", numbers=NUMBERS)
    described = json.loads((path / "model.json").read_text())
    described["inputs"] = [{"name": "y", "dtype": "float64"}]
    (path / "model.json").write_text(json.dumps(described))
    with pytest.raises(StepError, match=r"takes \['x'\] which model.json does not name"):
        Predictor(ModelFolder.read(path))


def test_folder_without_a_model_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(StepError, match=r"model.json is not there: .* is no model folder of train_model"):
        ModelFolder.read(tmp_path)
    save_model(tmp_path / "m", "regression", numbers=NUMBERS)
    (tmp_path / "m/saved_model/saved_model.pb").unlink()
    with pytest.raises(StepError, match=r"holds no saved_model/saved_model\.pb"):
        ModelFolder.read(tmp_path / "m")


def test_older_models_say_neither_types_nor_examples(tmp_path):
    folder = ModelFolder.read(save_model(tmp_path / "m", "regression", numbers=NUMBERS))
    assert (folder.inputs[0].type, folder.inputs[0].required, folder.examples) == ("", False, [])
    assert folder.outputs == ("prediction",)

import json

import numpy as np
import pytest

from penstock.components.explanations.explainer import Explainer, read_background
from penstock.components.serving_model.folder import ModelFolder
from penstock.components.serving_model.predictor import Predictor
from penstock.components.serving_model.rows import columns_of
from penstock.components.step_io.errors import StepError
from tests.components.evaluate_model.tiny_models import save_model
from tests.components.explanations.enumeration import exact
from tests.components.explanations.models import ODD, PLAIN, save, score

ROWS = [(1.5, None, "klein"), (-2, 4.0, None), (None, None, "unbekannt"), (0.2, -1, "groß")]
BACKGROUND = [(0.1, 1.0, "groß"), (None, 0.3, "klein"), (0.9, None, None)]
TASKS = ["binary", "multiclass", "regression"]


def named(rows, names=PLAIN):
    """Return rows as JSON gives them: null, or no such key."""
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None or name == names[1]}
        for row in rows
    ]


def explainer_of(path, pairs=1, names=PLAIN):
    folder = ModelFolder.read(path)
    return Explainer(Predictor(folder), columns_of(named(BACKGROUND, names), folder.inputs), pairs)


@pytest.fixture(scope="module")
def explainers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {task: explainer_of(save(folder / task, task)) for task in TASKS}


def rows_for(explainer, names=PLAIN):
    return columns_of(named(ROWS, names), explainer.folder.inputs)


@pytest.mark.parametrize("task", TASKS)
def test_baseline_and_attributions_add_up_to_what_the_model_answers(explainers, task):
    explainer = explainers[task]
    answers = explainer.predictor.predict(rows_for(explainer))[explainer.output].reshape(4, -1)
    found = explainer.attribute(rows_for(explainer))
    np.testing.assert_allclose(found.baseline + found.values.sum(axis=1), answers, atol=1e-6)
    for told in explainer.explain(rows_for(explainer)):
        assert told["baseline"] + sum(told["attributions"].values()) == pytest.approx(told["value"], abs=1e-6)
        assert tuple(told["attributions"]) == PLAIN


@pytest.mark.parametrize("task", TASKS)
def test_inputs_may_have_any_name(tmp_path, explainers, task):
    explainer = explainer_of(save(tmp_path / task, task, ODD), names=ODD)
    for told, plain in zip(
        explainer.explain(rows_for(explainer, ODD)),
        explainers[task].explain(rows_for(explainers[task])),
        strict=True,
    ):
        assert tuple(told["attributions"]) == ODD
        assert list(told["attributions"].values()) == pytest.approx(list(plain["attributions"].values()))
        assert told["baseline"] + sum(told["attributions"].values()) == pytest.approx(told["value"], abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_many_permutations_come_to_the_values_of_the_definition(explainers, task):
    explainer = Explainer(explainers[task].predictor, explainers[task].background, pairs=400)
    columns = rows_for(explainer)
    defined = exact(
        lambda mixed: explainer.predictor.predict(mixed)[explainer.output], columns, explainer.background
    )
    scale = np.abs(defined).max()
    np.testing.assert_allclose(explainer.attribute(columns).values, defined, atol=0.02 * scale)


def test_explanation_of_a_binary_model_is_that_of_its_score(explainers):
    told = explainers["binary"].explain(rows_for(explainers["binary"]))[0]
    assert (told["output"], told["class"]) == ("score", "ja, sehr")
    assert told["value"] == pytest.approx(1 / (1 + np.exp(-score(1.5, None, "klein"))), abs=1e-6)
    assert told["attributions"]["miles"] > 0.1
    assert json.loads(json.dumps(told)) == told


def test_multiclass_model_explains_the_predicted_class_or_the_one_asked_for(explainers):
    explainer = explainers["multiclass"]
    columns = rows_for(explainer)
    assert [told["class"] for told in explainer.explain(columns)] == ["c", "a b", "c", "c"]
    asked = explainer.explain(columns, "ü")
    assert {told["class"] for told in asked} == {"ü"}
    probabilities = explainer.predictor.predict(columns)["probabilities"][:, 1]
    np.testing.assert_allclose([told["value"] for told in asked], probabilities, atol=1e-6)
    with pytest.raises(ValueError, match="'d' is no class that is explained: 'a b', 'ü', 'c'"):
        explainer.explain(columns, "d")


def test_regression_has_no_classes(explainers):
    told = explainers["regression"].explain(rows_for(explainers["regression"]))[1]
    assert "class" not in told
    assert told["value"] == pytest.approx(score(-2, 4.0, None))
    with pytest.raises(ValueError, match="'x' is no class that is explained: 'label'"):
        explainers["regression"].explain(rows_for(explainers["regression"]), "x")


def test_model_that_gives_nan_is_named(tmp_path):
    path = save_model(tmp_path / "m", "regression", numbers={"x": float("nan")})
    folder = ModelFolder.read(path)
    explainer = Explainer(Predictor(folder), {"x": np.array([1.0])})
    with pytest.raises(StepError) as failed:
        explainer.explain({"x": np.array([2.0])})
    assert str(failed.value) == (
        f"the model in {path} gives NaN or infinity as prediction for some rows: it cannot be explained"
    )


def test_background_comes_from_its_file_else_from_the_examples_of_the_model(tmp_path, explainers):
    path = save(tmp_path / "binary", "binary")
    folder = ModelFolder.read(path)
    with pytest.raises(StepError) as failed:
        read_background(folder)
    assert str(failed.value) == (
        f"{path / 'examples.json'} holds no rows: explanations need some to compare with; run explain_model"
    )
    (path / "examples.json").write_text(json.dumps({"instances": named(BACKGROUND), "predictions": [{}] * 3}))
    assert read_background(ModelFolder.read(path))["size"].tolist() == ["groß", "klein", ""]
    file = tmp_path / "background.json"
    file.write_text(json.dumps({"instances": named(BACKGROUND[:1])}))
    assert read_background(folder, file)["miles"].tolist() == [0.1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "cannot be read: JSONDecodeError: "),
        ('{"rows": []}', "cannot be read: KeyError: 'instances'"),
        ('{"instances": [{"mile": 1}]}', "row 0, field 'mile': is no input of the model"),
    ],
)
def test_background_that_does_not_fit_is_named(tmp_path, explainers, text, fault):
    file = tmp_path / "background.json"
    file.write_text(text)
    with pytest.raises(StepError) as failed:
        read_background(explainers["binary"].folder, file)
    assert fault in str(failed.value)
    assert str(file) in str(failed.value)

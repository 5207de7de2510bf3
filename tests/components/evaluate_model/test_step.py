"""The step on small SavedModels and Parquet shards."""

import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.evaluate_model.step import run
from penstock.components.step_io.main import execute
from tests.components.evaluate_model.tiny_models import save_model
from tests.executor_input import executor_input, read_outputs

BINARY = {"name": "label", "task": "binary", "classes": ["no", "yes"], "positive": "yes"}
MULTICLASS = {"name": "label", "task": "multiclass", "classes": ["a", "b", "c"], "positive": ""}
REGRESSION = {"name": "label", "task": "regression", "classes": [], "positive": ""}
OUTPUTS = {
    "evaluation": "system.Artifact",
    "predictions": "system.Dataset",
    "metrics": "system.Metrics",
    "classification": "system.ClassificationMetrics",
    "report": "system.HTML",
}


def make_rows(task, n=400):
    random = np.random.default_rng(0)
    x = random.normal(size=n)
    x[::20] = np.nan
    score = np.nan_to_num(x) * 2 + random.normal(size=n)
    label = {
        "binary": np.where(score > 0.5, "yes", "no"),
        "multiclass": np.array(["a", "b", "c"])[np.digitize(score, [-0.5, 0.8])],
        "regression": score,
    }[task]
    kind = random.choice(["Cash", "Card", ""], n)
    return pa.table(
        {
            "x": pa.array(x, from_pandas=True),
            "kind": pa.array([None if k == "" else k for k in kind]),
            "hour": pa.array(random.integers(0, 5, n)),
            "w": pa.array(random.uniform(0.5, 2, n)),
            "label": pa.array(label),
        }
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    yes = {"classes": ["no", "yes"], "positive": "yes"}
    abc = {"classes": ["a", "b", "c"]}
    save_model(
        folder / "binary", "binary", numbers={"x": 2.0}, texts={"kind": {"Cash": 0.1}}, bias=-0.5, **yes
    )
    save_model(folder / "champion", "binary", numbers={"x": 0.5, "hour": 0.5}, bias=-0.5, **yes)
    save_model(folder / "gone", "binary", numbers={"x": 0.5, "fare": 0.5}, **yes)
    save_model(folder / "explodes", "binary", numbers={"x": float("nan")}, **yes)
    save_model(folder / "multiclass", "multiclass", numbers={"x": 1.0}, **abc)
    save_model(folder / "regression", "regression", numbers={"x": 2.0})
    return folder


def evaluate(tmp_path, capsys, models, table, label_spec, model, champion="", shards=2, **parameters):
    """Run the step; return its exit code, record, and folder of outputs."""
    data = tmp_path / "data"
    data.mkdir()
    edges = np.linspace(0, table.num_rows, shards + 1).astype(int)
    for i in range(shards):
        pq.write_table(table.slice(edges[i], edges[i + 1] - edges[i]), data / f"part-{i:05d}.parquet")
    none = tmp_path / "none"
    none.mkdir()
    (none / "none.json").write_text("{}")
    out = tmp_path / "out"
    given = {
        "label_spec": label_spec,
        "champion_version": "7" if champion else "",
        "resamples": 100,
    } | parameters
    inputs = {
        "model": models / model,
        "champion": models / champion if champion else none,
        "test_data": data,
    }
    code = execute(run, "evaluate_model", executor_input(out, given, inputs, OUTPUTS))
    return code, json.loads(capsys.readouterr().out.splitlines()[-1]), out


def read_evaluation(out):
    return json.loads((out / "evaluation" / "evaluation.json").read_text())


def test_exactly_the_declared_outputs_appear(tmp_path, capsys, models):
    code, record, out = evaluate(tmp_path, capsys, models, make_rows("binary"), BINARY, "binary")
    assert code == 0
    assert record["metrics"]["rows"] == 400
    parameters, artifacts = read_outputs(out)
    assert parameters == {}
    assert artifacts.keys() == OUTPUTS.keys()
    assert sorted(path.name for path in out.iterdir()) == sorted([*OUTPUTS, "executor_output.json"])


def test_first_run_has_no_champion(tmp_path, capsys, models):
    _, _, out = evaluate(tmp_path, capsys, models, make_rows("binary"), BINARY, "binary")
    found = read_evaluation(out)
    assert found["champion_version"] == ""
    assert found["champion_note"] == ""
    assert found["overall"]["champion"] is None
    assert found["overall"]["difference"] is None
    assert found["details"].keys() == {"challenger"}
    assert "there is no champion to compare with" in (out / "report").read_text()


def test_challenger_and_champion_are_compared_on_the_same_rows(tmp_path, capsys, models):
    table = make_rows("binary")
    slices = ["kind", ["kind", "hour"]]
    _, record, out = evaluate(tmp_path, capsys, models, table, BINARY, "binary", "champion", slices=slices)
    found = read_evaluation(out)
    overall = found["overall"]
    assert found["primary_metric"] == "auc"
    assert found["metrics"]["log_loss"]["higher_is_better"] is False
    assert overall["rows"] == found["rows"] == 400
    assert overall["difference"]["auc"]["value"] == pytest.approx(
        overall["challenger"]["auc"]["value"] - overall["champion"]["auc"]["value"]
    )
    assert overall["difference"]["auc"]["low"] > 0
    kinds = [s for s in found["slices"] if s["by"] == ["kind"]]
    assert [s["name"] for s in kinds] == ["kind = Card", "kind = Cash", "kind = (missing)"]
    assert kinds[0]["value"] == {"kind": "Card"}
    assert sum(s["rows"] for s in kinds) == 400
    assert len([s for s in found["slices"] if s["by"] == ["kind", "hour"]]) == 15
    assert record["metrics"]["auc"] == overall["challenger"]["auc"]["value"]
    assert record["metrics"]["auc_low"] == overall["challenger"]["auc"]["low"]


def test_predictions_are_the_model_on_each_row_in_order(tmp_path, capsys, models):
    table = make_rows("binary")
    _, _, out = evaluate(tmp_path, capsys, models, table, BINARY, "binary", "champion", weight="w")
    found = pq.read_table(out / "predictions")
    assert found.column_names == [
        "label",
        "weight",
        "challenger_score",
        "challenger_label",
        "champion_score",
        "champion_label",
    ]
    assert found["label"].to_pylist() == table["label"].to_pylist()
    assert found["weight"].to_pylist() == table["w"].to_pylist()
    logit = (
        2 * np.nan_to_num(table["x"].to_numpy())
        - 0.5
        + np.array([0.1 * (k == "Cash") for k in table["kind"].to_pylist()])
    )
    assert found["challenger_score"].to_numpy() == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert found["challenger_label"].to_pylist() == ["yes" if x >= 0 else "no" for x in logit]


def test_multiclass_predictions_hold_a_probability_for_each_class(tmp_path, capsys, models):
    _, _, out = evaluate(
        tmp_path, capsys, models, make_rows("multiclass"), MULTICLASS, "multiclass", slices=["hour"]
    )
    table = pq.read_table(out / "predictions")
    assert table.column_names == [
        "label",
        "challenger_label",
        "challenger_probability_a",
        "challenger_probability_b",
        "challenger_probability_c",
    ]
    found = read_evaluation(out)
    assert found["overall"]["challenger"].keys() == {"accuracy", "log_loss", "macro_f1", "macro_auc"}
    assert [c["class"] for c in found["details"]["challenger"]["classes"]] == ["a", "b", "c"]
    metadata = json.loads((out / "classification").read_text())
    assert metadata.keys() == {"confusionMatrix"}


def test_regression_has_no_classification_metrics(tmp_path, capsys, models):
    _, _, out = evaluate(
        tmp_path,
        capsys,
        models,
        make_rows("regression"),
        REGRESSION,
        "regression",
        "regression",
        slices=["kind"],
    )
    found = read_evaluation(out)
    assert found["overall"]["challenger"].keys() == {"rmse", "mae", "r2"}
    assert found["overall"]["difference"]["rmse"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert json.loads((out / "classification").read_text()) == {}
    assert pq.read_table(out / "predictions").column_names == [
        "label",
        "challenger_prediction",
        "champion_prediction",
    ]


def test_same_input_gives_the_same_bytes(tmp_path, capsys, models):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        evaluate(
            tmp_path / name,
            capsys,
            models,
            make_rows("binary"),
            BINARY,
            "binary",
            "champion",
            slices=["kind"],
        )
    for path in (
        "evaluation/evaluation.json",
        "predictions/part-00000.parquet",
        "metrics",
        "classification",
        "report",
    ):
        assert (tmp_path / "a/out" / path).read_bytes() == (tmp_path / "b/out" / path).read_bytes(), path


class Fetches(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [
            value for name, value in attrs if name in ("src", "href") and not value.startswith("#")
        ]


@pytest.mark.parametrize(
    ("spec", "model"), [(BINARY, "binary"), (MULTICLASS, "multiclass"), (REGRESSION, "regression")]
)
def test_report_is_one_small_file_that_fetches_nothing(tmp_path, capsys, models, spec, model):
    table = make_rows(spec["task"])
    _, _, out = evaluate(
        tmp_path, capsys, models, table, spec, model, model, slices=["kind", "hour", ["kind", "hour"]]
    )
    text = (out / "report").read_text()
    assert len(text) < 1_000_000
    fetches = Fetches()
    fetches.feed(text)
    assert fetches.found == []
    assert "no difference that the data can show" in text


@pytest.mark.parametrize(
    ("champion", "note"),
    [
        ("gone", "it needs 'fare', which the test data does not have"),
        (
            "multiclass",
            "it predicts a multiclass label, this data has a binary one",
        ),
        ("explodes", "it predicts no probability (NaN, or outside 0 to 1) for 400 of 400 test rows"),
    ],
)
def test_a_champion_that_does_not_fit_is_said_and_the_run_goes_on(tmp_path, capsys, models, champion, note):
    code, _, out = evaluate(tmp_path, capsys, models, make_rows("binary"), BINARY, "binary", champion)
    found = read_evaluation(out)
    assert code == 0
    assert found["champion_note"] == f"champion 7 cannot be scored on this data: {note}"
    assert found["overall"]["champion"] is None
    assert "No comparison: champion 7 cannot be scored on this data" in (out / "report").read_text()


def test_a_champion_with_other_classes_is_not_compared_with(tmp_path, capsys, models):
    table = make_rows("binary")
    renamed = ["ja" if text == "yes" else "nein" for text in table["label"].to_pylist()]
    table = table.set_column(4, "label", pa.array(renamed))
    spec = BINARY | {"classes": ["ja", "nein"], "positive": "ja"}
    new = save_model(tmp_path / "new", "binary", numbers={"x": 1.0}, classes=["ja", "nein"], positive="ja")
    _, _, out = evaluate(tmp_path, capsys, models, table, spec, new, "binary")
    assert read_evaluation(out)["champion_note"] == (
        "champion 7 cannot be scored on this data: it knows the classes 'no', 'yes', this data has 'ja', 'nein'"
    )


def test_a_champion_of_which_the_files_are_gone_is_not_compared_with(tmp_path, capsys, models):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_text((models / "binary" / "model.json").read_text())
    _, _, out = evaluate(tmp_path, capsys, models, make_rows("binary"), BINARY, "binary", broken)
    assert read_evaluation(out)["champion_note"].startswith(
        "champion 7 cannot be scored on this data: it has a SavedModel that cannot be loaded: OSError: "
    )


def error_of(tmp_path, capsys, models, table=None, spec=BINARY, model="binary", **parameters):
    code, record, out = evaluate(
        tmp_path, capsys, models, make_rows("binary") if table is None else table, spec, model, **parameters
    )
    assert code == 2
    assert not out.exists() or not list(out.iterdir())
    return record["error"]


def test_a_challenger_that_needs_an_absent_column_is_an_error(tmp_path, capsys, models):
    assert error_of(tmp_path, capsys, models, model="gone") == (
        "the challenger needs 'fare', which the test data does not have"
    )


def test_a_challenger_that_predicts_nan_is_an_error(tmp_path, capsys, models):
    assert error_of(tmp_path, capsys, models, model="explodes") == (
        "the challenger predicts no probability (NaN, or outside 0 to 1) for 400 of 400 test rows"
    )


def test_an_unknown_slice_column_is_an_error(tmp_path, capsys, models):
    assert error_of(tmp_path, capsys, models, slices=["knd"]) == (
        "slices[0] 'knd' is no column of the test data; did you mean 'kind'?"
    )


def test_a_missing_label_is_an_error(tmp_path, capsys, models):
    table = make_rows("binary")
    label = pa.array([None, *table["label"].to_pylist()[1:]])
    assert error_of(tmp_path, capsys, models, table.set_column(4, "label", label)) == (
        "the label 'label' is missing in 1 of 400 test rows"
    )


def test_an_unknown_class_is_an_error(tmp_path, capsys, models):
    table = make_rows("binary")
    label = pa.array(["maybe", *table["label"].to_pylist()[1:]])
    assert error_of(tmp_path, capsys, models, table.set_column(4, "label", label)) == (
        "the label 'label' of 1 test rows is none of the classes no, yes"
    )


def test_a_test_split_without_rows_is_an_error(tmp_path, capsys, models):
    assert error_of(tmp_path, capsys, models, make_rows("binary").slice(0, 0)) == (
        "the test data holds no row; raise the share `split.test` in app.yaml"
    )


def test_a_weight_that_is_not_positive_is_an_error(tmp_path, capsys, models):
    table = make_rows("binary")
    weight = pa.array([0.0, *table["w"].to_pylist()[1:]])
    assert error_of(tmp_path, capsys, models, table.set_column(3, "w", weight), weight="w") == (
        "the weight 'w' is zero or negative in 1 of 400 test rows"
    )


def test_an_unknown_weight_column_is_an_error(tmp_path, capsys, models):
    assert error_of(tmp_path, capsys, models, weight="v") == "the weight column 'v' is not in the test data"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"resamples": 10}, "resamples is 10, expected 100 to 100,000"),
        ({"confidence": 95.0}, "confidence is 95.0, expected a share from 0.5 to below 1, such as 0.95"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_an_impossible_setting_is_an_error(tmp_path, capsys, models, setting, message):
    assert error_of(tmp_path, capsys, models, **setting) == message


def test_one_row_has_no_metrics_but_all_outputs(tmp_path, capsys, models):
    code, _, out = evaluate(
        tmp_path, capsys, models, make_rows("binary").slice(0, 1), BINARY, "binary", "champion", shards=1
    )
    assert code == 0
    found = read_evaluation(out)
    assert found["overall"]["note"] == "too few rows: 1, fewer than 10"
    assert found["overall"]["challenger"]["auc"]["value"] is None


def test_a_column_without_any_value_can_be_an_input(tmp_path, capsys, models):
    table = make_rows("binary").set_column(0, "x", pa.array([None] * 400, pa.float64()))
    code, _, _ = evaluate(tmp_path, capsys, models, table, BINARY, "binary")
    assert code == 0

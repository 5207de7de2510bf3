"""The step on small SavedModels and Parquet shards."""

import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.explain_model.step import run
from penstock.components.step_io.main import execute
from tests.components.evaluate_model.tiny_models import save_model
from tests.components.explanations.models import CLASSES, PLAIN, save, score
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"explanation": "system.Artifact", "metrics": "system.Metrics", "report": "system.HTML"}
FILES = {
    "explanation.json",
    "attribution_baseline.json",
    "attributions.parquet",
    "background.json",
    "vertex_explanation_spec.json",
}
TASKS = ["binary", "multiclass", "regression"]


def table_of(n=300):
    """Return rows with missing values, and two columns that no model looks at."""
    random = np.random.default_rng(0)
    miles = random.normal(size=n)
    miles[::9] = np.nan
    size = random.choice(["klein", "groß", "mittel", ""], n)
    return pa.table(
        {
            "miles": pa.array(miles, from_pandas=True),
            "delay": pa.array(random.integers(-2, 3, n)),
            "size": pa.array([None if text == "" else text for text in size]),
            "region of sale": pa.array(random.choice(["Nord", "Süd <b>"], n)),
            "vip": pa.array(random.random(n) < 0.02),
        }
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        save(folder / task, task)
    save_model(folder / "constant", "regression", numbers={"miles": 0.0}, bias=3.0)
    save_model(folder / "explodes", "regression", numbers={"miles": float("inf")})
    return folder


def explain(tmp_path, capsys, model, table, name="out", shards=3, **parameters):
    """Run the step; return its exit code, its record, and the folder of its outputs."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    edges = np.linspace(0, table.num_rows, shards + 1).astype(int)
    for i in range(shards):
        part = table.slice(edges[i], edges[i + 1] - edges[i])
        pq.write_table(part, data / f"part-{i:05d}.parquet", row_group_size=30)
    given = {"rows": 120, "background": 8, "seed": 1} | parameters
    out = tmp_path / name
    code = execute(run, "explain_model", executor_input(out, given, {"model": model, "data": data}, OUTPUTS))
    return code, json.loads(capsys.readouterr().out.splitlines()[-1]), out


def read(out, name="explanation.json"):
    return json.loads((out / "explanation" / name).read_text())


class Checker(HTMLParser):
    """Collects text, and refuses tags that are not closed in order."""

    VOID = {"meta", "rect", "line", "circle", "path", "polyline", "polygon", "br", "wbr"}

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(report):
    checker = Checker()
    checker.feed(report.read_text())
    assert checker.open == []
    return " ".join(" ".join(checker.text).split())


def test_exactly_the_declared_outputs_appear(tmp_path, capsys, models):
    code, record, out = explain(tmp_path, capsys, models / "binary", table_of())
    assert code == 0
    parameters, artifacts = read_outputs(out)
    assert parameters == {}
    assert artifacts.keys() == OUTPUTS.keys()
    assert sorted(path.name for path in out.iterdir()) == sorted([*OUTPUTS, "executor_output.json"])
    assert {path.name for path in (out / "explanation").iterdir()} == FILES
    assert record["metrics"].keys() == {
        *("rows", "model_rows", "features", "baseline", "additivity_error"),
        *("mean_abs miles", "mean_abs delay", "mean_abs size"),
    }
    assert record["metrics"]["model_rows"] <= 120 * 2 * 8 * 3


@pytest.mark.parametrize("task", TASKS)
def test_attributions_of_each_row_add_up_to_what_the_model_computes(tmp_path, capsys, models, task):
    table = table_of()
    _, _, out = explain(tmp_path, capsys, models / task, table)
    found = pq.read_table(out / "explanation" / "attributions.parquet").to_pylist()
    classes = CLASSES[task].get("classes", [])
    sums: dict[int, float] = {}
    for entry in found:
        sums[entry["row"]] = sums.get(entry["row"], 0.0) + entry["attribution"]
    assert len(sums) == 120
    for entry in found:
        assert entry["baseline"] + sums[entry["row"]] == pytest.approx(entry["output"], abs=1e-6)
        raw = score(*(table[name][entry["row"]].as_py() for name in PLAIN))
        if task == "multiclass":
            powers = np.exp(raw * np.arange(3))
            assert entry["target"] == classes[int(powers.argmax())]
            expected = powers.max() / powers.sum()
        else:
            expected = 1 / (1 + np.exp(-raw)) if task == "binary" else raw
        assert entry["output"] == pytest.approx(expected, abs=1e-5)
    assert read(out)["additivity_error"] < 1e-6


def test_what_matters_and_in_which_direction_is_that_of_the_model(tmp_path, capsys, models):
    _, _, out = explain(tmp_path, capsys, models / "regression", table_of())
    found = read(out)
    features = {one["name"]: one for one in found["features"]}
    assert [one["name"] for one in found["features"]] == ["miles", "delay", "size"]
    assert sum(one["share"] for one in found["features"]) == pytest.approx(1)
    assert features["miles"]["direction"]["word"] == "raises"
    assert features["delay"]["direction"]["word"] == "lowers"
    assert features["size"]["direction"] is None
    sizes = {one["value"]: one["mean"]["value"] for one in features["size"]["by_value"]}
    assert sizes.keys() == {"groß", "klein", "mittel", "(missing)"}
    assert sizes["klein"] - sizes["groß"] == pytest.approx(2.0)  # a sum of inputs has no sampling error there
    assert sizes["mittel"] == pytest.approx(sizes["(missing)"])
    low, value, high = (features["miles"]["mean_abs"][key] for key in ("low", "value", "high"))
    assert 0 < low < value < high
    assert 0.05 < features["miles"]["missing"] < 0.2
    baseline = np.mean(
        [score(*(row[name] for name in PLAIN)) for row in read(out, "background.json")["instances"]]
    )
    assert found["baseline"] == {"label": pytest.approx(baseline, abs=1e-6)}


def test_multiclass_tells_what_moves_each_class(tmp_path, capsys, models):
    _, _, out = explain(tmp_path, capsys, models / "multiclass", table_of())
    found = read(out)
    assert found["explained"] == "probability of the predicted class"
    assert [part["class"] for part in found["classes"]] == ["a b", "ü", "c"]
    assert sum(part["predicted_rows"] for part in found["classes"]) == 120
    assert sum(found["baseline"].values()) == pytest.approx(1, abs=1e-6)
    by_name = {one["name"]: one for one in found["classes"][2]["features"]}
    assert by_name["miles"]["direction"]["word"] == "raises"
    assert "What moves its probability most" in text_of(out / "report")


def test_slices_and_crosses_have_attributions_of_their_own(tmp_path, capsys, models):
    slices = ["region of sale", "vip", ["size", "vip"]]
    _, _, out = explain(tmp_path, capsys, models / "binary", table_of(), slices=slices)
    parts = read(out)["slices"]
    regions = [part for part in parts if part["by"] == ["region of sale"]]
    assert [part["name"] for part in regions] == ["region of sale = Nord", "region of sale = Süd <b>"]
    assert sum(part["rows"] for part in regions) == 120
    assert all(part["features"]["miles"]["mean_abs"]["value"] > 0.1 for part in regions)
    rare = next(part for part in parts if part["name"] == "vip = true")
    assert rare["note"] == "fewer than 10 explained rows"
    assert (rare["features"], rare["mean_output"]) == ({}, None)
    assert any(part["by"] == ["size", "vip"] for part in parts)
    text = text_of(out / "report")
    assert "Süd <b>" in text
    assert "more slices have fewer than 10 explained rows" in text


def test_same_seed_gives_the_same_bytes_and_another_one_other_rows(tmp_path, capsys, models):
    outs = [
        explain(tmp_path, capsys, models / "binary", table_of(), name, slices=["size"], seed=seed)[2]
        for name, seed in (("first", 5), ("second", 5), ("third", 6))
    ]
    for path in [*sorted((outs[0] / "explanation").iterdir()), outs[0] / "report", outs[0] / "metrics"]:
        relative = path.relative_to(outs[0])
        assert path.read_bytes() == (outs[1] / relative).read_bytes(), relative
    rows = [
        set(pq.read_table(out / "explanation" / "attributions.parquet")["row"].to_pylist()) for out in outs
    ]
    assert rows[0] != rows[2]


def test_rows_are_those_of_the_places_that_are_told(tmp_path, capsys, models):
    table = table_of()
    _, _, out = explain(tmp_path, capsys, models / "binary", table, examples=6)
    examples = read(out)["examples"]
    assert len(examples) == 6
    outputs = [one["value"] for one in examples]
    assert outputs == sorted(outputs, reverse=True)
    for one in examples:
        values = {feature["name"]: feature["value"] for feature in one["features"]}
        assert values == {name: table[name][one["row"]].as_py() for name in PLAIN}


def test_no_examples_show_no_rows(tmp_path, capsys, models):
    _, _, out = explain(tmp_path, capsys, models / "binary", table_of(), examples=0)
    assert read(out)["examples"] == []
    assert "Single rows" not in text_of(out / "report")


def test_attribution_baseline_counts_every_row(tmp_path, capsys, models):
    _, _, out = explain(tmp_path, capsys, models / "binary", table_of())
    found = read(out, "attribution_baseline.json")
    assert found["rows"] == 120
    assert found["features"].keys() == set(PLAIN)
    for one in found["features"].values():
        assert sum(one["histogram"]["counts"]) == 120
        assert len(one["histogram"]["counts"]) == len(one["histogram"]["edges"]) + 1
        assert one["quantiles"]["0.01"] <= one["quantiles"]["0.5"] <= one["quantiles"]["0.99"]


def test_small_data_are_explained_whole(tmp_path, capsys, models):
    code, _, out = explain(tmp_path, capsys, models / "regression", table_of(12), rows=500, background=64)
    assert code == 0
    found = read(out)
    assert (found["rows"], found["data_rows"], found["background_rows"]) == (12, 12, 12)


def test_model_that_nothing_moves_is_told_so(tmp_path, capsys, models):
    code, _, out = explain(tmp_path, capsys, models / "constant", table_of())
    assert code == 0
    assert read(out)["features"][0]["direction"]["word"] == "constant"
    assert "No input moves the prediction of label: it is the same for all rows." in text_of(out / "report")


def test_metrics_hold_at_most_ten_inputs(tmp_path, capsys):
    names = [f"n{i}" for i in range(14)]
    model = save_model(tmp_path / "wide", "regression", numbers=dict.fromkeys(names, 1.0))
    random = np.random.default_rng(0)
    table = pa.table({name: random.normal(size=60) for name in names})
    _, record, _ = explain(tmp_path, capsys, model, table, rows=20, background=4)
    assert sum(name.startswith("mean_abs ") for name in record["metrics"]) == 10
    assert record["metrics"]["features"] == 14


def test_report_stands_alone_and_can_be_heard(tmp_path, capsys, models):
    _, _, out = explain(tmp_path, capsys, models / "binary", table_of(), slices=["size"])
    page = (out / "report").read_text()
    assert "miles moves the score (probability of 'ja, sehr') most, by 0." in text_of(out / "report")
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<svg") == page.count('role="img" aria-label="') - page.count('<span role="img"')


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"rows": 9}, "rows is 9, expected 10 to 100,000"),
        ({"background": 1}, "background is 1, expected 2 to 10,000"),
        ({"pairs": 0}, "pairs is 0, expected 1 to 1,000"),
        ({"examples": 21}, "examples is 21, expected 0 to 20"),
        ({"confidence": 1.0}, "confidence is 1.0, expected a share from 0.5 to below 1, such as 0.95"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        (
            {"slices": ["sizes"]},
            "slices[0] 'sizes' is no column of the test data; did you mean 'size'?",
        ),
    ],
)
def test_wrong_setting_is_one_sentence(tmp_path, capsys, models, parameters, sentence):
    code, record, out = explain(tmp_path, capsys, models / "binary", table_of(30), **parameters)
    assert (code, record["error"]) == (2, sentence)
    assert not (out / "explanation").exists()


def test_data_that_do_not_fit_the_model_are_one_sentence(tmp_path, capsys, models):
    table = table_of().drop_columns(["size"])
    table = table.set_column(0, "miles", pa.array(["far"] * table.num_rows))
    code, record, _ = explain(tmp_path, capsys, models / "binary", table)
    assert code == 2
    assert record["error"] == (
        "the model does not fit the data: it needs 'size', which they do not have; "
        "it takes 'miles' as numbers, which they hold as text"
    )


def test_too_few_rows_or_no_data_are_one_sentence(tmp_path, capsys, models):
    code, record, _ = explain(tmp_path, capsys, models / "binary", table_of(9))
    assert (code, record["error"]) == (2, "the data hold 9 rows, explanations need 10 or more")
    empty = tmp_path / "empty"
    empty.mkdir()
    given = executor_input(tmp_path / "o", {}, {"model": models / "binary", "data": empty}, OUTPUTS)
    assert execute(run, "explain_model", given) == 2
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["error"] == (
        f"the data {empty} hold no Parquet shards; they should be prepare_data's test_data"
    )


def test_model_that_gives_infinity_is_one_sentence(tmp_path, capsys, models):
    code, record, _ = explain(tmp_path, capsys, models / "explodes", table_of())
    assert code == 2
    assert record["error"] == (
        f"the model in {models / 'explodes'} gives NaN or infinity as prediction for some rows: "
        "it cannot be explained"
    )

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.predict_batch import scoring
from penstock.components.step_io.errors import StepError
from tests.components.predict_batch.batches import (
    failure,
    make_model,
    predict,
    read_predictions,
    write_dataset,
)

ROWS = {"id": ["a", "b", "c", "d"], "x": [1.0, None, -2.0, 4.0], "color": ["red", "blue", None, "red"]}
VALUES = [1.5, 0.0, -1.0, 3.0]  # 0.5 x + 1 for red; missing counts nothing


def test_regression_predicts_every_row_beside_the_columns_that_are_no_inputs(tmp_path):
    results, rows = predict(
        tmp_path / "t", make_model(tmp_path / "m"), write_dataset(tmp_path / "d", ROWS, 2)
    )
    assert results == {"rows": 4, "unscored": 0, "verdict": "pass", "reasons": []}
    assert rows == {"id": ROWS["id"], "prediction": VALUES, "unscored": [None] * 4}


def test_binary_model_gives_score_and_label(tmp_path):
    model = make_model(tmp_path / "m", "binary", classes=["nein", "ja"], positive="ja")
    _, rows = predict(tmp_path / "t", model, write_dataset(tmp_path / "d", ROWS))
    np.testing.assert_allclose(rows["score"], 1 / (1 + np.exp(-np.array(VALUES))), rtol=1e-6)
    assert rows["label"] == ["ja", "ja", "nein", "ja"]
    assert list(rows) == ["id", "score", "label", "unscored"]


def test_multiclass_model_gives_a_probability_for_each_class(tmp_path):
    model = make_model(tmp_path / "m", "multiclass", classes=["a b", "ü", "-"])
    _, rows = predict(tmp_path / "t", model, write_dataset(tmp_path / "d", ROWS))
    assert list(rows) == ["id", "label", "probability_a b", "probability_ü", "probability_-", "unscored"]
    sums = np.sum([rows[f"probability_{name}"] for name in ("a b", "ü", "-")], axis=0)
    np.testing.assert_allclose(sums, 1, rtol=1e-6)
    assert rows["label"] == ["-", "a b", "a b", "-"]


def test_chosen_keys_may_be_inputs_and_keep_their_types(tmp_path):
    data = write_dataset(tmp_path / "d", {**ROWS, "day": [1, 2, 3, 4]})
    predict(tmp_path / "t", make_model(tmp_path / "m"), data, key=["day", "color"])
    schema = pq.read_schema(tmp_path / "t/predictions/part-00000.parquet")
    assert schema.names == ["day", "color", "prediction", "unscored"]
    assert schema.types[:2] == [pa.int64(), pa.string()]


def test_rows_are_numbered_over_all_shards_when_there_is_no_key(tmp_path):
    data = write_dataset(tmp_path / "d", {name: ROWS[name] for name in ("x", "color")}, 3)
    _, rows = predict(tmp_path / "t", make_model(tmp_path / "m"), data)
    assert rows["row_number"] == [0, 1, 2, 3]


def test_row_without_a_needed_value_has_none_and_says_why(tmp_path):
    model = make_model(tmp_path / "m", kinds={"x": {"type": "float", "required": True}})
    data = write_dataset(tmp_path / "d", ROWS)
    results, rows = predict(tmp_path / "t", model, data)
    assert rows["prediction"] == [1.5, None, -1.0, 3.0]
    assert rows["unscored"] == [None, "'x' is missing", None, None]
    assert (results["verdict"], results["unscored"]) == ("block", 1)
    assert results["reasons"] == [
        "1 of 4 rows (25.0 %) have no prediction ('x' is missing in 1); allowed is 0.0 %"
    ]
    results, _ = predict(tmp_path / "u", model, data, max_unscored=0.25)
    assert (results["verdict"], len(results["reasons"])) == ("warn", 1)


def test_absent_needed_column_blocks_with_the_nearest_name_and_all_rows_are_there(tmp_path):
    model = make_model(tmp_path / "m", kinds={"color": {"type": "string", "required": True}})
    data = write_dataset(tmp_path / "d", {"id": ROWS["id"], "x": ROWS["x"], "Colour": ROWS["color"]})
    results, rows = predict(tmp_path / "t", model, data)
    assert results["verdict"] == "block"
    assert results["reasons"] == [
        "the data have no column 'color', which the model needs in every row (is 'Colour' meant for 'color'?)"
    ]
    assert rows["unscored"] == ["'color' is missing"] * 4
    assert rows["prediction"] == [None] * 4


def test_absent_column_that_is_not_needed_warns(tmp_path):
    data = write_dataset(tmp_path / "d", {"id": ROWS["id"], "x": ROWS["x"]})
    results, rows = predict(tmp_path / "t", make_model(tmp_path / "m"), data)
    assert results["reasons"] == ["the data have no column 'color': predicted as if missing in every row"]
    assert (results["verdict"], rows["prediction"]) == ("warn", [0.5, 0.0, -1.0, 2.0])


def test_data_without_any_input_block(tmp_path):
    data = write_dataset(tmp_path / "d", {"id": ROWS["id"]})
    results, rows = predict(tmp_path / "t", make_model(tmp_path / "m"), data)
    assert results["verdict"] == "block"
    assert results["reasons"] == ["the data have none of the model's 2 inputs"]
    assert rows["id"] == ROWS["id"]


def test_no_rows_give_a_shard_with_all_columns(tmp_path):
    schema = pa.schema([("id", pa.string()), ("x", pa.string()), ("color", pa.string())])
    data = write_dataset(tmp_path / "d", {name: [] for name in schema.names}, schema=schema)
    model = make_model(tmp_path / "m", "binary", classes=["n", "y"], positive="y")
    results, rows = predict(tmp_path / "t", model, data)
    assert results["rows"] == 0
    assert (results["verdict"], results["reasons"]) == (
        "warn",
        ["the data hold no row: the predictions are empty"],
    )
    assert rows == {"id": [], "score": [], "label": [], "unscored": []}
    assert [path.name for path in (tmp_path / "t/predictions").glob("*.parquet")] == ["part-00000.parquet"]


def test_model_that_gives_nan_leaves_the_row_without_a_prediction(tmp_path):
    data = write_dataset(tmp_path / "d", {**ROWS, "x": [1.0, float("inf"), 2.0, 3.0]})
    results, rows = predict(tmp_path / "t", make_model(tmp_path / "m"), data)
    assert rows["unscored"] == [None, "the model gives no finite number", None, None]
    assert results["unscored"] == 1


def test_manifest_names_each_shard_with_its_rows(tmp_path):
    data = write_dataset(tmp_path / "d", ROWS, 2)
    predict(tmp_path / "t", make_model(tmp_path / "m"), data, model_name="taxi", model_version="3")
    found = json.loads((tmp_path / "t/predictions/manifest.json").read_text())
    assert (found["rows"], found["unscored"], found["keys"]) == (4, 0, ["id"])
    assert [(one["file"], one["rows"]) for one in found["shards"]] == [
        ("part-00000.parquet", 2),
        ("part-00001.parquet", 2),
    ]
    assert (found["model"]["name"], found["model"]["version"]) == ("taxi", "3")


def test_distribution_is_that_of_the_rows_written(tmp_path):
    x = np.random.default_rng(0).normal(size=5000)
    data = write_dataset(tmp_path / "d", {"x": x, "color": ["blue"] * 5000}, 3)
    predict(tmp_path / "t", make_model(tmp_path / "m"), data)
    found = json.loads((tmp_path / "t/metrics").read_text())["distribution"]
    assert found["means"]["prediction"] == pytest.approx(0.5 * x.mean(), abs=1e-6)
    assert found["deviation"] == pytest.approx(0.5 * x.std(), rel=1e-6)
    assert found["quantiles"]["p50"] == pytest.approx(0.5 * np.median(x), abs=1e-6)
    assert sum(found["counts"]) == 5000


def test_report_shows_verdict_histogram_and_inputs(tmp_path):
    kinds = {"x": {"type": "float", "required": True}}
    model = make_model(tmp_path / "m", "binary", classes=["no", "yes"], positive="yes", kinds=kinds)
    predict(tmp_path / "t", model, write_dataset(tmp_path / "d", ROWS))
    page = (tmp_path / "t/report").read_text()
    for part in ("Blocked", "1 of 4 rows", "<svg", "Rows by predicted class", "in every row", "Keys: id"):
        assert part in page


def test_wrong_keys_end_with_a_sentence(tmp_path, capsys):
    model, data = make_model(tmp_path / "m"), write_dataset(tmp_path / "d", {**ROWS, "prediction": VALUES})
    assert failure(capsys, tmp_path / "t", model, data, key=["ID"]) == (
        "the key column 'ID' is not in the data (it has 'id', 'x', 'color', 'prediction')"
    )
    assert failure(capsys, tmp_path / "t", model, data, key=["idd"]) == (
        "the key column 'idd' is not in the data; did you mean 'id'?"
    )
    assert failure(capsys, tmp_path / "t", model, data) == (
        "the data have a column 'prediction', which is also the name of a column of the predictions: rename it with the "
        "query, or name other key columns (batch_prediction.key, --key)"
    )


def test_no_champion_ends_with_what_to_do(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/none.json").write_text('{"none": "model"}')
    data = write_dataset(tmp_path / "d", ROWS)
    assert failure(capsys, tmp_path / "t", tmp_path / "m", data, model_name="taxi") == (
        "there is no champion of taxi to predict with: run the training pipeline first, and promote its model"
    )


def test_shards_of_different_columns_are_refused(tmp_path):
    from penstock.components.serving_model.folder import ModelFolder

    data = write_dataset(tmp_path / "d", ROWS)
    pq.write_table(pa.table({"x": [1]}), data / "part-00001.parquet")
    model = ModelFolder.read(make_model(tmp_path / "m"))
    with pytest.raises(StepError, match=r"part-00001.parquet has other columns than part-00000.parquet"):
        scoring.Batch.read(data, model, [])


def test_the_same_input_gives_the_same_bytes(tmp_path):
    model, data = make_model(tmp_path / "m"), write_dataset(tmp_path / "d", ROWS, 2)
    for name in ("a", "b"):
        predict(tmp_path / name, model, data)
    for path in (tmp_path / "a/predictions").iterdir():
        assert path.read_bytes() == (tmp_path / "b/predictions" / path.name).read_bytes()


def test_lost_row_is_a_bug_that_is_noticed(tmp_path, monkeypatch):
    from penstock.components.serving_model.folder import ModelFolder

    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", 256)
    data = write_dataset(tmp_path / "d", {"x": np.arange(600.0), "color": ["red"] * 600}, 2)
    batch = scoring.Batch.read(data, ModelFolder.read(make_model(tmp_path / "m")), [])
    scored = scoring.predict_shards(batch, tmp_path / "out", "")
    assert read_predictions(tmp_path / "out")["row_number"].to_pylist() == list(range(600))
    (tmp_path / "out/part-00001.parquet").unlink()
    with pytest.raises(RuntimeError, match=r"do not hold each row once: \['part-00001.parquet'\]"):
        scoring.check_rows(batch, tmp_path / "out", scored)

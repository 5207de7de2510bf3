"""Rows of the test data as requests."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.validate_serving.recorded import read_recorded

INPUTS = {"trip miles": "float64", "hour": "float64", "paid": "float64", "código": "string"}


def write_shards(folder, table, rows):
    folder.mkdir()
    for i in range(0, max(table.num_rows, 1), rows):
        pq.write_table(table.slice(i, rows), folder / f"part-{i:05d}.parquet")


@pytest.fixture
def data(tmp_path):
    rows = 10
    table = pa.table(
        {
            "trip miles": pa.array([float(i) for i in range(rows - 2)] + [None, float("nan")]),
            "hour": pa.array(range(rows), pa.int64()),
            "paid": pa.array([True] * rows),
            "código": pa.array([f"ñ{i}" for i in range(rows - 1)] + [None]),
            "label": pa.array(["a"] * rows),
        }
    )
    write_shards(tmp_path / "data", table, 4)
    scores = pa.table({"label": ["a"] * rows, "challenger_score": [i / 10 for i in range(rows)]})
    write_shards(tmp_path / "predictions", scores, 7)
    return tmp_path


def test_rows_are_json_and_stand_beside_their_predictions(data):
    recorded = read_recorded(data / "data", data / "predictions", INPUTS, 100)
    assert recorded.instances[3] == {"trip miles": 3.0, "hour": 3, "paid": True, "código": "ñ3"}
    assert [row["trip miles"] for row in recorded.instances[-2:]] == [None, None]
    assert recorded.instances[-1]["código"] is None
    json.dumps(recorded.instances, allow_nan=False)
    assert recorded.offline == {"score": [i / 10 for i in range(10)]}


def test_fewer_rows_than_there_are_come_from_all_over_the_data(data):
    recorded = read_recorded(data / "data", data / "predictions", INPUTS, 4)
    assert [row["hour"] for row in recorded.instances] == [0, 3, 6, 9]
    assert recorded.offline["score"] == [0.0, 0.3, 0.6, 0.9]


def test_predictions_of_other_data_are_refused(data, tmp_path):
    write_shards(tmp_path / "other", pa.table({"challenger_score": [0.5]}), 1)
    with pytest.raises(StepError, match="10 rows, the predictions have 1"):
        read_recorded(data / "data", tmp_path / "other", INPUTS, 10)


def test_missing_column_is_named(data):
    with pytest.raises(StepError, match="lacks the model's input 'fare'"):
        read_recorded(data / "data", data / "predictions", {**INPUTS, "fare": "float64"}, 10)


def test_text_where_a_number_belongs_is_one_sentence(data):
    with pytest.raises(StepError, match="cannot be read as float64"):
        read_recorded(data / "data", data / "predictions", {"código": "float64"}, 10)


def test_no_rows_is_one_sentence(tmp_path):
    for name in ("data", "predictions"):
        write_shards(tmp_path / name, pa.table({"challenger_score": pa.array([], pa.float64())}), 1)
    with pytest.raises(StepError, match="no rows"):
        read_recorded(tmp_path / "data", tmp_path / "predictions", {}, 10)

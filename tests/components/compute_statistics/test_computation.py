import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.compute_statistics.computation import compute
from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library.summary import summarize
from tests.components.compute_statistics.tables import describe, write_dataset

ORACLE = """
import sys
import pyarrow.parquet as pq
import tensorflow_data_validation as tfdv

frame = pq.read_table(sys.argv[1]).to_pandas()
found = tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)
sys.stdout.buffer.write(found.SerializeToString())
"""


def some_columns(rows: int) -> dict[str, object]:
    rng = np.random.default_rng(7)
    return {
        "price": pa.array(rng.gamma(2.0, 5.0, rows), mask=rng.random(rows) < 0.1),
        "count": rng.poisson(3, rows),
        "city": pa.array(rng.choice(["Rom", "Ulm", "Bonn", None], rows, p=[0.5, 0.3, 0.1, 0.1]).tolist()),
    }


@pytest.mark.parametrize("processes", [1, 2])
def test_counts_each_row_once_whatever_the_processes(tmp_path: Path, processes: int) -> None:
    dataset = write_dataset(tmp_path / "data", some_columns(10_001), shards=5, rows_in_group=700)
    found = summarize(compute(dataset, processes=processes).datasets[0])
    assert found.rows == 10_001
    assert sum(found.features["city"].counts.values()) == found.features["city"].present


def test_gives_the_same_bytes_with_one_and_two_processes(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", some_columns(6_000), shards=4)
    one = compute(dataset, ["city"], processes=1)
    two = compute(dataset, ["city"], processes=2)
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def test_numbers_equal_numpy(tmp_path: Path) -> None:
    columns = some_columns(3_000)
    price = columns["price"].drop_null().to_numpy()  # type: ignore[attr-defined]
    found = summarize(compute(write_dataset(tmp_path / "data", columns, shards=3)).datasets[0]).features[
        "price"
    ]
    assert found.missing == 3_000 - len(price)
    assert found.mean == pytest.approx(price.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(price.std(), rel=1e-9)
    assert (found.minimum, found.maximum) == (price.min(), price.max())
    assert found.median == pytest.approx(np.median(price), rel=0.02)
    assert found.unique == len(np.unique(price))


def test_agrees_with_tfdv_itself(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", some_columns(2_000))
    ours = compute(dataset).datasets[0]
    command = [sys.executable, "-c", ORACLE, str(dataset / "part-00000.parquet")]
    done = subprocess.run(command, capture_output=True, check=True)
    theirs = type(compute(dataset)).FromString(done.stdout).datasets[0]
    assert theirs.num_examples == ours.num_examples == 2_000
    for mine in ours.features:
        other = next(feature for feature in theirs.features if feature.path == mine.path)
        assert other.type == mine.type
        if mine.HasField("num_stats"):
            assert other.num_stats.mean == pytest.approx(mine.num_stats.mean, rel=1e-12)
            assert other.num_stats.num_zeros == mine.num_stats.num_zeros
            assert other.num_stats.common_stats.num_missing == mine.num_stats.common_stats.num_missing
        else:
            assert other.string_stats.unique == mine.string_stats.unique
            assert other.string_stats.top_values[0].value == mine.string_stats.top_values[0].value


def test_tells_nan_infinite_and_missing_apart(tmp_path: Path) -> None:
    values = [1.0, 2.0, math.nan, math.inf, -math.inf, None]
    found = describe(tmp_path / "data", {"x": values})[0].features["x"]
    assert (found.missing, found.nan, found.infinite, found.finite) == (1, 1, 2, 2)
    assert found.unique == 2


def test_truth_values_are_numbers_that_remember_their_type(tmp_path: Path) -> None:
    found = describe(tmp_path / "data", {"paid": [True, False, True, None]})[0].features["paid"]
    assert found.column_type == "bool"
    assert found.counts == {"1": 2, "0": 1}
    assert found.mean == pytest.approx(2 / 3)


def test_a_column_without_values_keeps_its_type(tmp_path: Path) -> None:
    empty = pa.array([None, None], pa.float64())
    found = describe(tmp_path / "data", {"x": empty, "y": ["a", "b"]})[0].features["x"]
    assert (found.column_type, found.missing, found.present) == ("double", 2, 0)


def test_data_without_rows_have_columns(tmp_path: Path) -> None:
    columns = {"x": pa.array([], pa.int64()), "y": pa.array([], pa.string())}
    found = describe(tmp_path / "data", columns)[0]
    assert (found.rows, sorted(found.features)) == (0, ["x", "y"])


def test_slices_are_named_after_column_and_value(tmp_path: Path) -> None:
    columns = {"a=b": ["x", "x", None], "paid": [True, False, True], "n": [1, 2, 3]}
    found = describe(tmp_path / "data", columns, ["a=b", "paid"])
    assert [(one.name, one.rows) for one in found] == [
        ("All Examples", 3),
        ("a%3Db=x", 2),
        ("a%3Db is missing", 1),
        ("paid=true", 2),
        ("paid=false", 1),
    ]
    assert found[1].features["n"].mean == 1.5


def test_slices_are_made_of_the_fifty_most_frequent_values(tmp_path: Path) -> None:
    codes = [number for number in range(60) for _ in range(number + 1)]
    found = describe(tmp_path / "data", {"code": codes}, ["code"])
    assert len(found) == 51
    assert (found[1].name, found[1].rows) == ("code=59", 60)


def test_refuses_an_unknown_slice_column(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        describe(tmp_path / "data", {"payment_type": ["Cash"]}, ["paymnt_type"])
    assert (
        str(caught.value)
        == "statistics.slices: 'paymnt_type' is no column of the data; did you mean 'payment_type'?"
    )


def test_weighs_rows(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", {"x": [0.0, 10.0], "w": [1.0, 3.0]})
    found = compute(dataset, weight="w").datasets[0]
    x = next(feature for feature in found.features if feature.path.step[0] == "x")
    assert found.weighted_num_examples == 4
    assert x.num_stats.weighted_numeric_stats.mean == 7.5


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1.0, None], "the weight 'w' is missing, negative or infinite in 1 rows"),
        ([-1.0, math.inf], "the weight 'w' is missing, negative or infinite in 2 rows"),
        (["1", "2"], "the weight 'w' is a string column, expected numbers"),
    ],
)
def test_refuses_weights_that_weigh_nothing(tmp_path: Path, weights: list[object], sentence: str) -> None:
    dataset = write_dataset(tmp_path / "data", {"x": [1, 2], "w": weights})
    with pytest.raises(StepError) as caught:
        compute(dataset, weight="w")
    assert str(caught.value) == sentence


def test_refuses_a_weight_that_is_not_there(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", {"x": [1]})
    with pytest.raises(StepError, match=r"^the weight 'w' is no column of the data$"):
        compute(dataset, weight="w")


def test_refuses_a_folder_without_shards(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        compute(tmp_path)
    assert str(caught.value) == f"the dataset {tmp_path} holds no part-*.parquet"


def test_refuses_shards_with_other_columns(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", {"x": [1]})
    pq.write_table(pa.table({"y": [1]}), dataset / "part-00001.parquet")
    with pytest.raises(StepError) as caught:
        compute(dataset)
    second = dataset / "part-00001.parquet"
    assert str(caught.value) == f"{second} has other columns than part-00000.parquet: extract the data again"


def test_refuses_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(StepError, match=r"part-00000\.parquet is no Parquet file: "):
        compute(tmp_path)


def test_counts_two_thousand_columns(tmp_path: Path) -> None:
    columns = {f"c{number}": [1.5, None, number] for number in range(2_000)}
    found = describe(tmp_path / "data", columns)[0]
    assert len(found.features) == 2_000
    assert found.features["c1999"].maximum == 1999

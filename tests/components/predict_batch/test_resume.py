import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from penstock.components.predict_batch.progress import Progress, file_hash
from tests.components.predict_batch.batches import (
    make_model,
    predict,
    read_predictions,
    step_input,
    write_dataset,
)

ROOT = Path(__file__).parents[3]
SHARDS = 40


@pytest.fixture
def batch(tmp_path):
    """Return a model, and a dataset of many shards whose predictions are known."""
    rows = SHARDS * 20_000
    columns = {"id": np.arange(rows), "x": np.arange(rows) % 1000, "color": ["red"] * rows}
    return make_model(tmp_path / "m"), write_dataset(tmp_path / "d", columns, SHARDS)


def run_and_kill(text, uri, after):
    """Start the step as a process and kill it when `after` shards have been kept; return how many there are."""
    command = [sys.executable, "-m", "penstock.components.predict_batch.step", "--executor_input", text]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as child:
        while len(list(uri.glob("*/*.json"))) < after and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    return len(list(uri.glob("*/*.json")))


def test_killed_twice_it_goes_on_and_every_row_is_there_once(tmp_path, batch, capsys):
    model, data = batch
    uri = tmp_path / "resume"
    text = step_input(tmp_path / "t", model, data, resume_uri=str(uri))
    first = run_and_kill(text, uri, 3)
    assert 3 <= first < SHARDS
    assert not (tmp_path / "t/predictions").exists()
    second = run_and_kill(text, uri, first + 3)
    assert first + 3 <= second < SHARDS
    results, rows = predict(tmp_path / "t", model, data, resume_uri=str(uri))
    assert f"{second} of {SHARDS} shards were finished by an earlier attempt" in capsys.readouterr().err
    assert results["rows"] == SHARDS * 20_000
    assert rows["id"] == list(range(SHARDS * 20_000))
    np.testing.assert_allclose(rows["prediction"], 0.5 * (np.arange(SHARDS * 20_000) % 1000) + 1, rtol=1e-6)
    assert list(uri.glob("*")) == []  # nothing is left when all went well
    predict(tmp_path / "whole", model, data)
    for path in (tmp_path / "whole/predictions").iterdir():
        assert path.read_bytes() == (tmp_path / "t/predictions" / path.name).read_bytes()


def kept(tmp_path, uri, name="part-00000.parquet", of="abc"):
    """Keep a shard as an attempt does that is killed afterwards."""
    path = tmp_path / "made.parquet"
    path.write_bytes(b"rows")
    store = Progress(uri, "key")
    store.keep(name, path, {"rows": 4, "sha256": file_hash(path), "of_sha256": of})
    store.__exit__(KeyboardInterrupt, None, None)
    return name


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_finished_shard_comes_back_when_it_is_made_of_the_same_rows(tmp_path, scheme):
    pytest.importorskip("fsspec")
    uri = f"{scheme}{tmp_path}/resume"
    name = kept(tmp_path, uri)
    with Progress(uri, "key") as store:
        assert store.take(name, tmp_path / "out", of="abd") is None
        assert store.take(name, tmp_path / "out", of="abc")["rows"] == 4
        assert (tmp_path / "out").read_bytes() == b"rows"
    with Progress(uri, "key") as store:
        assert store.take(name, tmp_path / "other", of="abc") is None  # it was removed at the end


def test_damaged_shard_is_predicted_again(tmp_path):
    uri = str(tmp_path / "resume")
    name = kept(tmp_path, uri)
    (tmp_path / "resume/key" / name).write_bytes(b"rowz")
    with Progress(uri, "key") as store:
        assert store.take(name, tmp_path / "out", of="abc") is None
    assert not (tmp_path / "out").exists()


def test_second_process_with_the_same_batch_keeps_nothing(tmp_path, caplog):
    uri = str(tmp_path / "resume")
    with Progress(uri, "key"):
        other = Progress(uri, "key")
        assert "another process predicts the same batch" in caplog.text
        assert other.take("part-00000.parquet", tmp_path / "out", of="abc") is None
        other.__exit__(None, None, None)
        assert (tmp_path / "resume/key").is_dir()


def test_place_that_cannot_be_written_is_told_and_the_work_goes_on(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    model, data = make_model(tmp_path / "m"), write_dataset(tmp_path / "d", {"x": [2.0], "color": ["red"]})
    _, rows = predict(tmp_path / "t", model, data, resume_uri=str(tmp_path / "file/below"))
    assert rows["prediction"] == [2.0]
    assert "this batch cannot be resumed" in capsys.readouterr().err


def test_other_keys_do_not_take_over_shards(tmp_path):
    model = make_model(tmp_path / "m")
    data = write_dataset(tmp_path / "d", {"id": [1, 2], "x": [2.0, 4.0], "color": ["red", "blue"]}, 2)
    uri = tmp_path / "resume"
    text = step_input(tmp_path / "t", model, data, resume_uri=str(uri))
    assert json.loads(text)["inputs"]["parameterValues"] == {"resume_uri": str(uri)}
    predict(tmp_path / "t", model, data, resume_uri=str(uri))
    _, rows = predict(tmp_path / "u", model, data, resume_uri=str(uri), key=["x"])
    assert list(rows) == ["x", "prediction", "unscored"]
    assert pq.read_metadata(tmp_path / "u/predictions/part-00001.parquet").num_rows == 1
    assert read_predictions(tmp_path / "u/predictions").num_rows == 2

import logging

import fsspec
import numpy as np
import pytest

from penstock.components.tabular_model.checkpoints import (
    TrainingCheckpoints,
    open_store,
    pack,
    training_key,
    unpack,
)
from penstock.components.tabular_model.training import Epoch, State
from tests.components.tabular_model.tables import write_code, write_shards

STATE = State(
    epoch=2,
    block=1,
    position=64,
    loss=1.5,
    weight=3.0,
    best_epoch=1,
    best_loss=0.25,
    history=[Epoch(1, 0.5, 0.25, 0.75, float("nan"))],
    variables=[np.arange(6.0).reshape(2, 3)],
    optimizer=[np.array(7)],
    best=[np.ones((2, 3), np.float32)],
)


def same(left, right):
    return pack(left) == pack(right)


@pytest.mark.parametrize("uri", ["{tmp}/checkpoints", "file://{tmp}/checkpoints", "memory://checkpoints"])
def test_state_comes_back_and_is_removed_at_success(tmp_path, uri):
    uri = uri.format(tmp=tmp_path)
    interrupted = TrainingCheckpoints(open_store(uri, "key"), 0.0)
    assert interrupted.load() is None
    assert interrupted.due()
    interrupted.save(STATE)
    interrupted.__exit__(KeyboardInterrupt, None, None)
    with TrainingCheckpoints(open_store(uri, "key")) as checkpoints:
        found = checkpoints.load()
    assert found is not None
    assert same(found, STATE)
    files, path = fsspec.core.url_to_fs(uri)
    assert [name for name in files.find(path) if files.isfile(name)] == []


def test_packed_state_keeps_types_and_shapes():
    found = unpack(pack(STATE))
    assert found.best[0].dtype == np.float32
    assert found.variables[0].shape == (2, 3)
    assert found.history[0].number == 1


def test_second_process_with_the_same_key_gets_no_store(tmp_path, caplog):
    first = open_store(str(tmp_path), "key")
    with caplog.at_level(logging.WARNING):
        assert open_store(str(tmp_path), "key") is None
    assert caplog.messages == ["another process trains with the same inputs: this one keeps no checkpoints"]
    assert first is not None
    first.close()
    again = open_store(str(tmp_path), "key")
    assert again is not None
    again.close()


def test_unusable_uri_is_told_once_and_training_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        store = open_store(str(tmp_path / "file"), "key")
    assert store is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"no checkpoints: {tmp_path}/file cannot be used (")
    with TrainingCheckpoints(store) as checkpoints:
        assert not checkpoints.due()
        assert checkpoints.load() is None


def test_store_that_fails_while_training_is_not_used_again(tmp_path, caplog):
    with (
        caplog.at_level(logging.WARNING),
        TrainingCheckpoints(open_store(str(tmp_path), "key"), 0.0) as checkpoints,
    ):
        (tmp_path / "key").rmdir()
        (tmp_path / "key").write_text("")
        checkpoints.save(STATE)
        assert not checkpoints.due()
    assert caplog.messages[0].startswith(f"no more checkpoints: {tmp_path}/key cannot be written (")


def test_broken_checkpoint_is_ignored_with_a_warning(tmp_path, caplog):
    store = open_store(str(tmp_path), "key")
    assert store is not None
    store.write("state.npz", pack(STATE)[:100])
    with caplog.at_level(logging.WARNING), TrainingCheckpoints(store) as checkpoints:
        assert checkpoints.load() is None
    assert caplog.messages[0].startswith(f"the checkpoint in {tmp_path}/key cannot be read (")


def test_key_depends_on_data_code_settings_and_code_version(tmp_path, monkeypatch):
    data = write_shards(tmp_path / "a", {"x": [1.0]})
    same_data = write_shards(tmp_path / "b", {"x": [1.0]})
    other_data = write_shards(tmp_path / "c", {"x": [2.0]})
    code = write_code(tmp_path / "code", features="x = 1")
    other_code = write_code(tmp_path / "code2", features="x = 2")
    first = training_key({"train": data}, code, {"seed": 1})
    assert training_key({"train": same_data}, code, {"seed": 1}) == first
    others = [
        training_key({"train": other_data}, code, {"seed": 1}),
        training_key({"train": data}, other_code, {"seed": 1}),
        training_key({"train": data}, code, {"seed": 2}),
    ]
    monkeypatch.setenv("PENSTOCK_CODE_VERSION", "2")
    others.append(training_key({"train": data}, code, {"seed": 1}))
    assert len({first, *others}) == 5

from pathlib import Path

import numpy as np
import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library.summary import Distribution, read_statistics
from tests.components.compute_statistics.tables import describe


def test_lists_every_text_while_they_are_few(tmp_path: Path) -> None:
    found = describe(tmp_path / "data", {"city": ["Rom", "Ulm", "Rom", None]})[0].features["city"]
    assert found.counts == {"Rom": 2, "Ulm": 1}
    assert (found.unique, found.missing_share) == (2, 0.25)


def test_lists_no_texts_when_some_were_left_out(tmp_path: Path) -> None:
    found = describe(tmp_path / "data", {"id": [f"id {i}" for i in range(3_000)]})[0].features["id"]
    assert found.counts == {}
    assert found.unique == 3_000


def test_distribution_follows_the_data(tmp_path: Path) -> None:
    values = np.random.default_rng(1).exponential(size=20_000)
    found = describe(tmp_path / "data", {"x": values})[0].features["x"].distribution
    assert found is not None
    for at in (0.1, 0.7, 2.0):
        assert found.at(at) == pytest.approx(1 - np.exp(-at), abs=0.012)


def test_distribution_steps_at_a_frequent_value() -> None:
    found = Distribution([0.0, 4.0], [0.6, 1.0])
    assert [found.at(-1.0), found.at(0.0), found.at(2.0), found.at(4.0)] == [0.0, 0.6, 0.8, 1.0]
    assert (found.quantile(0.5), found.quantile(0.61)) == (0.0, 4.0)


def test_refuses_a_folder_without_statistics(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        read_statistics(tmp_path)
    assert str(caught.value) == f"the statistics artifact {tmp_path} holds no statistics.pb"


def test_refuses_a_file_that_is_no_proto(tmp_path: Path) -> None:
    (tmp_path / "statistics.pb").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(StepError, match=r"statistics\.pb is no DatasetFeatureStatisticsList"):
        read_statistics(tmp_path)

from pathlib import Path

from penstock.components.compute_statistics.step import run
from penstock.components.step_io.main import execute
from penstock.components.tfdv_library.summary import read_statistics
from tests.components.compute_statistics.tables import write_dataset
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"statistics": "system.Artifact", "report": "system.HTML"}


def test_writes_exactly_the_declared_outputs(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", {"x": [1, 2, 3], "kind": ["a", "b", "a"]})
    given = executor_input(tmp_path / "task", {"slices": ["kind"]}, {"dataset": dataset}, OUTPUTS)
    assert execute(run, "compute_statistics", given) == 0
    parameters, artifacts = read_outputs(tmp_path / "task")
    assert parameters == {"rows": 3}
    assert set(artifacts) == set(OUTPUTS)
    assert sorted(path.name for path in (tmp_path / "task").iterdir()) == [
        "executor_output.json",
        "report",
        "statistics",
    ]
    names = [found.name for found in read_statistics(artifacts["statistics"])]
    assert names == ["All Examples", "kind=a", "kind=b"]


def test_leaves_no_output_behind_when_a_setting_is_wrong(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", {"x": [1]})
    given = executor_input(tmp_path / "task", {"slices": ["y"]}, {"dataset": dataset}, OUTPUTS)
    assert execute(run, "compute_statistics", given) == 2
    assert list((tmp_path / "task").iterdir()) == []


def test_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", {"x": [1.5, 2.5, None], "y": ["a", "b", "c"]})
    found = []
    for name in ("first", "second"):
        given = executor_input(tmp_path / name, {}, {"dataset": dataset}, OUTPUTS)
        assert execute(run, "compute_statistics", given) == 0
        _, artifacts = read_outputs(tmp_path / name)
        statistics = (artifacts["statistics"] / "statistics.pb").read_bytes()
        found.append((statistics, artifacts["report"].read_bytes()))
    assert found[0] == found[1]

from penstock.components.prepare_data.step import run
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {
    "train_data": "system.Dataset",
    "validation_data": "system.Dataset",
    "test_data": "system.Dataset",
    "report": "system.HTML",
}


def prepare(folder, dataset, parameters):
    code = execute(run, "prepare_data", executor_input(folder, parameters, {"dataset": dataset}, OUTPUTS))
    return code, sorted(path.name for path in folder.iterdir())


def test_the_step_writes_exactly_what_it_declares(tmp_path, dataset, trips):
    parameters = {
        "label": {"name": "", "column": "paid", "sql": "", "task": "auto", "positive": "", "max_missing": 0},
        "cleaning": [{"drop": "fare < 10", "set": "", "sql": "", "because": "short"}],
        "split": {"by": "entity", "key": [], "validation": 0.15, "test": 0.15, "salt": ""},
    }
    code, written = prepare(tmp_path / "task", dataset(trips), parameters)
    assert (code, written) == (
        0,
        ["executor_output.json", "report", "test_data", "train_data", "validation_data"],
    )
    results, _ = read_outputs(tmp_path / "task")
    assert sorted(results) == ["label_spec", "reasons", "split_rows", "verdict"]
    assert results["verdict"] == "pass"
    assert results["label_spec"] == {
        "name": "paid",
        "task": "binary",
        "classes": ["no", "yes"],
        "positive": "yes",
    }
    assert sum(results["split_rows"].values()) == 320


def test_a_blocked_step_succeeds_with_all_its_evidence(tmp_path, dataset, trips):
    code, written = prepare(tmp_path / "task", dataset(trips), {"label": {"name": "y", "sql": "fare < 0"}})
    assert (code, written) == (
        0,
        ["executor_output.json", "report", "test_data", "train_data", "validation_data"],
    )
    assert read_outputs(tmp_path / "task")[0]["verdict"] == "block"


def test_a_wrong_setting_ends_with_code_2_and_nothing_written(tmp_path, dataset, trips):
    assert prepare(tmp_path / "task", dataset(trips), {"label": {"column": "payed"}}) == (2, [])


def test_the_same_input_gives_the_same_bytes(tmp_path, dataset, trips):
    def written(name):
        prepare(tmp_path / name, data, {"label": {"column": "paid"}})
        folder = tmp_path / name
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "executor_output.json"
        }

    data = dataset(trips)
    assert written("first") == written("second")

import json

import pyarrow.parquet as pq

from penstock.components.extract_data.step import run
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"dataset": "system.Dataset"}


def test_the_step_writes_exactly_what_it_declares(tmp_path, write):
    path = write("a.csv", "t,v\n86400,x\n172800,y\n")
    parameters = {
        "source": path,
        "fingerprint": "",
        "event_time": "t",
        "until": "1970-01-03",
        "rows_per_shard": 1.0,
    }
    task = tmp_path / "task"
    assert execute(run, "extract_data", executor_input(task, parameters, outputs=OUTPUTS)) == 0
    results, artifacts = read_outputs(task)
    assert results == {
        "rows": 1,
        "columns": 2,
        "watermark": "1970-01-02T00:00:00Z",
        "data_fingerprint": results["data_fingerprint"],
    }
    assert len(results["data_fingerprint"]) == 32
    assert sorted(path.name for path in task.iterdir()) == ["dataset", "executor_output.json"]
    assert pq.read_table(artifacts["dataset"]).to_pydict() == {"t": [86400], "v": ["x"]}


def test_a_fault_ends_with_code_2_and_nothing_written(tmp_path, write, capsys):
    path = write("a.csv", "a,b\n" + "1,2\n" * 300_000 + "3\n")
    task = tmp_path / "task"
    parameters = {"source": path, "fingerprint": ""}
    assert execute(run, "extract_data", executor_input(task, parameters, outputs=OUTPUTS)) == 2
    assert list(task.iterdir()) == []
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["error"] == (
        f"{path}: line 300002 has 1 field, the header has 2 (delimiter: comma): "
        "the line is cut off, or a text with the delimiter is not quoted"
    )


def test_wrong_settings_end_with_code_2(tmp_path, write):
    parameters = {"source": write("a.csv", "a\n1\n"), "fingerprint": "", "rows_per_shard": 0}
    assert execute(run, "extract_data", executor_input(tmp_path / "task", parameters, outputs=OUTPUTS)) == 2


def test_no_rows_are_a_shard_with_the_columns_where_they_are_allowed(tmp_path, write):
    for name, settings in {
        "a": {"source": write("a.csv", "t,v\n")},
        "b": {"source": write("b.csv", "t,v\n86400,x\n"), "event_time": "t", "since": "1980-01-01"},
    }.items():
        task = tmp_path / name
        parameters = {"fingerprint": "", "allow_empty": True, **settings}
        assert execute(run, "extract_data", executor_input(task, parameters, outputs=OUTPUTS)) == 0
        results, artifacts = read_outputs(task)
        assert (results["rows"], results["columns"], results["watermark"]) == (0, 2, "")
        assert [path.name for path in artifacts["dataset"].iterdir()] == ["part-00000.parquet"]
        table = pq.read_table(artifacts["dataset"])
        assert (table.num_rows, table.column_names) == (0, ["t", "v"])

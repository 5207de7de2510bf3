import json
import os
import subprocess
import sys
from pathlib import Path

from penstock.components.inspect_source.step import run
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

ROOT = Path(__file__).parents[3]


def test_the_step_gives_exactly_what_it_declares(tmp_path):
    (tmp_path / "a.csv").write_text("t\n86400\n")
    parameters = {"source": str(tmp_path / "a.csv"), "event_time": "t", "since": "1970-01-01"}
    assert execute(run, "inspect_source", executor_input(tmp_path / "task", parameters)) == 0
    results, artifacts = read_outputs(tmp_path / "task")
    assert (results | {"fingerprint": ""}, artifacts) == (
        {
            "fingerprint": "",
            "watermark": "1970-01-02T00:00:00Z",
            "files": 1,
            "size_bytes": 8,
            "rows": 1,
            "window_start": "1970-01-01",
            "window_end": "",
            "snapshot": "",
        },
        {},
    )
    assert len(results["fingerprint"]) == 32


def test_a_missing_source_ends_with_code_2(tmp_path, capsys):
    parameters = {"source": f"{tmp_path}/a.csv"}
    assert execute(run, "inspect_source", executor_input(tmp_path / "task", parameters)) == 2
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["error"] == f"the source '{tmp_path}/a.csv' does not exist"


def test_a_csv_file_is_inspected_without_heavy_modules(tmp_path):
    (tmp_path / "a.csv").write_text("t\n1\n")
    call = executor_input(tmp_path / "task", {"source": str(tmp_path / "a.csv")})
    program = (
        "import sys; from penstock.components.inspect_source.step import run; "
        "from penstock.components.step_io.main import execute; "
        f"code = execute(run, 'inspect_source', {call!r}); "
        "print(code, sorted({'duckdb', 'pyarrow', 'fsspec'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"

"""Data that breach the schema: the run fails at the gate, people learn why, and the evidence stays."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from penstock.environments import load_environment
from penstock.project import find_project
from penstock.store_access import store_access
from tests.cluster.conftest import ENV, ROOT, run_id


@pytest.fixture
def broken(project: Path) -> Path:
    """The project, its trips without the column `trip_miles`."""
    path = project / "apps" / "taxi" / "data" / "trips.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[:5000]
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name in rows[0] if name != "trip_miles"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return project


def test_broken_data_fail_at_the_gate_with_the_reason_and_the_evidence(
    penstock, show, broken, ready, monkeypatch
):
    done = penstock("submit", "training", "--app", "taxi", "--env", ENV, "--wait", "--force", cwd=broken)
    assert done.code == 3
    assert "trip_miles" in done.err + done.out

    run = show(run_id(done))
    states = {title: step["state"] for title, step in run["steps"].items()}
    assert (run["state"], states["gate: data"]) == ("blocked", "blocked")
    assert states["notify"] == "succeeded"
    assert "succeeded" not in {
        states.get("prepare-data"),
        states.get("train-model"),
        states.get("register-model"),
    }

    told = penstock("runs", "logs", run["id"], "notify", "--env", ENV)
    assert "trip_miles" in told.out

    for name, value in ready.items():
        monkeypatch.setenv(name, value)
    import s3fs

    report = run["steps"]["validate-data"]["record"]["outputs"]["report"]
    access = store_access(load_environment(find_project(ROOT), ENV))
    page = s3fs.S3FileSystem(**access.s3_options).cat_file(report.split("://", 1)[1]).decode()
    assert "trip_miles" in page
    assert "<html" in page

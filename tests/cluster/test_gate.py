"""Data that breach the schema: the run fails at the gate, people learn why, and the evidence stays."""

from penstock.environments import load_environment
from penstock.project import find_project
from penstock.store_access import store_access
from tests.cluster.conftest import ENV
from tests.cluster.projects import ROOT


def test_broken_data_fail_at_the_gate_with_the_reason_and_the_evidence(
    begun, wait, show, penstock, ready, monkeypatch
):
    ended = wait(begun["broken"])
    assert ended.code == 3
    assert "column 'trip_miles' is missing" in ended.out

    run = show(begun["broken"])
    states = {title: step["state"] for title, step in run["steps"].items()}
    assert (run["state"], states["gate: data"]) == ("blocked", "blocked")
    assert states["notify"] == "succeeded"
    assert {states[title] for title in ("prepare-data", "train-model", "register-model")} == {"skipped"}

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

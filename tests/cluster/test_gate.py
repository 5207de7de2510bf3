"""Data that breach the schema: the run fails at the gate, people learn why, and the evidence stays."""

from tests.cluster.conftest import ENV


def test_broken_data_fail_at_the_gate_with_the_reason_and_the_evidence(begun, wait, show, penstock, store):
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

    report = run["steps"]["validate-data"]["record"]["outputs"]["report"]
    page = store.cat_file(report.split("://", 1)[1]).decode()
    assert "trip_miles" in page
    assert "<html" in page

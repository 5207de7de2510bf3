"""What goes wrong on a real cluster is one sentence, exit code 2, and leaves nothing half done."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ENV, Penstock, run_id, run_penstock
from tests.cluster.projects import NO_DIGEST, with_a_missing_image

pytestmark = pytest.mark.usefixtures("begun")  # the runs that others wait for go on meanwhile

SUBMIT = ("submit", "--app", "taxi", "--env", ENV)


def names_of_runs(penstock: Penstock) -> set[str]:
    done = penstock("runs", "list", "--env", ENV, "--json", "-n", "20")
    return {one["name"] for one in done.json}


def test_a_root_that_cannot_be_written_to_starts_nothing(penstock: Penstock, ready: dict[str, str]):
    before = names_of_runs(penstock)
    keys = {"S3_ACCESS_KEY": "minio", "S3_SECRET_KEY": "not-the-key"}
    done = run_penstock(*SUBMIT, "--set", "seed=301", env={**ready, **keys})
    assert done.code == 2
    assert "the pipeline root minio://mlpipeline/penstock cannot be written to" in done.err
    assert "not-the-key" not in done.out + done.err
    assert names_of_runs(penstock) == before


def test_two_at_once_are_one_run(penstock: Penstock):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: penstock(*SUBMIT, "--set", "seed=302"), range(2)))
    assert [done.code for done in both] == [0, 0]
    ids = {run_id(done) for done in both}
    assert len(ids) == 1
    listed: list[dict[str, Any]] = penstock("runs", "list", "--env", ENV, "--json", "-n", "20").json
    (ours,) = [one for one in listed if one["id"] in ids]
    assert [one["name"] for one in listed].count(ours["name"]) == 1
    assert penstock("runs", "cancel", ours["id"], "--env", ENV).code == 0


def test_an_image_that_cannot_be_pulled_is_named(penstock: Penstock, project: Path):
    with_a_missing_image(project, "inspect_source")
    done = penstock(*SUBMIT, "--set", "seed=303", "--wait", cwd=project)
    run = run_id(done)
    try:
        assert done.code == 2
        assert f"inspect_source@{NO_DIGEST} cannot be pulled" in done.err
        assert f"penstock runs cancel {run}" in done.err
    finally:
        assert penstock("runs", "cancel", run, "--env", ENV).code == 0

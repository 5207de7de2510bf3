"""`penstock runs` and `penstock clean` on a real project."""

import json
from pathlib import Path

import pytest

from tests.local.toy import Toy


def with_two_runs(toy: Toy) -> Toy:
    toy.run()
    toy.run("--set", "seed=5")
    return toy


@pytest.fixture
def ran(toy: Toy) -> Toy:
    """A project with two runs that differ in a setting."""
    return with_two_runs(toy)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The same, for tests that change nothing."""
    return with_two_runs(Toy(tmp_path_factory.mktemp("toy") / "project"))


def ids(toy: Toy) -> list[str]:
    return [run["id"] for run in json.loads(toy.penstock("runs", "list", "--json").stdout)]


def test_list_shows_newest_first(looked_at: Toy) -> None:
    lines = looked_at.penstock("runs", "list").stdout.splitlines()

    assert len(lines) == 4
    assert lines[2].split()[:4] == [ids(looked_at)[0], "training", "toy", "succeeded"]


def test_list_passes_over_a_run_that_cannot_be_read(ran: Toy) -> None:
    newest = ids(ran)[0]
    (ran.runs / newest / "run.json").write_text("{")

    ended = ran.penstock("runs", "list")

    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 3
    assert f"{newest}/run.json cannot be read" in ended.stderr


def test_list_without_runs_says_how_to_start_one(toy: Toy) -> None:
    ended = toy.penstock("runs", "list")

    assert (ended.returncode, ended.stdout) == (0, "no runs yet: start one with `penstock run`\n")


def test_show_lists_steps_and_ends_with_the_summary(looked_at: Toy) -> None:
    out = looked_at.penstock("runs", "show").stdout

    assert "↺ produce     cached" in out
    assert f"reused from {ids(looked_at)[1]}" in out
    assert "judge       pass" in out


def test_compare_shows_only_what_differs(looked_at: Toy) -> None:
    newest, oldest = ids(looked_at)

    found = json.loads(looked_at.penstock("runs", "compare", oldest, "latest", "--json").stdout)

    parameters = [one for one in found if one["kind"] == "parameter"]
    assert parameters == [{"kind": "parameter", "name": "seed", "first": "0", "second": "5"}]
    assert not [one for one in found if one["kind"] == "code"]
    text = looked_at.penstock("runs", "compare", oldest, newest).stdout
    assert "parameter  seed" in text


def test_compare_shows_changed_code_by_step(ran: Toy) -> None:
    step = ran.root / "components" / "judge" / "step.py"
    step.write_text(step.read_text() + "\n# changed\n")
    before = ids(ran)[0]
    ran.run("--set", "seed=5")

    found = json.loads(ran.penstock("runs", "compare", before, "latest", "--json").stdout)

    assert [one["name"] for one in found if one["kind"] == "code"] == ["judge"]


def test_part_of_an_id_is_enough_when_it_is_the_only_one(looked_at: Toy) -> None:
    newest = ids(looked_at)[0]

    assert newest in looked_at.penstock("runs", "show", newest[9:]).stdout
    ambiguous = looked_at.penstock("runs", "show", "2")
    assert ambiguous.returncode == 2
    assert "begins 2 runs" in ambiguous.stderr


def test_unknown_id_gives_the_nearest(looked_at: Toy) -> None:
    newest = ids(looked_at)[0]

    ended = looked_at.penstock("runs", "show", f"{newest[:-1]}x")

    assert ended.returncode == 2
    assert f"there is no run '{newest[:-1]}x'; did you mean '2" in ended.stderr


def test_logs_of_a_step_and_of_the_failed_one(ran: Toy) -> None:
    assert '"step":"learn"' in ran.penstock("runs", "logs", "latest", "learn").stdout
    ran.steer(numbers=[1, 2], fail="produce", how="bug")
    ran.run()

    assert "KeyError: 'numbers'" in ran.penstock("runs", "logs").stdout
    unknown = ran.penstock("runs", "logs", "latest", "prodce")
    assert "has no log of a step 'prodce'; did you mean 'produce'?" in unknown.stderr


def test_clean_keeps_what_the_cache_needs_and_says_so(ran: Toy) -> None:
    oldest = ids(ran)[1]

    ended = ran.penstock("clean", "--runs", "--yes")

    assert f"stays: runs/{oldest}: the cache reuses its outputs" in ended.stderr
    ran.run()
    assert ran.states()["produce"] == "cached"


def test_clean_removes_runs_and_cache_together(ran: Toy) -> None:
    ended = ran.penstock("clean", "--all", "--keep", "1", "--yes")

    assert ended.returncode == 0, ended.stderr
    assert len(ids(ran)) == 1
    assert not (ran.root / ".penstock" / "cache").exists()
    ran.run()
    assert ran.states()["produce"] == "succeeded"


def test_clean_asks_before_it_removes(looked_at: Toy) -> None:
    ended = looked_at.penstock("clean", "--all")

    assert len(ids(looked_at)) == 2
    assert "Remove these" in ended.stderr


def test_clean_wants_to_know_what(looked_at: Toy) -> None:
    ended = looked_at.penstock("clean")

    assert ended.returncode == 2
    assert (
        ended.stderr
        == "penstock: say what to remove: --runs, --cache, --envs, --all (these three) or --registry\n"
    )


def test_clean_removes_environments_of_old_locks_only(ran: Toy, tmp_path: Path) -> None:
    old = ran.root / ".penstock" / "envs" / "tiny-000000000000"
    old.mkdir(parents=True)

    ran.penstock("clean", "--envs", "--yes")

    assert not old.exists()

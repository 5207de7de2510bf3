"""What survives Ctrl-C, kill -9 and two runs at once, and that no cache entry is ever stale."""

import os
import signal
from pathlib import Path

import pytest

from tests.local.toy import Toy, is_running, wait_for, write


def hang(toy: Toy, tmp_path: Path, **wishes: object) -> Path:
    """Let the step `learn` wait to be killed; return the file that says it has begun."""
    hanging = tmp_path / "hanging"
    toy.steer(numbers=[1, 2], hang="learn", hanging=str(hanging), **wishes)
    return hanging


def test_rerun_goes_on_with_the_unfinished_step_after_kill_9(toy: Toy, tmp_path: Path) -> None:
    hanging = hang(toy, tmp_path)
    runner = toy.start("run", "--app", "toy")
    step = int(wait_for(hanging, runner))
    runner.kill()
    runner.communicate()
    killed = toy.latest()["id"]
    toy.steer(numbers=[1, 2])

    ended = toy.run()

    assert ended.returncode == 0, ended.stderr
    assert toy.states() == {
        "importer": "succeeded",
        "look": "succeeded",
        "produce": "cached",
        "judge": "cached",
        "gate": "cached",
        "learn": "succeeded",
        "tell": "succeeded",
    }
    assert not is_running(step)
    shown = toy.penstock("runs", "show", killed).stdout
    assert "! learn       interrupted" in shown
    assert not (toy.runs / killed / "artifacts" / "learn" / "model").exists()


def test_killed_run_is_shown_as_interrupted_before_any_other_run(toy: Toy, tmp_path: Path) -> None:
    hanging = hang(toy, tmp_path)
    runner = toy.start("run", "--app", "toy")
    wait_for(hanging, runner)
    assert "running" in toy.penstock("runs", "list").stdout
    runner.kill()
    runner.communicate()

    assert "interrupted" in toy.penstock("runs", "list").stdout


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_what_a_step_of_a_killed_run_had_started_is_ended_by_the_next_run(toy: Toy, tmp_path: Path) -> None:
    hanging = hang(toy, tmp_path, child=True)
    runner = toy.start("run", "--app", "toy")
    wait_for(hanging, runner)
    while len(hanging.read_text().split()) < 2:
        pass
    child = int(hanging.read_text().split()[1])
    runner.kill()
    runner.communicate()
    assert is_running(child)
    toy.steer(numbers=[1, 2])

    toy.run()

    assert not is_running(child)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_step_and_the_run_with_exit_code_130(
    toy: Toy, tmp_path: Path, number: signal.Signals
) -> None:
    hanging = hang(toy, tmp_path)
    runner = toy.start("run", "--app", "toy")
    step = int(wait_for(hanging, runner))

    runner.send_signal(number)
    out, err = runner.communicate(timeout=30)

    assert runner.returncode == 130
    assert not is_running(step)
    assert toy.latest()["state"] == "interrupted"
    assert toy.states()["learn"] == "interrupted"
    assert toy.states()["tell"] == "skipped"
    assert "goes on with the step that had not finished" in out
    assert "Traceback" not in err


def test_two_runs_at_once_both_succeed(toy: Toy) -> None:
    runners = [toy.start("run", "--app", "toy", "--set", f"seed={seed}") for seed in (1, 2)]
    ends = [runner.communicate(timeout=60) for runner in runners]

    assert [runner.returncode for runner in runners] == [0, 0], ends
    models = sorted(path.read_text() for path in toy.runs.glob("2*/artifacts/learn/model"))
    assert models == ["7", "8"]
    assert not list((toy.root / ".penstock" / "cache").glob(".*"))


def test_two_equal_runs_at_once_both_succeed(toy: Toy) -> None:
    runners = [toy.start("run", "--app", "toy") for _ in range(2)]
    ends = [runner.communicate(timeout=60) for runner in runners]

    assert [runner.returncode for runner in runners] == [0, 0], ends
    assert rerun_of(toy) == []


def test_running_run_is_left_alone_by_another(toy: Toy, tmp_path: Path) -> None:
    hanging = hang(toy, tmp_path)
    first = toy.start("run", "--app", "toy")
    step = int(wait_for(hanging, first))
    toy.steer(numbers=[5, 6])

    ended = toy.run()

    assert ended.returncode == 0
    assert first.poll() is None
    assert is_running(step)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def rerun_of(toy: Toy) -> list[str]:
    """Run again and return the steps that were computed, without those that always are."""
    ended = toy.run()
    assert ended.returncode == 0, ended.stderr
    always = {"importer", "look", "tell"}
    return [task for task, state in toy.states().items() if state == "succeeded" and task not in always]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("components/learn/step.py", ["learn"]),
        ("components/learn/spec.py", ["learn"]),
        ("components/learn/words.txt", ["learn"]),
        ("components/judge/step.py", ["judge", "gate"]),
        ("components/wording/behave.py", ["produce", "judge", "gate", "learn"]),
        ("components/step_io/values.py", ["produce", "judge", "gate", "learn"]),
        ("images/tiny/uv.lock", ["produce", "judge", "gate", "learn"]),
        ("components/learn/README.md", []),
        ("components/html_report/page.py", []),
    ],
)
def test_change_of_a_file_reruns_what_depends_on_it(toy: Toy, changed: str, expected: list[str]) -> None:
    toy.run()
    path = toy.root / changed
    write(path, (path.read_text() if path.exists() else "") + "\n# changed\n")

    assert rerun_of(toy) == expected


def test_changed_data_rerun_everything(toy: Toy) -> None:
    toy.run()
    toy.steer(numbers=[4, 5])

    assert rerun_of(toy) == ["produce", "judge", "gate", "learn"]


def test_changed_setting_reruns_only_the_step_that_takes_it(toy: Toy) -> None:
    toy.run()

    toy.run("--set", "seed=9")

    assert toy.states()["judge"] == "cached"
    assert toy.states()["learn"] == "succeeded"


@pytest.mark.parametrize("how", ["removed", "cut"])
def test_damaged_output_is_computed_again(toy: Toy, how: str) -> None:
    toy.run()
    inner = next(toy.runs.glob("2*/artifacts/produce/dataset/inner/count.txt"))
    if how == "removed":
        inner.unlink()
    else:
        os.truncate(inner, 0)

    assert "produce" in rerun_of(toy)


def test_no_cache_runs_everything_and_serves_later_runs(toy: Toy) -> None:
    toy.run()

    toy.run("--no-cache")

    again = toy.latest()["id"]
    assert "cached" not in toy.states().values()
    toy.run()
    assert toy.latest()["steps"][2]["reused_from"] == again


def test_blocked_gate_blocks_again_and_passes_once_the_data_are_right(toy: Toy) -> None:
    toy.steer(numbers=[1])
    assert toy.run().returncode == 3
    assert toy.run().returncode == 3
    toy.steer(numbers=[1, 2])

    assert toy.run().returncode == 0

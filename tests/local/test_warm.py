"""Interpreters that are started ahead of their step."""

from pathlib import Path

from tests.local.toy import Toy

WARM_UP = '''

def warm_up() -> None:
    """Leave a trace in the process that has warmed up."""
    import os

    os.environ["WARMED"] = "yes"
    {more}


if __name__ == "__main__":'''


def give_warm_up(toy: Toy, step: str, more: str = "") -> None:
    """Let a step warm up, and write into its output whether it has."""
    path = toy.root / "components" / step / "step.py"
    text = path.read_text().replace('\n\nif __name__ == "__main__":', WARM_UP.format(more=more))
    path.write_text(text.replace('"# Learned"', '__import__("os").environ.get("WARMED", "no")'))


def notes(toy: Toy) -> str:
    run = toy.latest()
    return Path(run["steps"][5]["outputs"]["notes"]).read_text()


def test_step_runs_in_the_interpreter_that_was_warmed_up_for_it(toy: Toy) -> None:
    give_warm_up(toy, "learn")

    ended = toy.run()

    assert ended.returncode == 0, ended.stderr
    assert notes(toy) == "yes"
    log = (toy.runs / toy.latest()["id"] / "logs" / "learn.log").read_text()
    assert log.startswith('{"record":"penstock.step/1","step":"learn"')


def test_step_starts_by_itself_where_warming_up_fails(toy: Toy) -> None:
    give_warm_up(toy, "learn", "os._exit(1)")

    ended = toy.run()

    assert ended.returncode == 0, ended.stderr
    assert notes(toy) == "no"


def test_nothing_warms_up_where_it_is_turned_off(toy: Toy) -> None:
    give_warm_up(toy, "learn")

    toy.run(PENSTOCK_WARM="0")

    assert notes(toy) == "no"


def test_warm_up_that_takes_long_delays_nobody_but_its_step(toy: Toy) -> None:
    give_warm_up(toy, "tell", "__import__('time').sleep(0.5)")

    ended = toy.run()

    assert ended.returncode == 0, ended.stderr
    assert toy.latest()["state"] == "succeeded"


def test_no_interpreter_is_left_when_its_step_never_comes(toy: Toy) -> None:
    give_warm_up(toy, "learn", "open('/proc/self/stat').close()")
    toy.steer(numbers=[1])

    ended = toy.run()

    assert ended.returncode == 3
    mine = [path for path in Path("/proc").glob("[0-9]*/environ") if str(toy.root).encode() in _read(path)]
    assert mine == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

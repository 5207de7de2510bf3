"""`penstock run --runner docker` against the real engine: how steps end, what they see, what is left."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.engine import build_images, containers, docker, images_of
from tests.local.test_resume import hang
from tests.local.test_run import DONE
from tests.local.toy import Toy, wait_for, write

DOCKER = ("--runner", "docker")


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """A fresh toy project with its images."""
    project = Toy(tmp_path / "project")
    built = build_images(project)
    yield project
    if left := containers(project):
        docker("rm", "--force", *left)
    docker("rmi", "--force", *built)


def log_of(toy: Toy, task: str) -> str:
    return (toy.runs / toy.latest()["id"] / "logs" / f"{task}.log").read_text()


def until(holds: Callable[[], bool], limit_s: float = 30) -> bool:
    """Wait until something holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_run_in_containers_computes_every_step_and_leaves_no_container(toy: Toy) -> None:
    ended = toy.run(*DOCKER, PENSTOCK_STACK_PYTHON_TINY="/no/such/python")  # which would be an error

    assert ended.returncode == 0, ended.stderr
    assert toy.states() == DONE
    run = toy.latest()
    assert run["executor"] == "docker"
    assert "(docker)" in ended.stdout.splitlines()[0]
    model = Path(run["steps"][5]["outputs"]["model"])
    assert model.read_text() == "6"
    assert model.stat().st_uid == os.getuid()
    assert containers(toy) == []
    assert not (toy.root / ".penstock" / "envs").exists()


def test_cache_is_shared_with_the_runner_of_processes(toy: Toy) -> None:
    toy.run()
    first = toy.latest()

    toy.run(*DOCKER)

    cached = dict.fromkeys(("produce", "judge", "gate", "learn"), "cached")
    assert toy.states() == {**DONE, **cached}
    assert toy.latest()["steps"][2]["reused_from"] == first["id"]
    assert toy.latest()["code_version"] == first["code_version"]


def test_step_sees_its_image_and_little_of_this_machine(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], reveal="look")
    secret = {"DATABASE_PASSWORD": "hush", "AWS_SECRET_ACCESS_KEY": "needed to read", "LC_ALL": "xx_XX"}

    ended = toy.run(*DOCKER, **secret)

    assert ended.returncode == 0, ended.stderr
    line = next(line for line in log_of(toy, "look").splitlines() if line.startswith("seen "))
    seen = json.loads(line.removeprefix("seen "))
    assert seen["writing"] == "Read-only file system"
    assert seen["uid"] == os.getuid()
    assert seen["env"]["PENSTOCK_FROM_IMAGE"] == "yes"
    assert seen["env"]["PYTHONPATH"] == "/step"
    assert seen["env"]["HOME"] == "/tmp"
    assert seen["env"]["AWS_SECRET_ACCESS_KEY"] == "needed to read"
    assert not {"DATABASE_PASSWORD", "LC_ALL", "PENSTOCK_STACK_PYTHON_TINY"} & seen["env"].keys()


def test_gate_stops_the_run_with_exit_code_3(toy: Toy) -> None:
    toy.steer(numbers=[1])

    ended = toy.run(*DOCKER)

    assert ended.returncode == 3
    assert toy.states() == {**DONE, "gate": "blocked", "learn": "skipped"}


@pytest.mark.parametrize(
    ("how", "exit_code", "of_step", "error"),
    [
        ("step_error", 2, 2, "holds no numbers: write some into it"),
        ("bug", 1, 1, "KeyError: 'numbers'"),
        ("silent", 1, 7, "the process ended with exit code 7 and left no step record"),
    ],
)
def test_failure_is_told_with_its_real_exit_code(
    toy: Toy, how: str, exit_code: int, of_step: int, error: str
) -> None:
    toy.steer(numbers=[1, 2], fail="learn", how=how)

    ended = toy.run(*DOCKER)

    assert ended.returncode == exit_code
    assert toy.states() == {**DONE, "learn": "failed"}
    record = toy.latest()["steps"][5]["record"]
    assert record["exit_code"] == of_step
    assert record["error"].endswith(error)
    assert ("Traceback" in log_of(toy, "learn")) == (how == "bug")
    assert containers(toy) == []


def test_step_over_its_memory_limit_says_so_and_how_much_that_was(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], fail="learn", how="memory")
    settings = toy.root / "images" / "images.yaml"
    write(
        settings,
        settings.read_text().replace("learn: {stack: tiny}", "learn: {stack: tiny, memory_limit: 96Mi}"),
    )

    ended = toy.run(*DOCKER)

    assert ended.returncode == 1
    sentence = "killed: over its memory limit of 96Mi; raise it in images/images.yaml or with --memory"
    learn = toy.latest()["steps"][5]
    assert (learn["record"]["error"], learn["record"]["exit_code"]) == (sentence, -9)
    assert learn["peak_mib"] == 96
    assert f"error       learn: {sentence}" in ended.stdout
    assert toy.run(*DOCKER, "--memory", "2Gi").returncode == 1
    assert toy.latest()["steps"][5]["record"]["error"] == "AssertionError: 1024 MiB were not too many"


def test_missing_image_is_told_before_anything_runs(toy: Toy) -> None:
    path = toy.root / "components" / "gate" / "step.py"
    write(path, path.read_text() + "\n# changed\n")
    gate = images_of(toy.root)[0]

    ended = toy.run(*DOCKER)

    assert ended.returncode == 2
    assert ended.stderr == f"penstock: the image {gate} is not built: run `penstock images build`\n"
    assert not list(toy.runs.glob("2*"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"PATH": "/nowhere"},
            "the program `docker` is not on the PATH: install Docker, or leave out `--runner docker`",
        ),
        (
            {"DOCKER_HOST": "unix:///no/such.sock"},
            "the Docker engine cannot be reached (Cannot connect to the Docker daemon at unix:///no/such.sock. "
            "Is the docker daemon running?): start it or correct DOCKER_HOST, or leave out `--runner docker`",
        ),
    ],
)
def test_missing_engine_is_told_before_anything_runs(
    toy: Toy, variables: dict[str, str], sentence: str
) -> None:
    ended = toy.run(*DOCKER, **variables)

    assert (ended.returncode, ended.stderr) == (2, f"penstock: {sentence}\n")
    assert not list(toy.runs.glob("2*"))


def test_memory_that_is_no_quantity_is_refused(toy: Toy) -> None:
    ended = toy.run(*DOCKER, "--memory", "lots")

    sentence = "penstock: --memory 'lots' is no quantity: write it like 512Mi or 4Gi\n"
    assert (ended.returncode, ended.stderr) == (2, sentence)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_container_and_the_run_with_exit_code_130(
    toy: Toy, number: signal.Signals
) -> None:
    hanging = hang(toy, toy.root / ".penstock")
    runner = toy.start("run", "--app", "toy", *DOCKER)
    wait_for(hanging, runner)
    assert len(containers(toy, running=True)) == 1

    runner.send_signal(number)
    _, err = runner.communicate(timeout=30)

    assert runner.returncode == 130
    assert containers(toy) == []
    assert toy.states()["learn"] == "interrupted"
    assert "Traceback" not in err


def test_container_of_a_killed_runner_is_removed_and_the_next_run_goes_on(toy: Toy) -> None:
    hanging = hang(toy, toy.root / ".penstock")
    runner = toy.start("run", "--app", "toy", *DOCKER)
    wait_for(hanging, runner)
    runner.kill()
    runner.communicate()

    assert until(lambda: containers(toy, running=True) == [])
    toy.steer(numbers=[1, 2])
    assert toy.run(*DOCKER).returncode == 0
    assert containers(toy) == []
    assert toy.states()["judge"] == "cached"
    assert toy.states()["learn"] == "succeeded"


def test_what_a_step_says_is_in_its_log_while_it_runs(toy: Toy) -> None:
    path = toy.root / "components" / "learn" / "step.py"
    said = 'print("begun on", len(source), "letters", flush=True)'
    write(path, path.read_text().replace("    steer = behave(", f"    {said}\n    steer = behave("))
    built = build_images(toy)
    hanging = hang(toy, toy.root / ".penstock")
    runner = toy.start("run", "--app", "toy", *DOCKER)
    wait_for(hanging, runner)

    arrived = until(lambda: "begun on" in log_of(toy, "learn"), limit_s=5)

    assert runner.poll() is None
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=30)
    docker("rmi", "--force", *built)
    assert arrived


def test_step_sees_the_cores_and_the_memory_of_its_limits(toy: Toy) -> None:
    settings = toy.root / "images" / "images.yaml"
    limits = "learn: {stack: tiny, cpu: 250m, cpu_limit: 500m, memory: 64Mi, memory_limit: 256Mi}"
    write(settings, settings.read_text().replace("learn: {stack: tiny}", limits))
    hanging = hang(toy, toy.root / ".penstock")
    runner = toy.start("run", "--app", "toy", *DOCKER)
    wait_for(hanging, runner)

    (name,) = containers(toy, running=True)
    given = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", name))

    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=30)
    assert given["Memory"] == 256 * 2**20
    assert given["MemoryReservation"] == 64 * 2**20
    assert given["CpuShares"] == 256
    assert given["NanoCpus"] == 500_000_000


def test_containers_of_a_run_that_is_alive_are_left_alone(toy: Toy) -> None:
    hanging = hang(toy, toy.root / ".penstock")
    first = toy.start("run", "--app", "toy", *DOCKER)
    wait_for(hanging, first)
    toy.steer(numbers=[5, 6])

    ended = toy.run(*DOCKER)

    assert ended.returncode == 0, ended.stderr
    assert first.poll() is None
    assert len(containers(toy, running=True)) == 1
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def test_no_value_of_a_variable_is_seen_in_the_list_of_processes(toy: Toy) -> None:
    hanging = hang(toy, toy.root / ".penstock")
    runner = toy.start("run", "--app", "toy", *DOCKER, AWS_SECRET_ACCESS_KEY="hush-4711")
    wait_for(hanging, runner)

    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=30)
    assert "start --attach" in listed
    assert "hush-4711" not in listed
    assert "hush-4711" not in "".join(
        path.read_text(errors="replace") for path in toy.runs.rglob("*") if path.is_file()
    )

"""The whole path: `penstock serve` with the real service, the registry, and requests from outside."""

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.local.envs import ensure_stacks
from penstock.project import find_project
from tests.serving.endpoints import CUT, LOST_BY_A_CLIENT, ROOT, Client, Load, free_port, is_alive, wait_until

HERE = Path(__file__).parent
START_S = 180  # a worker imports TensorFlow; on a busy machine that takes its time


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    return ensure_stacks(find_project(HERE), ["serving", "router", "control"], test=True)


@pytest.fixture(scope="session")
def models(pythons: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two models: 1 says sigmoid(miles + 2 if cash), 2 sigmoid(-miles + 2 if cash)."""
    folder = tmp_path_factory.mktemp("models")
    run_in(pythons["serving"], "make_models.py", str(folder))
    return folder


@pytest.fixture(scope="session")
def registry(pythons: dict[str, Path], models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry in which 1 and 2 are versions of taxi, and 1 is the champion."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    run_in(pythons["control"], "make_models.py", str(models), f"sqlite:///{path}")
    return path


def run_in(python: Path, script: str, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Shell:
    """A home of its own for `penstock`."""

    def __init__(self, home: Path, pythons: dict[str, Path], models: Path) -> None:
        self.home, self.pythons, self.models = home, pythons, models
        self.port = free_port()
        self.registry = f"sqlite:///{home / 'registry.db'}"
        stacks = {f"PENSTOCK_STACK_PYTHON_{name.upper()}": str(path) for name, path in pythons.items()}
        self.env = {**os.environ, **stacks, "PENSTOCK_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.env.pop("MLFLOW_TRACKING_URI", None)
        self.open: list[subprocess.Popen[str]] = []

    def promote(self, number: int) -> None:
        run_in(self.pythons["control"], "promote.py", self.registry, str(number))

    def penstock(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock.cli", *arguments]
        return subprocess.run(
            command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=START_S + 30
        )

    def foreground(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `penstock serve` and return when it says that Ctrl-C ends it."""
        command = [sys.executable, "-m", "penstock.cli", "serve", *arguments, "--port", str(self.port)]
        process = subprocess.Popen(
            command, env=self.env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.open.append(process)
        self.said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line.rstrip("\n"))
            if line == "Ctrl-C ends it.\n":
                return process
        assert process.stderr is not None
        pytest.fail(f"penstock serve ended with {process.wait()}: {process.stderr.read()}")

    def status(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.home / "endpoints" / name / "status.json").read_text())
        return found

    def ask(self, miles: float, name: str = "taxi") -> tuple[str, float]:
        """Return the version that answers, and its score."""
        with Client(self.port, f"/v1/models/{name}:predict") as client:
            answer = client.post({"instances": [{"miles": miles, "payment": "Card"}]})
        assert answer.status == 200, answer
        return answer.version, answer.content["predictions"][0]["score"]


@pytest.fixture
def shell(tmp_path: Path, pythons: dict[str, Path], models: Path) -> Iterator[Shell]:
    found = Shell(tmp_path, pythons, models)
    yield found
    for process in found.open:
        process.kill()
        process.wait()
    for folder in (tmp_path / "endpoints").glob("*"):
        found.penstock("serve", "--stop", "--name", folder.name)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_serve_shows_a_curl_line_that_works_and_ctrl_c_ends_all(shell: Shell) -> None:
    process = shell.foreground("--model", str(shell.models / "1"), "--replicas", "1")
    assert re.fullmatch(
        rf"model is served at http://127\.0\.0\.1:{shell.port} \(REST and gRPC\), all traffic to version folder-\w{{8}}",
        shell.said[0],
    )
    line = shell.said[shell.said.index("Try it:") + 1].strip()
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert prediction["label"] == "ja"
    assert prediction["score"] == pytest.approx(sigmoid(2.5), abs=1e-6)
    assert json.loads(shell.said[shell.said.index("Try it:") + 2]) == json.loads(done.stdout)
    answers = json.loads(run_in(shell.pythons["serving"], "ask_v2.py", str(shell.port), "model", "1.5"))
    for protocol in ("rest", "grpc"):
        assert answers[protocol]["score"] == [pytest.approx(sigmoid(3.5), abs=1e-6)]
    status = shell.status("model")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    workers = status["versions"]
    assert isinstance(workers, dict)
    pids = [status["router"], *(pid for version in workers.values() for pid in version["workers"])]
    assert not any(is_alive(pid) for pid in pids)  # type: ignore[arg-type]
    logged = [path.read_text() for path in (shell.home / "endpoints/model/requests").rglob("*.jsonl")]
    assert sum(text.count('"status"') for text in logged) == 4  # its own, curl's, two of KServe's clients


def test_a_killed_worker_of_the_service_under_load_costs_what_it_had_taken(shell: Shell) -> None:
    shell.foreground("--model", str(shell.models / "1"))
    clients = 4
    body = {"instances": [{"miles": 1.0, "payment": "Cash"}]}
    with Load(shell.port, clients, body, "/v1/models/model:predict") as load:
        load.wait_for(200)
        (version,) = shell.status("model")["versions"].values()  # type: ignore[attr-defined]
        killed = time.monotonic()
        os.kill(version["workers"][0], signal.SIGKILL)
        ready = lambda: next(iter(shell.status("model")["versions"].values()))["ready"]  # type: ignore[attr-defined]  # noqa: E731
        wait_until(lambda: ready() == 1)
        wait_until(lambda: ready() == 2, START_S)
        recovered = time.monotonic() - killed
        load.wait_for(200)
    bad = [(at - killed, answer) for at, answer in load.answers if answer.status != 200]
    print(
        f"service, kill -9 of one of 2 workers: {len(bad)} errors of {len(load.answers)} requests"
        f"{f', the last after {bad[-1][0] * 1000:.0f} ms' if bad else ''}; 2 ready again after {recovered:.1f} s"
    )
    assert len(bad) <= LOST_BY_A_CLIENT * clients
    assert {answer.status for _, answer in bad} <= {CUT, 503}


def test_serve_again_changes_to_the_new_champion_without_a_dropped_request(
    shell: Shell, registry: Path
) -> None:
    shutil.copy(registry, shell.home)
    first = shell.penstock("serve", "--app", "taxi", "--port", str(shell.port), "--replicas", "1", "--detach")
    assert first.returncode == 0, first.stderr
    assert shell.ask(1.0) == ("1", pytest.approx(sigmoid(1.0), abs=1e-6))
    shell.promote(2)
    body = {"instances": [{"miles": 1.0, "payment": "Cash"}]}
    with Load(shell.port, 2, body, "/v1/models/taxi:predict") as load:
        load.wait_for(20)
        second = shell.penstock("serve", "--app", "taxi", "--replicas", "1")
        load.wait_for(20)
    assert second.returncode == 0, second.stderr
    print(f"new champion under load: {dict(load.statuses)}")
    assert set(load.statuses) == {200}
    assert shell.ask(1.0) == ("2", pytest.approx(sigmoid(-1.0), abs=1e-6))
    shown = json.loads(shell.penstock("endpoint", "show", "taxi", "--json").stdout)
    assert shown["weights"] == {"2": 100}
    assert list(shown["versions"]) == ["2"]
    text = shell.penstock("endpoint", "show").stdout
    assert f"taxi: at http://127.0.0.1:{shell.port}, revision {shown['revision']}" in text
    assert re.search(r"^2 +100 % +1 of 1 +0 ", text, re.MULTILINE)
    history = json.loads(shell.penstock("endpoint", "history", "--json").stdout)
    actions = [change["action"] for change in history]
    assert actions == ["deploy", "shift", "deploy", "shift", "undeploy"]
    other = shell.penstock("serve", "--app", "taxi", "--port", "1")
    assert other.returncode == 2
    assert "taxi is served at http://127.0.0.1" in other.stderr
    assert shell.penstock("serve", "--stop").stdout == "stopped taxi\n"
    assert shell.penstock("serve", "--stop", "--name", "taxi").stdout == "taxi does not run\n"


def test_what_was_killed_is_taken_up_as_it_was(shell: Shell) -> None:
    process = shell.foreground("--model", str(shell.models / "1"), "--replicas", "1", "--name", "taxi")
    before = shell.status("taxi")
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(before["pid"]) and not is_alive(before["router"]))  # type: ignore[arg-type]
    again = shell.penstock("serve", "--app", "taxi", "--detach")
    assert again.returncode == 0, again.stderr
    assert "as it was before its end (folder-" in again.stderr
    assert shell.ask(1.0, "model")[1] == pytest.approx(
        sigmoid(1.0), abs=1e-6
    )  # the same port, the same model


def test_what_was_killed_comes_back_with_the_champion_of_now(shell: Shell, registry: Path) -> None:
    shutil.copy(registry, shell.home)
    process = shell.foreground("--app", "taxi", "--replicas", "1")
    before = shell.status("taxi")
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(before["pid"]) and not is_alive(before["router"]))  # type: ignore[arg-type]
    shell.promote(2)
    again = shell.penstock("serve", "--app", "taxi", "--replicas", "1", "--detach")
    assert again.returncode == 0, again.stderr
    assert again.stderr.startswith("starting version 2 (champion) of taxi")
    assert shell.ask(1.0) == ("2", pytest.approx(sigmoid(-1.0), abs=1e-6))  # the same port


def test_a_port_that_is_taken_is_one_sentence(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", shell.port))
        taken.listen()
        done = shell.penstock("serve", "--model", str(shell.models / "1"), "--port", str(shell.port))
    assert done.returncode == 2
    assert done.stderr == (
        f"penstock: port {shell.port} of 127.0.0.1 cannot be used (address already in use): end what listens there, "
        "or give another with --port\n"
    )


def test_two_endpoints_never_want_the_same_port(shell: Shell) -> None:
    model = ("--model", str(shell.models / "1"), "--replicas", "1", "--detach")
    first = shell.penstock("serve", *model, "--name", "a", "--port", str(shell.port))
    assert first.returncode == 0, first.stderr
    taken = shell.penstock("serve", *model, "--name", "b", "--port", str(shell.port), "--check")
    assert (taken.returncode, taken.stderr) == (
        2,
        f"penstock: port {shell.port} is the one of the endpoint a: give another with --port, or end that one "
        "(`penstock serve --stop --name a`)\n",
    )
    state = shell.home / "endpoints" / "b" / "state.json"
    state.parent.mkdir()
    killed = json.loads((shell.home / "endpoints" / "a" / "state.json").read_text())
    state.write_text(json.dumps({**killed, "endpoint": "b", "last_change": None}))
    second = shell.penstock("serve", "--name", "b", "--detach")
    assert second.returncode == 0, second.stderr
    both = [json.loads(shell.penstock("endpoint", "show", name, "--json").stdout)["url"] for name in "ab"]
    ports = [int(url.rpartition(":")[2]) for url in both]
    assert ports[0] == shell.port < ports[1]
    assert shell.penstock("serve", "--name", "a", "--check").stderr == ""
    assert "say which endpoint: a or b" in shell.penstock("endpoint", "show").stderr
    assert shell.penstock("serve", "--stop", "--name", "b").stdout == "stopped b\n"
    assert shell.penstock("endpoint", "show").stdout.startswith("a: at http://")
    assert shell.penstock("serve", "--stop").stdout == "stopped a\n"
    assert shell.penstock("serve", "--stop").stdout == "nothing is served\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "80000", "--check"), "80000 is no port: give one from 1 to 65535 with --port"),
        (
            ("--host", "my-laptop", "--check"),
            "--host 'my-laptop' is no IPv4 address: give one of this machine",
        ),
        (
            ("--host", "192.0.2.1", "--check"),
            "192.0.2.1 is no address of this machine: give another with --host",
        ),
        (("--name", "../b"), "the endpoint '../b' cannot be served: 1 to 63 letters"),
        (("--name", "a b"), "the endpoint 'a b' cannot be served: 1 to 63 letters"),
        (
            ("--app", "taxi"),
            "the model 'taxi' has no registered version yet: `penstock run` trains and registers one",
        ),
        (("--model", "chapmion"), "--model 'chapmion' is neither an alias; did you mean 'champion'?"),
        (("--model", "tests"), "tests is no model folder (it has no model.json)"),
        (("--app", "taxa"), "did you mean 'taxi'?"),
        (("--stop",), "nothing was served on this machine yet"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    shell: Shell, arguments: tuple[str, ...], sentence: str
) -> None:
    done = shell.penstock("serve", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


def test_an_unknown_version_is_told_with_those_there_are(shell: Shell, registry: Path) -> None:
    shutil.copy(registry, shell.home)
    done = shell.penstock("serve", "--app", "taxi", "--model", "7")
    assert done.stderr == "penstock: the model 'taxi' has no version '7' (registered: 2, 1)\n"
    done = shell.penstock("serve", "--app", "taxi", "--model", "previous")
    assert (
        done.stderr
        == "penstock: the model 'taxi' has no version with the alias 'previous' (registered: 2, 1)\n"
    )


def test_a_model_folder_that_cannot_be_read_starts_nothing(shell: Shell, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_text("{")
    done = shell.penstock("serve", "--model", str(broken))
    assert done.returncode == 2
    assert "model.json" in done.stderr
    assert not (tmp_path / "endpoints").exists()

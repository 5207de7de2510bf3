"""What can go wrong between us, the engine and registries: one sentence each and exit code 2, nothing half-done."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock.errors import UserError
from penstock.images import engine as engine_module
from penstock.images.engine import Engine
from penstock.images.push import push
from penstock.images.targets import Target, all_targets
from penstock.project import Project
from penstock.versions import Images
from tests.containers.conftest import ROOT, penstock
from tests.containers.engine import docker


class Refusing(BaseHTTPRequestHandler):
    """A registry that holds nothing; pulls and pushes under /v2/<code>/ get that answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = self.path.split("/")
        if self.path == "/v2/":
            return self._say(200)
        if self.command == "HEAD":
            return self._say(404)
        return self._say(int(parts[2]) if parts[2].isdigit() else 404)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def _say(self, code: int) -> None:
        body = b"" if self.command == "HEAD" or code == 200 else b"{}"
        self.send_response(code)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Project]:
    """A copy of what images are made of, with a recipe of its own: nothing of it is built."""
    for folder in ("components", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    changed = Project(tmp_path)
    write_recipe(changed, f"RUN echo {time.monotonic_ns()}")
    yield changed
    for target in all_targets(changed, Images(changed)):
        for reference in (target.reference, target.stack_reference):
            subprocess.run(["docker", "rmi", "--force", reference], capture_output=True, check=False)


def write_recipe(project: Project, line: str) -> None:
    (project.images / "Dockerfile").write_text(
        f"ARG BASE=python:3.11-slim-bookworm\nARG STACK=stack\nFROM ${{BASE}} AS stack\n{line}\nFROM ${{STACK}} AS step\nARG IMAGE\n"
        "ENV PENSTOCK_IMAGE=${IMAGE}\nFROM step AS service\n"
    )


def gate_of(project: Project) -> Target:
    return all_targets(project, Images(project), ["gate"])[0]


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a refused command says."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("command", [("build", "gate"), ("sizes",), ("sbom", "gate")])
def test_docker_that_is_not_there_is_named(command: tuple[str, ...]) -> None:
    expected = "penstock: the command docker is not on PATH: install Docker, or run where images are built"
    assert sentence(penstock("images", *command, PATH="/nowhere")) == expected


@pytest.mark.parametrize("host", ["unix:///no/such.sock", "tcp://127.0.0.1:9"])
@pytest.mark.parametrize("command", [("build", "gate"), ("sizes",), ("sbom", "gate")])
def test_engine_that_is_not_there_is_named(command: tuple[str, ...], host: str) -> None:
    said = sentence(penstock("images", *command, DOCKER_HOST=host))
    assert said.startswith(f"penstock: the Docker engine at {host} does not answer (")
    assert said.endswith("): start it, or set DOCKER_HOST")


def test_engine_that_takes_calls_and_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "PATIENCE_S", 1.0)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/docker.sock")
        silent.listen()
        with pytest.raises(UserError) as caught:
            Engine().check()
    assert str(caught.value) == (
        f"the Docker engine at unix://{tmp_path}/docker.sock does not answer (it said nothing for 1 s): "
        "start it, or set DOCKER_HOST"
    )


def test_step_that_is_none_is_refused_with_the_nearest() -> None:
    said = sentence(penstock("images", "build", "train_modle"))
    assert said == "penstock: images/images.yaml lists no image 'train_modle'; did you mean 'train_model'?"


def test_base_of_a_registry_that_does_not_answer(copy: Project) -> None:
    said = sentence(penstock("images", "build", "gate", "--base", "127.0.0.1:9/python:3", cwd=copy.root))
    assert said.startswith("penstock: the base image 127.0.0.1:9/python:3 cannot be pulled (")
    assert "connection refused" in said
    assert said.endswith(
        "): name one that can be in images/images.yaml, or with --base the same one on a mirror"
    )


@pytest.mark.parametrize("code", [401, 403, 404])
def test_base_that_a_registry_refuses(copy: Project, registry: str, code: int) -> None:
    base = f"{registry}/{code}/python:3"
    said = sentence(penstock("images", "build", "gate", "--base", base, cwd=copy.root))
    assert said.startswith(f"penstock: the base image {base} cannot be pulled (")


@pytest.mark.parametrize("code", [401, 403])
def test_push_that_a_registry_refuses_says_how_to_log_in(copy: Project, registry: str, code: int) -> None:
    assert penstock("images", "build", "gate", cwd=copy.root).returncode == 0
    gate = gate_of(copy)
    name = f"{registry}/{code}/gate:{gate.tag}"

    said = sentence(penstock("images", "push", "gate", "--registry", f"{registry}/{code}", cwd=copy.root))

    docker("rmi", name)
    assert said.startswith(f"penstock: {registry} refuses {name} (")
    assert said.endswith(f"): `docker login {registry}`, or ask for the right to push")


def test_push_of_what_is_not_built_says_how_to_build_it(copy: Project, registry: str) -> None:
    with pytest.raises(UserError) as caught:
        push(copy, [gate_of(copy)], Engine(), f"{registry}/ours", print)
    assert str(caught.value) == f"not built: {gate_of(copy).reference}: run `penstock images build`"


def test_registry_that_does_not_answer_is_named() -> None:
    said = sentence(penstock("images", "push", "gate", "--registry", "127.0.0.1:9/ours"))
    assert said == (
        "penstock: the registry 127.0.0.1:9 does not answer (connection refused): start it, or name another"
    )


def test_full_disk_says_how_to_make_room(copy: Project) -> None:
    write_recipe(copy, "RUN head -c 1 /dev/zero > /dev/full")  # the kernel's own error

    said = sentence(penstock("images", "build", "gate", cwd=copy.root))

    assert (
        "could not be built (no space left on device): free some of the Docker engine's disk (`docker" in said
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_build_ends_at_once_and_names_nothing(copy: Project, number: signal.Signals) -> None:
    write_recipe(copy, f"RUN echo waiting && sleep 120 && echo {time.monotonic_ns()}")
    log = copy.state / "images" / "stack-core.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock.cli", "images", "build", "gate"],
        cwd=copy.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (log.is_file() and " waiting" in log.read_text().replace("echo waiting", "")):
        assert time.monotonic() < deadline, log.read_text() if log.is_file() else "no log"
        time.sleep(0.1)

    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (130, "penstock: interrupted\n")
    assert Engine().inspect(gate_of(copy).stack_reference) is None
    assert still_building() == []


def still_building() -> list[str]:
    """Return the processes of builds that wait, after a moment in which they may end."""
    deadline = time.monotonic() + 15
    while True:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        left = [line for line in listed.splitlines() if "sleep 120 && echo" in line and "grep" not in line]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)

import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock.components.model_registry.opening import open_store
from penstock.components.step_io.errors import StepError


class Refusing(BaseHTTPRequestHandler):
    """A tracking server behind a login: it answers, but not to us."""

    status = 401

    def answer(self) -> None:
        self.send_response(200 if self.path == "/health" else self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *args: object) -> None:
        pass


class Forbidding(Refusing):
    status = 403


@pytest.fixture(params=[Refusing, Forbidding])
def closed_server(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def said_of(uri: str) -> str:
    with pytest.raises(StepError) as error:
        open_store(uri)
    return str(error.value)


def test_no_uri_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert said_of("") == (
        "no model registry is given: set the parameter registry_uri or the environment variable "
        "MLFLOW_TRACKING_URI to an MLflow URI, for instance sqlite:///registry.db or http://mlflow:5000"
    )


def test_no_uri_takes_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'registry.db'}")
    open_store("")
    assert (tmp_path / "registry.db").is_file()


def test_a_new_database_is_made_with_its_folders(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'a' / 'b' / 'registry.db'}")
    assert store.versions("taxi") == []


def test_two_processes_make_the_same_database_at_once(tmp_path: Path) -> None:
    code = (
        "from penstock.components.model_registry.opening import open_store;"
        f"s = open_store('sqlite:///{tmp_path / 'new' / 'registry.db'}');"
        "s.start_run('penstock/taxi', 'run', 1, {'a': 'b'}); print('made')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate()[0] for process in processes] == ["made\n"] * 4
    store = open_store(f"sqlite:///{tmp_path / 'new' / 'registry.db'}")
    assert len(store.runs("penstock/taxi", {"a": "b"}, 10)) == 4


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_text("this is a text that is no database at all, and longer than a header of SQLite is\n" * 3)
    assert said_of(f"sqlite:///{path}") == (
        f"{path} is no SQLite database, or a damaged one: correct registry_uri or restore the file"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "registry.db"
    assert said_of(f"sqlite:///{path}") == (
        f"the folder of the MLflow database {path} cannot be written (File exists): "
        "correct registry_uri or the folder's permissions"
    )


def test_tables_of_another_mlflow_are_left_to_it(new_registry: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(new_registry, tmp_path / "registry.db"))
    with sqlite3.connect(path) as connection:
        connection.execute("update alembic_version set version_num = '90e64c465722'")
    assert said_of(f"sqlite:///{path}") == (
        f"the tables of the MLflow database sqlite:///{path} belong to another MLflow version: take a backup, "
        f"then run `mlflow db upgrade sqlite:///{path}` with the version in images/control/uv.lock"
    )


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert said_of(uri) == (
        f"the model registry {uri} cannot be reached ([Errno 111] Connection refused): "
        "start it, or correct registry_uri"
    )


def test_a_password_is_never_shown() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert "secret" not in said_of(f"http://me:secret@{address}")


def test_a_server_that_refuses_us_says_which_variables_to_set(closed_server: str) -> None:
    assert said_of(closed_server) == (
        f"the model registry {closed_server} refuses these credentials: set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an account that may write"
    )


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "registry.db").touch()
    assert open_store(f"sqlite:///{tmp_path / 'registry.db'}").versions("taxi") == []

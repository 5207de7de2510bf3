"""The digest behind a tag, asked of a registry over HTTP: here a small real server."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock.errors import UserError
from penstock.images.push import held_by, locked
from penstock.images.registry import Registry, credentials
from penstock.images.targets import Target

DIGEST = "sha256:" + "a" * 64
USER = base64.b64encode(b"robot:secret").decode()


class Answers(BaseHTTPRequestHandler):
    """Repositories by their first part: open, basic (a password), token (a token for a password), shut."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        host, given = self.headers["Host"], self.headers.get("Authorization", "")
        if self.path.startswith("/token?"):
            known = given == f"Basic {USER}" and "scope=repository%3Atoken%2Fgate%3Apull" in self.path
            return self._say(200 if known else 401, body=json.dumps({"token": "t1"}))
        kind = self.path.split("/")[2]
        if kind == "shut":
            return self._say(403)
        if kind == "basic" and given != f"Basic {USER}":
            return self._say(401, ("WWW-Authenticate", 'Basic realm="r"'))
        if kind == "token" and given != "Bearer t1":
            realm = f'Bearer realm="http://{host}/token",service="here"'
            return self._say(401, ("WWW-Authenticate", realm))
        if not self.path.endswith("/gate/manifests/0123"):
            return self._say(404)
        return self._say(200, ("Docker-Content-Digest", DIGEST))

    def _say(self, code: int, header: tuple[str, str] | None = None, body: str = "") -> None:
        self.send_response(code)
        if header:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def log_in(folder: Path, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": USER}}}))


def test_digest_of_a_tag_is_what_the_registry_says(host: str) -> None:
    assert Registry(f"{host}/open").digest("gate", "0123") == DIGEST


def test_tag_that_is_not_there_has_no_digest(host: str) -> None:
    assert Registry(f"{host}/open").digest("gate", "4567") is None


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_credentials_of_docker_are_used_where_asked_for(host: str, tmp_path: Path, kind: str) -> None:
    log_in(tmp_path, host)
    assert Registry(f"{host}/{kind}").digest("gate", "0123") == DIGEST


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_registry_that_wants_a_login_says_so(host: str, kind: str) -> None:
    with pytest.raises(UserError) as caught:
        Registry(f"{host}/{kind}").digest("gate", "0123")
    assert str(caught.value).startswith(f"the registry {host} refuses {kind}/gate")
    assert f"`docker login {host}`" in str(caught.value)


def test_registry_that_forbids_says_so(host: str) -> None:
    with pytest.raises(UserError, match=r"refuses shut/gate:0123 \(403\)"):
        Registry(f"{host}/shut").digest("gate", "0123")


def test_registry_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UserError) as caught:
        Registry("127.0.0.1:9/penstock").digest("gate", "0123")
    expected = "the registry 127.0.0.1:9 does not answer (connection refused): start it, or name another"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "prefix", ["", "localhost:5000", "http://localhost:5000/penstock", "host/Upper Case"]
)
def test_text_that_is_no_registry_is_refused(prefix: str) -> None:
    with pytest.raises(UserError, match="is no registry of images"):
        Registry(prefix)


def test_helper_that_keeps_credentials_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"r.example": "mine"}}))
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(
        '#!/bin/sh\nread host\necho "{\\"Username\\": \\"me\\", \\"Secret\\": \\"for $host\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert credentials("r.example") == ("me", "for r.example")
    assert credentials("other.example") is None


def test_lock_holds_what_the_registry_says(host: str) -> None:
    gate = Target("gate", "core", "0" * 16, "0123", ("python",))
    lock = locked([gate], f"{host}/open", {"gate": 250})
    assert lock.model_dump()["images"]["gate"] == {
        "tag": "0123",
        "digest": DIGEST,
        "reference": f"{host}/open/gate@{DIGEST}",
        "bytes": 250,
    }


def test_image_that_the_registry_lacks_is_named(host: str) -> None:
    targets = [Target(name, "core", "0" * 16, "0123", ("python",)) for name in ("gate", "notify")]
    assert held_by(f"{host}/open", targets) == {"gate": DIGEST}
    with pytest.raises(UserError, match=r"/open lacks notify:0123: run `penstock images push`"):
        locked(targets, f"{host}/open", {})

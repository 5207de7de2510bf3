"""What we ask an image registry ourselves: the digest behind a tag (OCI distribution specification, v2)."""

import base64
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from hashlib import sha256
from http.client import HTTPMessage
from pathlib import Path

from penstock.errors import UserError

MANIFESTS = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
PLAIN = ("localhost", "127.0.0.1", "[::1]")  # as Docker does: no TLS on the machine itself
SECONDS = 20


class Registry:
    """A registry and the path in it under which the images lie, such as localhost:5000/penstock."""

    def __init__(self, prefix: str) -> None:
        host, _, path = prefix.partition("/")
        if not host or not path or not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*", path) or "://" in prefix:
            raise UserError(
                f"{prefix!r} is no registry of images: write <host>/<path>, such as localhost:5000/penstock"
            )
        self.host, self.path = host, path
        scheme = "http" if host.rpartition(":")[0] in PLAIN or host in PLAIN else "https"
        self.url = f"{scheme}://{host}/v2"
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest of an image, None when the registry has no such tag.

        Raises:
            UserError: The registry does not answer, or refuses.
        """
        found = self._get("HEAD", f"{self.path}/{name}", tag)
        if found is None:
            return None
        if digest := found[0].get("Docker-Content-Digest"):
            return digest
        found = self._get("GET", f"{self.path}/{name}", tag)
        return None if found is None else f"sha256:{sha256(found[1]).hexdigest()}"

    def _get(self, method: str, repository: str, tag: str) -> tuple[HTTPMessage, bytes] | None:
        url = f"{self.url}/{repository}/manifests/{tag}"
        for attempt in range(2):
            headers = {"Accept": MANIFESTS}
            if repository in self._tokens:
                headers["Authorization"] = self._tokens[repository]
            try:
                request = urllib.request.Request(url, headers=headers, method=method)
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    return answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                if error.code == 401 and attempt == 0:
                    self._log_in(repository, error.headers.get("WWW-Authenticate", ""))
                    continue
                if error.code in (401, 403):
                    raise self._refused(f"{repository}:{tag}", error.code) from error
                raise UserError(
                    f"the registry {self.host} answers {error.code} {error.reason} to {repository}:{tag}"
                ) from error
            except (urllib.error.URLError, OSError) as error:
                raise self._unreachable(error) from error
        raise AssertionError("unreachable")

    def _log_in(self, repository: str, challenge: str) -> None:
        """Get what the challenge asks for: a token from its realm, or Docker's own credentials."""
        known = credentials(self.host)
        basic = f"Basic {base64.b64encode(':'.join(known).encode()).decode()}" if known else ""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() != "bearer":
            if not basic:
                raise self._refused(repository, 401)
            self._tokens[repository] = basic
            return
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        query = {"scope": f"repository:{repository}:pull"}
        if "service" in asked:
            query["service"] = asked["service"]
        url = f"{asked.get('realm', '')}?{urllib.parse.urlencode(query)}"
        try:
            request = urllib.request.Request(url, headers={"Authorization": basic} if basic else {})
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                token = json.load(answer)
            self._tokens[repository] = f"Bearer {token.get('token') or token['access_token']}"
        except urllib.error.HTTPError as error:
            raise self._refused(repository, error.code) from error
        except (urllib.error.URLError, OSError) as error:
            raise self._unreachable(error) from error
        except (ValueError, KeyError) as error:
            raise UserError(f"{asked.get('realm')} gives no token for the registry {self.host}") from error

    def _refused(self, what: str, code: int) -> UserError:
        return UserError(
            f"the registry {self.host} refuses {what} ({code}): `docker login {self.host}`, "
            "or ask for the right to it"
        )

    def _unreachable(self, error: Exception) -> UserError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return UserError(
                f"the registry {self.host} has no certificate that this machine trusts ({reason}): "
                "set SSL_CERT_FILE to its authority"
            )
        reason = getattr(reason, "strerror", None) or reason
        return UserError(
            f"the registry {self.host} does not answer ({str(reason).lower()}): start it, or name another"
        )


def credentials(host: str) -> tuple[str, str] | None:
    """Return user and password that `docker login` (or a credential helper) keeps for a host."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    helper = settings.get("credHelpers", {}).get(host) or settings.get("credsStore")
    if helper:
        try:
            done = subprocess.run(
                [f"docker-credential-{helper}", "get"],
                input=host,
                capture_output=True,
                text=True,
                check=True,
                timeout=SECONDS,
            )
            answer = json.loads(done.stdout)
            return answer["Username"], answer["Secret"]
        except (OSError, subprocess.SubprocessError, ValueError, KeyError):
            pass
    encoded = settings.get("auths", {}).get(host, {}).get("auth", "")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if user else None

"""Who we are to a KFP API: a bearer token from a variable, a file, the pod's service account or Google's IAP.

A token is read anew for each request, since files and proxies change it, and never appears in an error.
"""

import os
from pathlib import Path
from typing import Any

from penstock.environment_models import Auth
from penstock.errors import UserError

IN_CLUSTER_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
IN_CLUSTER_FILE = "/var/run/secrets/kubeflow/pipelines/token"


class Credentials:
    """Gives the token; also the `credentials` that kfp's client asks before each call."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    @property
    def are_wanted(self) -> bool:
        """Whether the environment names any."""
        return self.auth.kind != "none"

    def headers(self) -> dict[str, str]:
        """Return the header that carries the token; none when no token is wanted."""
        return {"Authorization": f"Bearer {self.get_token()}"} if self.are_wanted else {}

    def get_token(self) -> str:
        """Return the token.

        Raises:
            UserError: There is none where the environment says.
        """
        auth = self.auth
        if auth.kind == "iap":
            return _identity_token(auth.client_id)
        if auth.kind == "token" and auth.variable:
            token = os.environ.get(auth.variable, "").strip()
            if not token:
                raise UserError(
                    f"the environment variable {auth.variable} (`auth.variable`) holds no token: set it"
                )
            return _checked(token, f"the environment variable {auth.variable}")
        in_cluster = os.environ.get(IN_CLUSTER_VARIABLE) or IN_CLUSTER_FILE
        path = Path(auth.file if auth.kind == "token" else in_cluster).expanduser()
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"the token file {path} cannot be read ({getattr(error, 'strerror', None) or 'no text'}): "
                + (
                    "correct `auth.file`"
                    if auth.kind == "token"
                    else "mount a service account token there; auth kind in_cluster is for pods of the cluster"
                )
            ) from error
        if not token:
            raise UserError(f"the token file {path} is empty: write the token into it")
        return _checked(token, f"the token file {path}")

    def refresh_api_key_hook(self, config: Any) -> None:
        """Put the token where kfp's client takes it from."""
        config.api_key["authorization"] = self.get_token()
        config.api_key_prefix["authorization"] = "Bearer"


def _checked(token: str, where: str) -> str:
    """Return a token that fits into a header."""
    if not token.isascii() or not token.isprintable():
        raise UserError(f"{where} holds no token: it has characters that no token has")
    return token


def _identity_token(client_id: str) -> str:
    """Return an identity token of Google for a proxy's OAuth client, from the machine's own credentials."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    try:
        return str(id_token.fetch_id_token(Request(), client_id))
    except GoogleAuthError as error:
        raise UserError(
            f"Google gives no identity token for the proxy's client {client_id!r}: set "
            "GOOGLE_APPLICATION_CREDENTIALS to the key of a service account that the proxy admits"
        ) from error

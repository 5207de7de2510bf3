"""Speaks with the API of Kubeflow Pipelines (v2beta1), and says in one sentence what went wrong.

    backend = connect(load_environment(project, "test"))
    with backend.clear_errors("look up the run"):
        backend.client.get_run(run_id)          # kfp's own client, imported when first used
    backend.get("/apis/v2beta1/runs", page_size=5)  # a route as JSON, without that import

`connect` asks the host twice with short limits: kfp's own client tries for half a minute in silence.
"""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from penstock.delivery import check_backend
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.kfp_backend.credentials import Credentials
from penstock.kfp_backend.sentences import network_sentence, status_sentence

if TYPE_CHECKING:
    import urllib3
    from kfp.client import Client

API = "/apis/v2beta1"
PAGE = 100  # entries of a list that are asked for at once
CONNECT_S = 5.0
PROBE_S = 5.0
ANSWER_S = 60.0  # an upload, or the log of a long step


class ApiError(UserError):
    """The API refused a request; `status` is the HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Backend:
    """A KFP API that answered; made by `connect`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.host = environment.host.rstrip("/")
        self.credentials = Credentials(environment.auth)
        self.version = ""  # of the backend, such as 2.14.3
        self.is_multi_user = False

    @property
    def in_namespace(self) -> dict[str, str]:
        """The field that says whose: needed where KFP serves many users, unknown elsewhere."""
        return {"namespace": self.environment.namespace} if self.is_multi_user else {}

    @cached_property
    def client(self) -> "Client":
        """Kfp's own client, with our credentials and limits on time."""
        if not hasattr(sys.modules.get("kfp.client"), "__path__"):
            sys.modules.pop("kfp.client", None)  # the stub of compile_pipeline.import_kfp
        import urllib3
        from kfp.client import Client

        auth = {"credentials": self.credentials} if self.credentials.are_wanted else {}
        with warnings.catch_warnings(), self.clear_errors("connect"):
            warnings.simplefilter("ignore", FutureWarning)
            client = Client(
                host=self.host,
                namespace=self.environment.namespace,
                ssl_ca_cert=self.environment.tls_ca or None,
                **auth,
            )
        pool = client._run_api.api_client.rest_client.pool_manager  # shared by all its services
        pool.connection_pool_kw["timeout"] = urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S)
        return client

    def get(self, path: str, *, doing: str = "", **query: Any) -> dict[str, Any]:
        """Return the JSON answer to a GET; `path` begins with /apis/, `doing` is for the error ("read a run").

        Raises:
            ApiError: The API refuses.
            UserError: It cannot be reached.
        """
        return self.request("GET", path, doing=doing, query=query)

    def pages(
        self, path: str, *fields: str, doing: str = "", size: int = PAGE, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield what a list of the API holds for us, page by page as it is wanted; raises as `get` does.

        Args:
            path: Of the list.
            fields: Where its answer may hold the entries; the first that does counts.
            doing: For the error.
            size: Entries to ask for at once.
            query: Further parameters, such as a filter.
        """
        token = ""
        while True:
            answer = self.get(
                path, doing=doing, page_size=size, page_token=token, **self.in_namespace, **query
            )
            yield from next((answer[field] for field in fields if answer.get(field)), [])
            token = str(answer.get("next_page_token") or "")
            if not token:
                return

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, doing: str = "", **query: Any
    ) -> dict[str, Any]:
        """Return the JSON answer to a POST of a JSON body; raises as `get` does."""
        return self.request("POST", path, doing=doing, query=query, body=body or {})

    def delete(self, path: str, *, doing: str = "", **query: Any) -> dict[str, Any]:
        """Return the JSON answer to a DELETE; raises as `get` does."""
        return self.request("DELETE", path, doing=doing, query=query)

    def upload(self, path: str, file: tuple[str, bytes], *, doing: str = "", **query: Any) -> dict[str, Any]:
        """Return the JSON answer to a POST of a file (name, content) as form data; raises as `get` does."""
        return self.request("POST", path, doing=doing, query=query, file=file)

    def request(
        self,
        method: str,
        path: str,
        *,
        doing: str = "",
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        file: tuple[str, bytes] | None = None,
        limit_s: float = ANSWER_S,
    ) -> dict[str, Any]:
        """Return the JSON answer to a request, an empty mapping when there is none.

        A GET is tried again once after a lost connection; nothing else is, since nothing else may happen twice.

        Raises:
            ApiError: The API refuses, or answers with something that is no JSON object.
            UserError: It cannot be reached.
        """
        import urllib3

        doing = doing or f"{method} {path}"
        content: dict[str, Any] = {}
        headers = {"Accept": "application/json", **self.credentials.headers()}
        if file is not None:
            content["fields"] = {"uploadfile": (*file, "application/octet-stream")}
        elif body is not None:
            content["body"] = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        may_repeat = method == "GET" and limit_s > PROBE_S
        with self.clear_errors(doing):
            answer = self._pool.request(
                method,
                _with_query(f"{self.host}{path}", query or {}),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=limit_s),
                retries=urllib3.Retry(1, connect=0, redirect=False) if may_repeat else False,
                redirect=False,
                **content,
            )
        text = answer.data.decode("utf-8", errors="replace")
        if answer.status >= 300:
            raise self._refused(answer.status, text, doing)
        try:
            found = json.loads(text) if text.strip() else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ApiError(
                f"{self.host} answers, but not as the KFP API: set `host` to the address of the service ml-pipeline "
                "or of the page of Kubeflow Pipelines",
                answer.status,
            )
        return found

    @contextmanager
    def clear_errors(self, doing: str) -> Iterator[None]:
        """Turn whatever the network or kfp's client raises into one sentence; `doing`: "upload the pipeline".

        Raises:
            ApiError: The API refuses.
            UserError: It cannot be reached.
        """
        import urllib3

        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise UserError(network_sentence(error, self.environment, doing)) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "kfp_server_api":
                raise
            status = getattr(error, "status", None) or 0
            text = getattr(error, "body", None) or getattr(error, "reason", None) or str(error)
            if isinstance(text, bytes):
                text = text.decode("utf-8", errors="replace")
            if not status:  # its client wraps TLS faults so
                raise UserError(network_sentence(error, self.environment, doing)) from error
            raise self._refused(status, str(text), doing) from error

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self.host}/#/runs/details/{run_id}"

    def _refused(self, status: int, text: str, doing: str) -> ApiError:
        return ApiError(status_sentence(status, text, self.environment, doing), status)

    @cached_property
    def _pool(self) -> "urllib3.PoolManager":
        import urllib3

        authority = self.environment.tls_ca
        if authority and not Path(authority).expanduser().is_file():
            raise UserError(
                f"tls_ca of environment {self.environment.name} names {authority!r}, where no file is"
            )
        return urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED", ca_certs=str(Path(authority).expanduser()) if authority else None
        )


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{url}?{urlencode(given)}" if given else url


def connect(environment: Environment) -> Backend:
    """Return the KFP API of an environment, after it answered to us.

    Raises:
        UserError: The environment is not on KFP, the host cannot be reached or is no KFP, or it refuses us.
    """
    check_backend(environment)
    backend = Backend(environment)
    doing = "connect"
    health = backend.request("GET", f"{API}/healthz", doing=doing, limit_s=PROBE_S)
    backend.version = str(health.get("tag_name") or "")
    backend.is_multi_user = bool(health.get("multi_user"))
    # A host may tell its health to anyone: this tells whether it speaks with us.
    backend.request(
        "GET",
        f"{API}/pipelines",
        doing=doing,
        query={"page_size": 1, **backend.in_namespace},
        limit_s=PROBE_S,
    )
    return backend


def equals(key: str, value: str, operation: str = "EQUALS") -> str:
    """Return the API's filter for resources whose `key` (display_name, name) is `value`, or IS_SUBSTRING."""
    predicates = [{"operation": operation, "key": key, "string_value": value}]
    return json.dumps({"predicates": predicates}, separators=(",", ":"))

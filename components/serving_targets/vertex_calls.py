"""Calls of Vertex AI: the clients, long-running operations awaited with progress, and errors as one sentence.

Google's client is imported only when something is called; it takes seconds. It speaks REST here: one port, and
it passes any proxy that lets HTTPS pass.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penstock.components.serving_targets.target import Conflict
from penstock.components.step_io.errors import StepError

LOG = logging.getLogger(__name__)
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
TOLD_EVERY_S = 30
POLL_FAILURES = 5  # in a row: a wait of minutes outlives a short outage of the API


@dataclass(frozen=True)
class VertexPlace:
    """A project and region of Google Cloud, and how its API is reached."""

    project: str
    region: str
    api_endpoint: str = ""  # other than <region>-aiplatform.googleapis.com: private access, or a test
    credentials: Any = None  # None: application default credentials
    poll_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.project:
            raise StepError(
                "no Google Cloud project is named for Vertex AI: set project in the environment file"
            )
        if not REGION.fullmatch(self.region):
            raise StepError(
                f"region {self.region!r} is no region of Google Cloud: set region in the environment file, "
                "like 'europe-west1'"
            )

    @property
    def parent(self) -> str:
        """The resource name of the region."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def host(self) -> str:
        """Where the API is."""
        return self.api_endpoint or f"{self.region}-aiplatform.googleapis.com"


class VertexCalls:
    """The two services of Vertex AI that are needed, and what all calls to them share."""

    def __init__(self, place: VertexPlace) -> None:
        self.place = place
        self._credentials = place.credentials
        self._clients: dict[str, Any] = {}

    @property
    def endpoints(self) -> Any:
        """The client of endpoints (aiplatform_v1.EndpointServiceClient)."""
        return self._client("EndpointServiceClient")

    @property
    def models(self) -> Any:
        """The client of the Model Registry (aiplatform_v1.ModelServiceClient)."""
        return self._client("ModelServiceClient")

    @property
    def operations(self) -> Any:
        """The client of long-running operations (google.longrunning).

        That of the endpoint client itself asks a path that begins with /ui/, which is not in the API's reference.
        """
        return self._client("operations")

    def found(self, call: Callable[[], Any], doing: str) -> Any | None:
        """Return what a call answers; None when the resource is not there."""
        from google.api_core.exceptions import NotFound

        with self.told(doing):
            try:
                return call()
            except NotFound as error:
                if re.search(r"\b(project|location)\b(?!s/)", _message(error), re.IGNORECASE):
                    raise  # the place is unknown, not the thing in it
                return None

    def wait(self, operation: Any, doing: str, deadline: float) -> Any:
        """Wait for a long-running operation and return its end (google.longrunning.Operation).

        Args:
            operation: As the API answered it.
            doing: What it does, for progress and errors, like "deploying taxi version 3".
            deadline: On the monotonic clock.

        Raises:
            StepError: It failed, or still runs at the deadline.
        """
        from google.api_core import exceptions

        name, began = operation.name, time.monotonic()
        told_at, failures = began, 0
        while not operation.done:
            now = time.monotonic()
            if now >= deadline:
                raise StepError(
                    f"{doing}: Vertex AI is still at it after {now - began:.0f} s ({name}): "
                    "call again, it goes on from there"
                )
            if now - told_at >= TOLD_EVERY_S:
                LOG.info("%s: %.0f s so far%s", doing, now - began, _stage(operation))
                told_at = now
            time.sleep(min(self.place.poll_s, deadline - now))
            try:
                with self.told(doing, but=(exceptions.ServerError,)):
                    operation = self.operations.get_operation(name)
                failures = 0
            except exceptions.ServerError as error:
                failures += 1
                if failures >= POLL_FAILURES:
                    raise StepError(
                        f"{doing}: Vertex AI does not say how {name} goes ({_message(error)}): call again later"
                    ) from error
                LOG.info("%s: attempt %d of %d to ask failed (%s)", doing, failures, POLL_FAILURES, error)
        if operation.error.code:
            with self.told(doing):
                raise exceptions.from_grpc_status(operation.error.code, operation.error.message)
        LOG.info("%s: done after %.0f s", doing, time.monotonic() - began)
        return operation

    def end_running(self, resource: str, doing: str, deadline: float) -> bool:
        """Wait for the operations that still run on a resource; tell whether there were any.

        A call that was interrupted left them: its successor goes on from their end. Whether one failed is no
        matter here, the successor sees what is there and does it anew.
        """
        listed = self.found(
            lambda: list(self.operations.list_operations(resource)), f"asking what runs on {resource}"
        )
        running = [one for one in listed or [] if not one.done]
        for operation in running:
            LOG.info("%s: an earlier call left %s running; waiting for its end", doing, operation.name)
            try:
                self.wait(operation, doing, deadline)
            except StepError as error:
                if time.monotonic() >= deadline:
                    raise
                LOG.info("%s: the earlier call's operation failed: %s", doing, error)
        return bool(running)

    @contextmanager
    def told(self, doing: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turn what Google's client raises into one sentence; exceptions in `but` pass."""
        import requests
        from google.api_core import exceptions
        from google.auth import exceptions as auth

        place = f"project {self.place.project!r}, region {self.place.region}"
        try:
            yield
        except but:
            raise
        except auth.DefaultCredentialsError as error:
            raise StepError(
                f"{doing}: there are no Google credentials here: call `gcloud auth application-default login`, "
                "or run as a service account"
            ) from error
        except (auth.RefreshError, exceptions.Unauthorized) as error:
            raise StepError(
                f"{doing}: the Google credentials are refused ({_message(error)}): log in anew"
            ) from error
        except exceptions.Forbidden as error:
            message = _message(error)
            if re.search(r"SERVICE_DISABLED|has not been used|is disabled", message):
                hint = f"enable aiplatform.googleapis.com in project {self.place.project!r}"
            elif "CONSUMER_INVALID" in message or re.search(r"resource project", message):
                hint = f"is there a project {self.place.project!r}, and are you allowed to use it?"
            else:
                hint = "the account needs the role roles/aiplatform.user"
            raise StepError(f"{doing}: Vertex AI forbids it ({message}; {place}): {hint}") from error
        except exceptions.TooManyRequests as error:
            raise StepError(
                f"{doing}: a quota of {place} is used up ({_message(error)}): undeploy something, choose a smaller "
                "machine, or ask for more quota"
            ) from error
        except exceptions.NotFound as error:
            raise StepError(
                f"{doing}: not found ({_message(error)}): check {place}, and whether somebody deleted it"
            ) from error
        except (exceptions.AlreadyExists, exceptions.Conflict) as error:
            raise StepError(
                f"{doing}: Vertex AI says that it is there already, or was changed in between ({_message(error)}): "
                "look at it, then call again"
            ) from error
        except (requests.ConnectionError, auth.TransportError) as error:
            raise StepError(
                f"{doing}: {self.place.host} cannot be reached ({type(error).__name__}): is "
                f"{self.place.region!r} a region with Vertex AI, and does the network let you out?"
            ) from error
        except exceptions.GoogleAPICallError as error:
            raise StepError(f"{doing}: Vertex AI refused ({_message(error)}; {place})") from error

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            with self.told("reaching Vertex AI"):
                self._clients[name] = self._made(name)
        return self._clients[name]

    def _made(self, name: str) -> Any:
        import google.auth
        import google.cloud.aiplatform_v1 as api
        from google.api_core.operations_v1 import AbstractOperationsClient, OperationsRestTransport

        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=[SCOPE])
        if name == "operations":
            transport = OperationsRestTransport(host=self.place.host, credentials=self._credentials)
            return AbstractOperationsClient(transport=transport)
        return getattr(api, name)(
            credentials=self._credentials,
            transport="rest",
            client_options={"api_endpoint": self.place.host},
        )


def changed_in_between(error: Exception) -> bool:
    """Tell whether a refusal of an update means that its etag is no longer the newest.

    The API's reference names no code for it; ABORTED (409) and FAILED_PRECONDITION (400) are in use.
    """
    from google.api_core import exceptions

    if isinstance(error, exceptions.Conflict | exceptions.PreconditionFailed):
        return True
    return isinstance(error, exceptions.BadRequest) and "etag" in (error.message or "").lower()


def conflict(endpoint: str, revision: int, expected: int | None, last: str) -> Conflict:
    """Return the sentence for the one of two concurrent changes that lost."""
    seen = "" if expected is None else f", expected {expected}"
    return Conflict(
        f"the endpoint {endpoint} was changed in between (revision {revision}{seen}; last: {last}): look at it "
        "with `penstock endpoint show`, then decide again"
    )


def _message(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error)
    text = re.sub(r"^[A-Z]+ https?://\S+: ", "", text)  # the client puts its request first
    return " ".join(text.split()).rstrip(".")[:400]


def _stage(operation: Any) -> str:
    """Return how far a deployment is, where its metadata tell it."""
    from google.cloud.aiplatform_v1 import types

    metadata = types.DeployModelOperationMetadata()
    if not operation.metadata.Is(types.DeployModelOperationMetadata.pb(metadata).DESCRIPTOR):
        return ""
    operation.metadata.Unpack(types.DeployModelOperationMetadata.pb(metadata))
    return (
        f", {metadata.deployment_stage.name.lower().replace('_', ' ')}" if metadata.deployment_stage else ""
    )

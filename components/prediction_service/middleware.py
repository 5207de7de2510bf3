"""What surrounds every HTTP request: its size limit, its id, its headers, its account.

Plain ASGI, because it runs for every request: no task, no copy of the body.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from penstock.components.prediction_service import metrics, mirrored
from penstock.components.prediction_service.account import Account, begin
from penstock.components.prediction_service.data_plane import TruthfulDataPlane
from penstock.components.prediction_service.faults import told
from penstock.components.prediction_service.request_log import RequestLog
from penstock.components.prediction_service.served_model import ServedModel

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    pass


class Requests:
    """ASGI middleware: bounds bodies, keeps accounts, adds x-request-id and x-model-version."""

    def __init__(
        self,
        app: App,
        model: ServedModel,
        data_plane: TruthfulDataPlane,
        request_log: RequestLog | None,
        routes: tuple[str, ...],
    ) -> None:
        self.app, self.model, self.data_plane, self.request_log = app, model, data_plane, request_log
        self.routes = routes
        self.most = model.settings.max_body_bytes

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        copied = scope["path"] == mirrored.ROUTE
        given = mirrored.request_id(headers) if copied else headers.get(b"x-request-id", b"")
        account = begin(_protocol(scope["path"]), given.decode("latin-1"), self.model.version)
        scope = {
            **scope,
            "headers": [*_without_id(scope["headers"]), (b"x-request-id", account.request_id.encode())],
        }
        answer = _Answer(send, account, self.data_plane)
        size = headers.get(b"content-length", b"0")
        try:
            answer.too_large = size.isdigit() and int(size) > self.most
            if not answer.too_large:
                await self.app(scope, self._bounded(receive, answer), answer.send)
        except _TooLarge:
            pass
        except Exception as error:  # noqa: BLE001 - the caller gets an answer with an id, our log the traceback
            await self._answer(answer, 500, account, told(error)["error"])
        finally:
            if answer.too_large:
                sentence = (
                    f"the body is larger than {self.most} bytes (--max-body-bytes): send the rows in parts"
                )
                await self._answer(answer, 400, account, sentence)
            if _predicts(scope["path"], self.routes) and answer.status != mirrored.NOTHING_TO_DO:
                finish(account, self.model.name, answer.status, self.request_log)

    def _bounded(self, receive: Receive, answer: "_Answer") -> Receive:
        """Return `receive`, which stops when a body without a length grows too large."""
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.most:
                    answer.too_large = True  # what is answered to this error does not count
                    raise _TooLarge
            return message

        return bounded

    async def _answer(self, answer: "_Answer", status: int, account: Account, sentence: str) -> None:
        account.error, answer.too_large = sentence, False
        if answer.begun:
            return
        body = orjson.dumps({"error": sentence})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # what is left of the body is not read
        ]
        await answer.send({"type": "http.response.start", "status": status, "headers": headers})
        await answer.send({"type": "http.response.body", "body": body})


class _Answer:
    """Adds our headers to an answer, and knows its status."""

    def __init__(self, send: Send, account: Account, data_plane: TruthfulDataPlane) -> None:
        self._send, self._account, self._data_plane = send, account, data_plane
        self.status, self.begun, self.too_large = 500, False, False

    async def send(self, message: Message) -> None:
        if self.too_large:
            return
        if message["type"] == "http.response.start":
            self.status, self.begun = message["status"], True
            headers = [
                *message.get("headers", ()),
                (b"x-request-id", self._account.request_id.encode()),
                (b"x-model-version", self._account.version.encode("ascii", "replace")),
            ]
            if self._data_plane.draining:
                headers.append((b"connection", b"close"))  # the client's next request goes elsewhere
            message = {**message, "headers": headers}
        await self._send(message)


def finish(account: Account, model: str, status: int, request_log: RequestLog | None) -> None:
    """Close the account of a prediction request."""
    metrics.REQUESTS.labels(model, account.version, account.protocol, str(status)).inc()
    metrics.SECONDS_OF_REQUESTS.labels(model, account.protocol).observe(account.seconds())
    if request_log is not None:
        request_log.add(account, model, status)


def _protocol(path: str) -> str:
    return "v2" if path.startswith("/v2/") else "v1"


def _predicts(path: str, routes: tuple[str, ...]) -> bool:
    return path.endswith((":predict", "/infer")) or path in routes


def _without_id(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if pair[0] != b"x-request-id"]

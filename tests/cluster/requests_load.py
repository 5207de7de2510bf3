"""Requests to an endpoint through the gateway, counted by the version that answered."""

import http.client
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

CLIENTS = 4  # each with one connection that it keeps


class Requests:
    """One kind of request, sent often."""

    def __init__(self, gateway: str, host: str, path: str, body: bytes) -> None:
        self.address = urlsplit(gateway).netloc
        self.host, self.path, self.body = host, path, body

    def send(self, number: int, version: str = "") -> Counter[str]:
        """Send so many requests and count the versions that answered; an error counts as its status."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            parts = [number // CLIENTS + (1 if i < number % CLIENTS else 0) for i in range(CLIENTS)]
            found = pool.map(lambda part: self._send(part, threading.Event(), version), parts)
            return sum(found, Counter())

    def during(self) -> "Load":
        """Send without a pause while the block runs."""
        return Load(self)

    def _send(self, number: int, ended: threading.Event, version: str = "") -> Counter[str]:
        found: Counter[str] = Counter()
        connection = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"Host": self.host, "Content-Type": "application/json"}
        headers |= {"x-model-version": version} if version else {}
        while sum(found.values()) < number and not ended.is_set():
            try:
                connection.request("POST", self.path, self.body, headers)
                with connection.getresponse() as response:
                    text = response.read().decode(errors="replace")
                    served = response.headers.get("x-model-version", "nobody")
                    found[served if response.status == 200 else f"{response.status} {text[:200]}"] += 1
            except OSError as error:
                found[f"no answer ({type(error).__name__})"] += 1
                connection.close()
        connection.close()
        return found


class Load:
    """Requests in the background; `answers` tells afterwards who answered."""

    def __init__(self, requests: Requests) -> None:
        self.requests, self.answers = requests, Counter[str]()
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> "Load":
        send = self.requests._send
        self._sent = [self._pool.submit(send, 10**9, self._ended) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.answers = sum((sent.result() for sent in self._sent), Counter())
        self._pool.shutdown()

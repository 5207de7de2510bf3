"""A load test at a fixed rate, which a slow server cannot slow down.

Each request is timed from the moment at which it was due, not from when it was sent: a server that stalls is charged
for all who would have waited (Gil Tene's "coordinated omission").
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Load:
    """How a load test went.

    Attributes:
        latencies_ms: Time to the answer of each request that succeeded, shape (n,), in milliseconds.
        failed: Requests that got no answer, or another status than 200.
        seconds: From the first request to the last answer.
        first_failure: What the first of them got.
    """

    latencies_ms: np.ndarray
    failed: int
    seconds: float
    first_failure: str

    @property
    def sent(self) -> int:
        """All requests."""
        return len(self.latencies_ms) + self.failed

    def quantile(self, q: float) -> float:
        """Return a quantile of the latencies in ms; infinite when nothing succeeded."""
        return float(np.quantile(self.latencies_ms, q)) if len(self.latencies_ms) else float("inf")


def drive(url: str, bodies: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Send `bodies` in turn as JSON to `url`, `rate` a second for `seconds`."""
    return asyncio.run(_drive(url, bodies, rate, seconds))


async def _drive(url: str, bodies: Sequence[bytes], rate: float, seconds: float) -> Load:
    import aiohttp

    latencies: list[float] = []
    failures: list[str] = []

    async def send(session: "aiohttp.ClientSession", body: bytes, due: float) -> None:
        try:
            async with session.post(url, data=body) as answer:
                text = await answer.read()
                if answer.status != 200:
                    failures.append(f"status {answer.status}: {text[:200].decode('utf-8', 'replace')}")
                    return
        except (aiohttp.ClientError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}".rstrip(": "))
            return
        latencies.append((time.perf_counter() - due) * 1e3)

    limits = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=limits, headers=headers, connector=connector) as session:
        start = time.perf_counter()
        tasks = []
        for i in range(max(1, round(rate * seconds))):
            due = start + i / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(send(session, bodies[i % len(bodies)], due)))
        await asyncio.gather(*tasks)
        elapsed = time.perf_counter() - start
    return Load(np.asarray(latencies), len(failures), elapsed, failures[0] if failures else "")

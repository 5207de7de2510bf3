"""Where messages go: a file of JSON lines, and whatever apprise reaches. None can hold a run up or fail it."""

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from penstock.components.model_registry.run_account import RunAccount
from penstock.components.notify.message import Message
from penstock.components.step_io.record import now

log = logging.getLogger(__name__)

FILE_VARIABLE = "PENSTOCK_NOTIFICATIONS"
URLS_VARIABLE = "PENSTOCK_NOTIFY_URLS"
LIMIT_S = 5.0  # for all apprise channels together


def append_line(path: Path, run: RunAccount, message: Message) -> None:
    """Add the message to a file of JSON lines, as one write."""
    entry = {
        "time": now(),
        "pipeline": run.pipeline,
        "app": run.app,
        "run": run.id,
        "outcome": message.outcome,
        "title": message.title,
        "lines": message.lines,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def send(urls: list[str], message: Message, limit_s: float = LIMIT_S) -> list[str]:
    """Send the message to apprise URLs, all at once, and return what went wrong.

    Nothing said of a channel holds more of its URL than the scheme: the rest is a secret.
    """
    faults: dict[int, str] = {}
    threads = {}
    for number, url in enumerate(urls, start=1):
        faults[number] = f"gave no answer in {limit_s:g} s"
        # A thread that hangs in a dead connection is left behind: a daemon does not keep the process alive.
        threads[number] = threading.Thread(target=_send, args=(url, message, faults, number), daemon=True)
        threads[number].start()
    deadline = time.monotonic() + limit_s
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    told = dict(faults)
    return [
        f"notification channel {number} of {len(urls)} ({urls[number - 1].partition(':')[0]}) {fault}"
        for number, fault in told.items()
        if fault
    ]


def _send(url: str, message: Message, faults: dict[int, str], number: int) -> None:
    try:
        faults[number] = _notify(url, message)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and its text may hold the URL
        faults[number] = f"failed with {type(error).__name__}"


def _notify(url: str, message: Message) -> str:
    """Send through apprise; return what went wrong, empty when nothing did."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs URLs
    import apprise

    kinds: dict[str, Any] = {
        "succeeded": apprise.NotifyType.SUCCESS,
        "unchanged": apprise.NotifyType.INFO,
    }
    channel = apprise.Apprise()
    if not channel.add(url):
        return "is no URL that apprise knows"
    kind = kinds.get(message.outcome, apprise.NotifyType.FAILURE)
    done = channel.notify(
        title=message.title, body="\n".join(message.lines) or message.title, notify_type=kind
    )
    return "" if done else "refused the message"
